"""What goes wrong, as sentences."""

from __future__ import annotations


class StrataError(Exception):
    """A call failed. `str(error)` is the sentence for a person: what is wrong and what to do.

    `code` is the gRPC status by name, as NOT_FOUND or INVALID_ARGUMENT.
    """

    def __init__(self, message: str, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.code = code


class InvalidSpec(StrataError):
    """A spec, a name or an argument is wrong. The sentence names field, value and remedy. Nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "INVALID_ARGUMENT")

"""What experiments and trials share: a message of the API, and the connection that it came over."""

from __future__ import annotations

from typing import Generic, TypeVar

from strata import names
from strata.connection import Connection
from strata.v1 import resources_pb2

Message = TypeVar("Message", resources_pb2.Experiment, resources_pb2.Trial)


class Resource(Generic[Message]):
    """A resource as it stood when it was last asked for. `message` is all of it, as the API has it."""

    def __init__(self, connection: Connection, message: Message) -> None:
        self._connection = connection
        self.message = message

    @property
    def name(self) -> str:
        """Its name as people write it: quickstart-1, quickstart-1/t3."""
        return names.short(self.message.name)

"""Names as people write them and as the API does: "quickstart-1/t3" is experiments/quickstart-1/trials/t3 (client/names.cc)."""

from __future__ import annotations

import re

from strata.errors import InvalidSpec

_COLLECTIONS = ("experiments", "trials", "jobs")
_KINDS = ("an experiment", "a trial", "a job")
_EXAMPLES = ("quickstart-1", "quickstart-1/t3", "quickstart-1/t3/train")


def _full(text: str, wanted: int) -> str:
    parts = text.split("/")
    if len(parts) > 1 and parts[0] == _COLLECTIONS[0]:  # the full form: every other part names a collection
        whole = len(parts) % 2 == 0 and parts[0::2] == list(_COLLECTIONS[: len(parts) // 2])
        parts = parts[1::2] if whole else []
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch("[a-z0-9-]+", part) for part in parts):
        raise InvalidSpec(
            f'"{text}" is no name. Write an experiment as {_EXAMPLES[0]}, a trial as {_EXAMPLES[1]}, a job as {_EXAMPLES[2]}.'
        )
    if len(parts) - 1 != wanted:
        raise InvalidSpec(f'"{text}" names {_KINDS[len(parts) - 1]}; this needs {_KINDS[wanted]}, such as {_EXAMPLES[wanted]}.')
    return "/".join(f"{collection}/{part}" for collection, part in zip(_COLLECTIONS, parts, strict=False))


def experiment(text: str) -> str:
    """The full name of an experiment."""
    return _full(text, 0)


def trial(text: str) -> str:
    """The full name of a trial."""
    return _full(text, 1)


def short(full: str) -> str:
    """The name as people write it."""
    return "/".join(full.split("/")[1::2])

"""The fields of a TrialSpec by reflection: finding them by path, and what each accepts (server/base/spec/field.cc)."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable

from google.protobuf.descriptor import FieldDescriptor

from strata.errors import InvalidSpec
from strata.v1 import field_rule_pb2, trial_spec_pb2

MAX_EVALUATIONS = 16
SHORTHANDS = {"scheme": "model.scheme", "depth": "model.depth", "seed": "train.seed"}
SPEC = trial_spec_pb2.TrialSpec.DESCRIPTOR


@dataclasses.dataclass(frozen=True)
class Field:
    """A scalar field: its canonical path, its section, its place in `evaluate` (else -1), and its rule."""

    path: str
    section: str
    item: int
    descriptor: FieldDescriptor
    rule: field_rule_pb2.FieldRule

    @property
    def is_text(self) -> bool:
        return self.descriptor.cpp_type == FieldDescriptor.CPPTYPE_STRING

    @property
    def is_whole(self) -> bool:
        return self.descriptor.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)

    @property
    def is_bool(self) -> bool:
        return self.descriptor.cpp_type == FieldDescriptor.CPPTYPE_BOOL


def is_list(section: FieldDescriptor) -> bool:
    """Whether a section is a list of its kind: evaluate is."""
    return bool(section.is_repeated)


def _field(section: FieldDescriptor, item: int, scalar: FieldDescriptor) -> Field:
    index = "" if item < 0 else f"[{item}]"
    rule = scalar.GetOptions().Extensions[field_rule_pb2.rule]
    return Field(f"{section.name}{index}.{scalar.name}", section.name, item, scalar, rule)


@functools.cache
def all_fields() -> tuple[Field, ...]:
    """All fields in the order of the proto; those of a score as evaluate[0].beam."""
    return tuple(
        _field(section, 0 if is_list(section) else -1, scalar)
        for section in SPEC.fields
        for scalar in section.message_type.fields
    )


def find_field(path: str) -> Field:
    """The field that `path` names; InvalidSpec says which valid key is nearest."""
    path = SHORTHANDS.get(path, path)
    head, dot, name = path.partition(".")
    if not dot or not head:
        raise _unknown(path)
    section_name, bracket, index = head.partition("[")
    item = -1
    if bracket:
        digits = index.removesuffix("]")
        if not index.endswith("]") or not re.fullmatch(r"[0-9]+", digits) or int(digits) >= MAX_EVALUATIONS:
            raise InvalidSpec(
                f"There is no field {quoted(path)}. Number the scores from 0 to {MAX_EVALUATIONS - 1}, as in evaluate[0].beam."
            )
        item = int(digits)
    section = SPEC.fields_by_name.get(section_name)
    scalar = section.message_type.fields_by_name.get(name) if section is not None else None
    if section is None or scalar is None:
        raise _unknown(path)
    if is_list(section) and item < 0:
        raise InvalidSpec(f"{quoted(path)} does not say which score. Number them from 0: {section_name}[0].{scalar.name}.")
    if not is_list(section) and item >= 0:
        raise _unknown(path)
    return _field(section, item, scalar)


def _unknown(path: str) -> InvalidSpec:
    fields = all_fields()
    near = nearest(path, [*SHORTHANDS, *(field.path for field in fields)])
    if not near and "." not in path:  # "warmup" -> train.warmup
        name = nearest(path, [field.descriptor.name for field in fields])
        near = next((field.path for field in fields if name and field.descriptor.name == name), "")
    remedy = f"Do you mean {near}?" if near else "'strata spec explain' lists all of them."
    return InvalidSpec(f"There is no field {quoted(path)}. {remedy}")


def quoted(text: str) -> str:
    """The text in double quotes, cut where it is very long."""
    return f'"{text[:80]}..."' if len(text) > 80 else f'"{text}"'


def _folded(text: str) -> str:
    return re.sub("[-_ ]", "", text).lower()


def _edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, from_a in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, from_b in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (from_a != from_b))
    return row[-1]


def nearest(text: str, candidates: Iterable[str]) -> str:
    """The candidate with the least edit distance, where that is near enough to be a slip of the pen; else ""."""
    best, text = "", _folded(text)
    least = max(2, len(text) // 3) + 1
    for candidate in candidates:
        distance = _edit_distance(text, _folded(candidate))
        if distance < least and distance < len(_folded(candidate)):
            least, best = distance, candidate
    return best

"""Values of fields: reading them from text as it stands in YAML, and their one canonical text (set_field.cc, text_form.cc)."""

from __future__ import annotations

import decimal
import math
import re
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from strata.errors import InvalidSpec
from strata.spec.fields import Field, quoted

_WHOLE = re.compile(r"\+?-?[0-9]+")
_NUMBER = re.compile(r"\+?-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_MAX_LAYERS = 10000


def shortest(value: float) -> str:
    """The shortest text that reads back to the same bits."""
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    if 1e-4 <= abs(value) < 1e9:
        return repr(value)
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
    power = int(exponent) + len(digits) - 1
    return f"{'-' * sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def accepts(field: Field) -> str:
    """What a field accepts, as part of a sentence: "a whole number from 1 to 4096"."""
    rule = field.rule

    def number(bound: float) -> str:
        return str(int(bound)) if bound == math.floor(bound) and abs(bound) < 1e16 else shortest(bound)

    bounds = ""
    if rule.HasField("min") and rule.HasField("max"):
        bounds = " above " if rule.above_min else " from "
        bounds += number(rule.min) + (" to below " if rule.below_max else " to ") + number(rule.max)
    if field.is_whole:
        return "a whole number" + bounds
    if field.is_bool:
        return "true or false"
    if not field.is_text:
        return "a number" + bounds
    if rule.choices:
        return "one of " + ", ".join(rule.choices)
    return "a text such as " + (rule.default_value or rule.example)


def _refuse(field: Field, text: str) -> InvalidSpec:
    return InvalidSpec(f"{field.path}: {quoted(text)} is not {accepts(field)}.")


def _within(field: Field, value: float) -> bool:
    rule = field.rule
    if rule.HasField("min") and (value <= rule.min if rule.above_min else value < rule.min):
        return False
    return not (rule.HasField("max") and (value >= rule.max if rule.below_max else value > rule.max))


def parse(field: Field, text: str) -> Any:
    """The value that `text` stands for, of the field's Python type. InvalidSpec names the field, the text and the remedy."""
    if field.is_whole:
        bits = 31 if field.descriptor.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 63
        whole = int(text.removeprefix("+")) if len(text) < 30 and _WHOLE.fullmatch(text) else None
        if whole is None or not -(2**bits) <= whole < 2**bits or not _within(field, whole):
            raise _refuse(field, text)
        return whole
    if field.is_bool:
        if text not in ("true", "false"):
            raise _refuse(field, text)
        return text == "true"
    if not field.is_text:
        value = float(text.removeprefix("+")) if _NUMBER.fullmatch(text) else math.inf
        vanishes = value == 0 and re.search("[1-9]", re.split("[eE]", text)[0])
        if not math.isfinite(value) or vanishes or not _within(field, value):
            raise _refuse(field, text)
        return value if value != 0 else 0.0  # no negative zero
    may_be_empty = field.rule.HasField("default_value") and not field.rule.default_value
    if (not text and not may_be_empty) or (field.rule.choices and text not in field.rule.choices):
        raise _refuse(field, text)
    return canonical_text(field, text)


def to_text(value: Any) -> str:
    """A value of a field as text, numbers in their shortest form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return shortest(value) if isinstance(value, float) else str(value)


def canonical_text(field: Field, text: str) -> str:
    """A text of several values (FieldRule.form) in its one canonical form; others as they are."""
    form = field.rule.form
    if not form or not text:
        return text
    parts: list[str] = []
    names: set[str] = set()
    for raw in text.split(","):
        part = raw.strip(" \t\n\v\f\r")
        parts.append(_pair(field, text, part) if form == "pairs" else _item(field, text, part))
        name = parts[-1].partition("=")[0]
        if name in names:
            raise _refuse_part(field, text, f"names {name} twice.")
        names.add(name)
    return ",".join(sorted(parts) if form == "pairs" else parts)


def _refuse_part(field: Field, text: str, why: str) -> InvalidSpec:
    return InvalidSpec(f"{field.path}: {quoted(text)} {why} Write {accepts(field)}.")


def _item(field: Field, text: str, part: str) -> str:
    form = field.rule.form
    if form == "names":
        if not _NAME.fullmatch(part):
            raise _refuse_part(field, text, f"holds {quoted(part)}, which is no name.")
        return part
    if form == "layers" and part == "last":
        return part
    if not re.fullmatch("[0-9]{1,18}", part) or int(part) < (form == "layers"):
        or_last = " from 1, nor last." if form == "layers" else "."
        raise _refuse_part(field, text, f"holds {quoted(part)}, which is no whole number{or_last}")
    return str(int(part))


def _pair(field: Field, text: str, part: str) -> str:
    name, _, value = (piece.strip(" \t\n\v\f\r") for piece in part.partition("="))
    if not _NAME.fullmatch(name) or not value or "=" in value:
        raise _refuse_part(field, text, f"holds {quoted(part)}, which is no NAME=VALUE.")
    if _NUMBER.fullmatch(value) and math.isfinite(float(value.removeprefix("+"))):
        number = float(value.removeprefix("+"))
        value = shortest(number if number != 0 else 0.0)
    return f"{name}={value}"


def check_depth(text: str) -> None:
    """InvalidSpec unless `text` is a depth: 18L-18L, or 16L."""
    stacks = text.split("-", 1)
    if not all(re.fullmatch("[0-9]+L", stack) for stack in stacks):
        raise InvalidSpec(
            f"depth: {quoted(text)} is no depth. Write encoder and decoder layers as 18L-18L, or one stack as 16L."
        )
    layers = [int(stack[:-1]) if len(stack) < 12 else _MAX_LAYERS + 1 for stack in stacks]
    if 0 in layers:
        raise InvalidSpec(f"depth: {quoted(text)} has a stack of no layers. A stack has at least one layer, as in 1L-1L.")
    if max(layers) > _MAX_LAYERS:
        raise InvalidSpec(f"depth: {quoted(text)} is too deep. A stack has at most {_MAX_LAYERS} layers.")

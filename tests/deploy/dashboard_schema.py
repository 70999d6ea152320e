"""Judges dashboards by Grafana's typed schema (PyPI: grafana-foundation-sdk). Grafana itself does not run.

Use: python dashboard_schema.py FILE.json ...     Prints each fault as FILE: WHERE: WHAT. Exit status: 0 none, 1 some.
"""

import json
import sys
import types
import typing

from grafana_foundation_sdk.cog import encoder, plugins, runtime
from grafana_foundation_sdk.models import dashboard

plugins.register_default_plugins()


def lost(ours, theirs, where):
    """What is in `ours` and not in `theirs`, which the schema's classes made of it: keys that the schema does not know."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs and value not in (None, [], {}):
                yield f"{where}.{key}: the schema has no such field"
            elif key in theirs:
                yield from lost(value, theirs[key], f"{where}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (a, b) in enumerate(zip(ours, theirs)):
            yield from lost(a, b, f"{where}[{index}]")
    elif ours != theirs:
        yield f"{where}: {ours!r} became {theirs!r}"


def fits(value, wanted):
    """Whether `value` is of the annotated type; true where the annotation says nothing that can be checked."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is typing.Any or wanted is object or isinstance(wanted, (str, typing.ForwardRef, typing.TypeVar)):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, arguments[1]) for one in value.values())
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(wanted, type) and issubclass(wanted, (str, int)) and wanted not in (str, int, bool):
        return value in [one.value for one in wanted]  # an enumeration, as JSON has it
    if isinstance(value, dict) and hasattr(wanted, "from_json"):  # what the generated code leaves as it was
        return not list(lost(value, json.loads(json.dumps(wanted.from_json(value), cls=encoder.JSONEncoder)), ""))
    return isinstance(value, wanted) if isinstance(wanted, type) else True


def mistyped(thing, where):
    """Fields of the schema's objects whose values are of another type than the schema says."""
    if isinstance(thing, list):
        for index, one in enumerate(thing):
            yield from mistyped(one, f"{where}[{index}]")
    if not type(thing).__module__.startswith("grafana_foundation_sdk"):
        return
    module = sys.modules[type(thing).__module__]
    for name, wanted in typing.get_type_hints(type(thing), vars(module)).items():
        value = getattr(thing, name, None)
        if value is not None and not fits(value, wanted):
            yield f"{where}.{name}: {value!r} is no {wanted}"
        yield from mistyped(value, f"{where}.{name}")


def faults(document):
    try:
        decoded = dashboard.Dashboard.from_json(document)
    except Exception as error:  # whatever the generated code stumbles over
        return [f"cannot be read: {type(error).__name__} {error}"]
    unknown = [f"panel {panel.get('title')}: there is no panel type {panel['type']}" for panel in document["panels"]
               if panel["type"] != "row" and runtime.panelcfg_config(panel["type"]) is None]
    encoded = json.loads(json.dumps(decoded, cls=encoder.JSONEncoder))
    return [*unknown, *lost(document, encoded, "dashboard"), *mistyped(decoded, "dashboard")]


def main():
    bad = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for fault in faults(json.load(file)):
                bad += 1
                print(f"{path}: {fault}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

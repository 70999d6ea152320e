"""From the nodes of a YAML document to an ExperimentSpec (client/spec/read_spec.cc, head.cc, ranks.cc)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor

from strata.errors import InvalidSpec
from strata.spec import fields, values
from strata.spec.fields import Field
from strata.spec.yaml_node import Entry, YamlFile, is_null, is_quoted, is_word, text_of
from strata.v1 import field_rule_pb2, resources_pb2

_TOP_LEVEL = ("experiment", "grid", "include", "exclude", "overrides", "probe_only", "extends", "priority")
_RANKS_EXAMPLE = "{min: 2, max: 4}"
_OVERRIDES_EXAMPLE = "[{when: {scheme: t_fixup}, set: {train.warmup: 1}}]"
_LONGEST_NAME = 40


def read_spec(text: str, name: str, sets: Iterable[str] = (), with_lines: bool = True) -> resources_pb2.ExperimentSpec:
    """Reads YAML; `name` names it in errors. Each of `sets` is PATH=VALUE as `strata submit --set` takes it.

    Names of schemes, tasks and metrics are not checked here: the coordinator does, against its trainer's registry.
    InvalidSpec: a sentence with place, field, value and remedy.
    """
    reader = _Reader(YamlFile(name, with_lines))
    reader.read(reader.file.parse(text))
    for setting in sets:
        reader.set(setting)
    reader.check_complete(name)
    return reader.spec


def _looks_like_a_name(text: str) -> bool:
    return re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", text) is not None


class _Reader:
    def __init__(self, file: YamlFile) -> None:
        self.file = file  # what is being read: the file, then each --set
        self.spec = resources_pb2.ExperimentSpec()

    def read(self, root: yaml.Node) -> None:
        if is_null(root):
            raise InvalidSpec(f"{self.file.name}: the file is empty. 'strata spec init' prints an example.")
        for entry in self.file.entries(root, "an experiment", "experiment: my-grid"):
            self._top_level(entry)
        if not self.spec.experiment:
            raise InvalidSpec(f"{self.file.name}: experiment is missing. Name it, for example experiment: depth-by-scheme.")

    def _top_level(self, entry: Entry) -> None:
        head = {"experiment": self._name, "probe_only": self._probe_only, "extends": self._extends}
        head |= {"priority": self._priority, "grid": self._grid, "overrides": self._overrides}
        if entry.key in head:
            head[entry.key](entry.value)
        elif entry.key in ("include", "exclude"):
            self._cells(entry.key, entry.value)
        elif (section := fields.SPEC.fields_by_name.get(entry.key)) is None:
            raise self._unknown_in(entry, None)
        elif fields.is_list(section):
            self._evaluate(section, entry.value)
        else:
            self._section(section, entry.value, entry.key)

    def _unknown_in(self, entry: Entry, section: FieldDescriptor | None) -> InvalidSpec:
        message = fields.SPEC if section is None else section.message_type
        keys = [field.name for field in message.fields] + (list(_TOP_LEVEL) if section is None else [])
        near = fields.nearest(entry.key, keys)
        remedy = f"Do you mean {near}?" if near else f"There are {', '.join(keys)}."
        for field in fields.all_fields():
            elsewhere = section is None or field.section != section.name
            if field.descriptor.name == entry.key and elsewhere and near != entry.key:
                remedy = f"It stands under {field.section}."
                break
        where = "an experiment" if section is None else section.name
        return self.file.at(entry.key_node, f'"{entry.key}" is no key of {where}. {remedy}')

    # -- the experiment as a whole ---------------------------------------------------------------------------------------

    def _name(self, node: yaml.Node) -> None:
        name = text_of(node)
        if not _looks_like_a_name(name) or len(name) > _LONGEST_NAME:
            raise self.file.at(
                node,
                f'experiment: "{name}" is no name. Write at most {_LONGEST_NAME} lower-case letters, digits and hyphens, '
                "as in depth-by-scheme.",
            )
        self.spec.experiment = name

    def _probe_only(self, node: yaml.Node) -> None:
        if text_of(node) not in ("true", "false"):
            raise self.file.at(node, f'probe_only: "{text_of(node)}" is neither true nor false.')
        self.spec.probe_only = text_of(node) == "true"

    def _priority(self, node: yaml.Node) -> None:
        text = text_of(node).strip()
        if not re.fullmatch("[+-]?[0-9]{1,9}", text) or not -100 <= int(text) <= 100:
            raise self.file.at(
                node,
                f'priority: "{text_of(node)}" is no whole number from -100 to 100. Higher ones come first; 0 is usual.',
            )
        self.spec.priority = int(text)

    def _extends(self, node: yaml.Node) -> None:
        name = text_of(node)
        identifier = name.removeprefix("experiments/")
        if not _looks_like_a_name(identifier):
            raise self.file.at(
                node,
                f"extends: \"{name}\" is no experiment. Write one of 'strata list', as in extends: quickstart-1.",
            )
        self.spec.extends = f"experiments/{identifier}"

    # -- values ----------------------------------------------------------------------------------------------------------

    def _value(self, field: Field, node: yaml.Node) -> str:
        """The value as canonical text, checked by the rule of its field."""
        accepts = values.accepts(field)
        if is_null(node):
            raise self.file.at(node, f"{field.path} has no value. Write {accepts}.")
        map_of_pairs = isinstance(node, yaml.MappingNode) and field.rule.form == "pairs"
        if not is_word(node) and not map_of_pairs:
            several = isinstance(node, yaml.SequenceNode)
            hint = "; values to try stand under grid." if several else "."
            raise self.file.at(
                node, f"{field.path} is one value, not {'a list' if several else 'a map'}. Write {accepts}{hint}"
            )
        if not field.is_text and is_quoted(node):
            raise self.file.at(
                node, f'{field.path}: "{node.value}" is a text, because it is in quotes. Write {accepts} without them.'
            )
        text = self._pairs(field, node) if map_of_pairs else text_of(node)
        try:
            value = values.parse(field, text)
            if field.path == "model.depth":
                values.check_depth(text)
        except InvalidSpec as error:
            raise self.file.at(node, str(error)) from None
        return values.to_text(value)

    def _pairs(self, field: Field, node: yaml.Node) -> str:
        """A map as the text NAME=VALUE, ..."""
        pairs = []
        for entry in self.file.entries(node, field.path, field.rule.example):
            if not is_word(entry.value):
                raise self.file.at(entry.value, f"{field.path}: {entry.key} is one value, not a list or a map.")
            pairs.append(f"{entry.key}={entry.value.value}")
        return ",".join(pairs)

    def _values(self, field: Field, node: yaml.Node) -> list[tuple[str, str]]:
        """Paths and values that one entry sets; most set one."""
        if isinstance(node, yaml.MappingNode) and field.path == "resources.ranks":
            return self._rank_bounds(node)
        return [(field.path, self._value(field, node))]

    def _rank_bounds(self, node: yaml.Node) -> list[tuple[str, str]]:
        bounds = {"min": 0, "max": 0}
        for entry in self.file.entries(node, "ranks", _RANKS_EXAMPLE):
            if entry.key not in bounds:
                raise self.file.at(
                    entry.key_node,
                    f'"{entry.key}" is no key of ranks. There are min and max, as in {_RANKS_EXAMPLE}; or write one number.',
                )
            text = text_of(entry.value).strip()
            if not re.fullmatch("[+-]?[0-9]{1,9}", text) or not 1 <= int(text) <= 1024:
                raise self.file.at(
                    entry.value, f"ranks: {entry.key} is no whole number from 1 to 1024. Write it as in {_RANKS_EXAMPLE}."
                )
            bounds[entry.key] = int(text)
        for key, bound in bounds.items():
            if bound == 0:
                raise self.file.at(node, f"ranks: {key} is missing. Write both, as in {_RANKS_EXAMPLE}, or one number.")
        if bounds["min"] > bounds["max"]:
            raise self.file.at(
                node,
                f"ranks: min is {bounds['min']}, but max is {bounds['max']}. Lower the one or raise the other.",
            )
        return [("resources.ranks", str(bounds["max"])), ("resources.min_ranks", str(bounds["min"]))]

    def _store(self, path: str, text: str) -> None:
        field = fields.find_field(path)
        base = getattr(self.spec.base, field.section)
        if field.item >= 0:
            if field.item >= len(base):
                asked = f"only {len(base)}" if len(base) else "no score"
                raise InvalidSpec(f"{field.path}: the spec asks for {asked}. Add an item to evaluate, or use a lower index.")
            base = base[field.item]
        setattr(base, field.descriptor.name, values.parse(field, text))

    # -- sections --------------------------------------------------------------------------------------------------------

    def _section(self, section: FieldDescriptor, node: yaml.Node, path: str) -> None:
        """`path` is the section's own: "train", "evaluate[0]"."""
        first = section.message_type.fields[0]
        example = first.GetOptions().Extensions[field_rule_pb2.rule].example
        for entry in self.file.entries(node, path, f"{first.name}: {example}"):
            if entry.key not in section.message_type.fields_by_name:
                raise self._unknown_in(entry, section)
            for field_path, text in self._values(fields.find_field(f"{path}.{entry.key}"), entry.value):
                self._store(field_path, text)

    def _evaluate(self, section: FieldDescriptor, node: yaml.Node) -> None:
        items = self.file.items(node, "evaluate", "[{metric: bleu}]")
        if len(items) > fields.MAX_EVALUATIONS:
            raise self.file.at(node, f"evaluate has {len(items)} items. Write at most {fields.MAX_EVALUATIONS}.")
        for i, item in enumerate(items):
            self.spec.base.evaluate.add()
            self._section(section, item, f"evaluate[{i}]")
            if not self.spec.base.evaluate[i].HasField("metric"):
                raise self.file.at(item, f"evaluate[{i}].metric is missing. Write for example metric: bleu.")

    # -- the grid --------------------------------------------------------------------------------------------------------

    def _grid(self, node: yaml.Node) -> None:
        for entry in self.file.entries(node, "grid", "scheme: [post_ln, b2t]"):
            if entry.key in fields.SPEC.fields_by_name:
                raise self.file.at(
                    entry.key_node,
                    f'grid: "{entry.key}" is a section. Write the field\'s path, as in train.learning_rate.',
                )
            try:
                fields.find_field(entry.key)
            except InvalidSpec as error:
                raise self.file.at(entry.key_node, f"grid: {error}") from None
            self._add_axis(entry.key, entry.value)

    def _add_axis(self, key: str, node: yaml.Node) -> None:
        field = fields.find_field(key)
        if not isinstance(node, yaml.SequenceNode):
            shown = text_of(node) if is_word(node) else "..."
            raise self.file.at(node, f"grid: {key} is no list. Write its values as [{shown}].")
        if not node.value:
            raise self.file.at(node, f"grid: {key} has no values. Write at least one, or take the axis out.")
        if any(axis.field == field.path for axis in self.spec.axes):
            raise self.file.at(node, f"grid: {field.path} is an axis already. Keep one.")
        axis = resources_pb2.Axis(field=field.path)
        for item in node.value:
            value = self._value(field, item)
            if value in axis.values:
                raise self.file.at(item, f"grid: {key} has {text_of(item)} twice. Keep one.")
            axis.values.append(value)
        self.spec.axes.append(axis)

    def _settings(self, node: yaml.Node, what: str, settings: Any) -> None:
        seen: set[str] = set()
        for entry in self.file.entries(node, what, "scheme: b2t"):
            try:
                field = fields.find_field(entry.key)
            except InvalidSpec as error:
                section = f'"{entry.key}" is a section. Write the field\'s path, as in train.learning_rate.'
                message = section if entry.key in fields.SPEC.fields_by_name else str(error)
                raise self.file.at(entry.key_node, message) from None
            for path, value in self._values(field, entry.value):
                if path in seen:
                    raise self.file.at(entry.key_node, f"{path} stands here twice. Keep one.")
                seen.add(path)
                settings.add(field=path, value=value)

    def _cells(self, key: str, node: yaml.Node) -> None:
        for item in self.file.items(node, key, "[{scheme: post_ln, depth: 3L-3L}]"):
            cell = getattr(self.spec, key).add()
            self._settings(item, f"a cell of {key}", cell.settings)
            if not cell.settings:
                raise self.file.at(item, f"{key} has an empty cell. Write at least one setting, as in {{scheme: b2t}}.")

    def _overrides(self, node: yaml.Node) -> None:
        for item in self.file.items(node, "overrides", _OVERRIDES_EXAMPLE):
            change = self.spec.overrides.add()
            for entry in self.file.entries(item, "an override", "set: {train.warmup: 1}"):
                if entry.key not in ("when", "set"):
                    raise self.file.at(
                        entry.key_node,
                        f'"{entry.key}" is no key of an override. There are when and set, as in {_OVERRIDES_EXAMPLE}.',
                    )
                self._settings(entry.value, entry.key, getattr(change, entry.key))
            if not change.set:
                raise self.file.at(item, f"An override sets nothing. Write it as {_OVERRIDES_EXAMPLE}.")

    # -- --set -----------------------------------------------------------------------------------------------------------

    def set(self, setting: str) -> None:
        """PATH=VALUE: changes all trials, whatever the file says; a list makes or replaces an axis."""
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise InvalidSpec(f"--set {setting} is no setting. Write PATH=VALUE, as in --set train.updates=20.")
        self.file = YamlFile(f"--set {setting}", with_lines=False)
        node = self.file.parse(text)
        try:
            field = fields.find_field(path)
        except InvalidSpec as error:
            raise self.file.at(node, str(error)) from None
        for i, axis in enumerate(self.spec.axes):
            if axis.field == field.path:
                del self.spec.axes[i]
                break
        if isinstance(node, yaml.SequenceNode):
            self._add_axis(path, node)
            return
        everywhere = resources_pb2.Override()  # beats included cells and overrides of the file
        for set_path, value in self._values(field, node):
            try:
                self._store(set_path, value)
            except InvalidSpec as error:
                raise self.file.at(node, str(error)) from None
            everywhere.set.add(field=set_path, value=value)
        if self.spec.include or self.spec.overrides:
            self.spec.overrides.append(everywhere)

    def check_complete(self, file_name: str) -> None:
        if self.spec.include:
            return  # each cell may bring its own: the service sees to it
        given = {axis.field for axis in self.spec.axes}
        given |= {setting.field for change in self.spec.overrides for setting in change.set}
        for field in fields.all_fields():
            if field.rule.HasField("default_value") or field.item >= 0 or field.path in given:
                continue
            if not getattr(getattr(self.spec.base, field.section), field.descriptor.name):
                raise InvalidSpec(
                    f"{file_name}: {field.path} is missing. Write {field.descriptor.name}: {field.rule.example} under "
                    f"{field.section}, or make it an axis of grid."
                )

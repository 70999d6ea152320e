"""YAML as values with places: a thin, strict layer over PyYAML's nodes whose errors name file and line (yaml_node.cc)."""

from __future__ import annotations

import dataclasses

import yaml

from strata.errors import InvalidSpec

_LARGEST = 1 << 20
_NULLS = ("", "~", "null", "Null", "NULL")


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULLS


def is_word(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not is_null(node)


def is_quoted(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is not None


def text_of(node: yaml.Node) -> str:
    """The text of a scalar; "" of anything else."""
    return node.value if is_word(node) else ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One `key: value` of a map."""

    key: str
    key_node: yaml.Node
    value: yaml.Node


class YamlFile:
    """What is being read, for its errors: "grid.yaml:9: message"."""

    def __init__(self, name: str, with_lines: bool = True) -> None:
        self.name = name
        self._with_lines = with_lines

    def parse(self, text: str) -> yaml.Node:
        """One document. InvalidSpec: not YAML, or more than one document."""
        if len(text.encode("utf-8", "surrogatepass")) > _LARGEST:
            raise InvalidSpec(f"{self.name}: a spec has at most 1 MiB.")
        try:
            documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if self._with_lines and mark is not None else ""
            raise InvalidSpec(f"{self.name}{line}: This is not YAML: {error.problem}.") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise InvalidSpec(f"{self.name}: This is not YAML: {str(error).splitlines()[0]}.") from None
        if len(documents) > 1:
            raise self.at(documents[1], "A file holds one experiment. Put the second document into a file of its own.")
        return documents[0] if documents and documents[0] is not None else yaml.ScalarNode("", "")

    def at(self, node: yaml.Node, message: str) -> InvalidSpec:
        """The error with its place."""
        mark = node.start_mark
        line = f":{mark.line + 1}" if self._with_lines and mark is not None else ""
        return InvalidSpec(f"{self.name}{line}: {message}")

    def entries(self, node: yaml.Node, what: str, example: str) -> list[Entry]:
        """The entries in the order of the file. InvalidSpec: `node` is no map, or has a key twice."""
        if is_null(node):
            return []
        if not isinstance(node, yaml.MappingNode):
            raise self.at(node, f"Expected keys and values of {what}. Write them as {example}.")
        entries: list[Entry] = []
        seen: set[str] = set()
        for key, value in node.value:
            if not is_word(key):
                raise self.at(key, f"A key of {what} is not a word. Write {example}.")
            if key.value in seen:
                raise self.at(key, f'"{key.value}" stands twice in {what}. Keep one.')
            seen.add(key.value)
            entries.append(Entry(key.value, key, value))
        return entries

    def items(self, node: yaml.Node, what: str, example: str) -> list[yaml.Node]:
        """The items of a list; none where nothing is written. InvalidSpec: `node` is no list."""
        if is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.at(node, f"{what} is a list. Write {what}: {example}.")
        return list(node.value)

"""Reads YAML into nodes, so that every value keeps its line, its column and its spelling.

Scalars stay text, and the type of the key decides how they are parsed: `kubernetes_version: 1.30`
is not 1.3, and an account id that begins with 0 is not an octal number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aws_setup.config.bounded_yaml import MAX_BYTES, BadYaml, compose, construct, parts_of
from aws_setup.config.regular_files import read_file
from aws_setup.errors import Problem, Refused

NULL = "tag:yaml.org,2002:null"

SHOWN = 60
"""Characters of a key or a value that an error shows."""

MAX_KEYS = 1000
"""Keys of a configuration file."""


@dataclass(frozen=True)
class Position:
    """A file's name with line and column from 1, or what else a value comes from: `line` is 0."""

    label: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.label}:{self.line}:{self.column}" if self.line else self.label


@dataclass(frozen=True)
class PlacedProblem(Problem):
    """A problem of a key or a value at a position."""

    position: Position = Position("")


@dataclass(frozen=True)
class UnknownKey(PlacedProblem):
    """A key that does not exist; `meant` is the one that it resembles, '' for none."""

    meant: str = ""


def problem_at(position: Position, key: str, why: str, hint: str) -> PlacedProblem:
    """Return a problem whose `what` is position and key."""
    return PlacedProblem(f"{position}: {key}", why, hint, position)


@dataclass(frozen=True)
class YamlValue:
    """The value of a key, its position, and the folder that a relative path starts from."""

    label: str
    folder: Path
    value: Any = None
    key_node: yaml.Node | None = None
    value_node: yaml.Node | None = None

    def at_key(self) -> Position:
        """Return the position of the key, as in 'config_aws.yaml:3:1'."""
        return _position(self.label, self.key_node)

    def at(self, path: Sequence[str | int] = ()) -> Position:
        """Return the position of the value, or of the item at `path` inside it."""
        node = self.value_node
        for step in path:
            node = _child(node, step) or node
        return _position(self.label, node)

    def unusable(self, *, natural: bool) -> Iterator[tuple[Position, str, str]]:
        """Yield position, reason and fix of what no value may contain.

        That is a key set twice, one that is no scalar, a tag such as !secret, and a control
        character; a `natural` value may have several lines.
        """
        allowed = "\t\n" if natural else ""
        if self.value_node is None:
            texts = [(Position(self.label), str(leaf)) for _, leaf in leaves(self.value)]
        else:
            nodes = list(_nodes(self.value_node))
            texts = [(_position(self.label, node), node.value) for node in nodes if _scalar(node)]
            for node in nodes:
                for at, why, hint in (*_doubled(node), *_not_plain(node)):
                    yield _position(self.label, at), why, hint
        for position, text in texts:
            found = next((c for c in text if is_control(c) and c not in allowed), None)
            if found:
                why = f"it contains the control character U+{ord(found):04X}"
                hint = (
                    "write the value on one line, without control characters; "
                    "put a path with backslashes in single quotes"
                )
                yield position, why, hint

    def read(self, *, natural: bool) -> Any:
        """Return the value: with YAML's types if `natural`, else with every scalar as text.

        Raises:
            BadYaml: `natural` and a value that is not what its tag says.
        """
        if self.value_node is None:
            return self.value
        if natural:
            return construct(self.value_node)
        return _text(self.value_node)


def read_entries(path: Path) -> tuple[list[tuple[str, YamlValue]], list[Problem]]:
    """Return the keys of a YAML file in order, duplicates included, and its problems.

    Raises:
        Refused: the file does not exist, or is not a YAML mapping.
    """
    root = _compose(_content(path), path)
    if root is None:
        raise Refused(f"{path.name} is empty", "it has no line 'key: value'", _COPY_SAMPLE)
    if not isinstance(root, yaml.MappingNode):
        position = str(_position(path.name, root))
        raise Refused(position, "the file is not a list of 'key: value' lines", _COPY_SAMPLE)
    if len(root.value) > MAX_KEYS:
        raise Refused(path.name, f"it has more than {MAX_KEYS} keys", _COPY_SAMPLE)
    entries: list[tuple[str, YamlValue]] = []
    problems: list[Problem] = []
    for key, value in root.value:
        entry = YamlValue(path.name, path.parent, key_node=key, value_node=value)
        if isinstance(key, yaml.ScalarNode):
            entries.append((key.value.strip(), entry))
        else:
            at, why = entry.at_key(), "a key must be a plain word"
            problems.append(PlacedProblem(str(at), why, _COPY_SAMPLE, at))
    return entries, problems


def flow_entry(label: str, text: str) -> YamlValue:
    """Return the value that an environment variable holds; a list is written [a, b].

    Raises:
        Refused: the text begins like a list and is not one.
    """
    if not text.lstrip().startswith(("[", "{")):
        return YamlValue(label, Path.cwd(), value=text)
    try:
        node = compose(text)
    except BadYaml as error:
        raise Refused(label, "it is not a list in YAML notation", "write [a, b]") from error
    return YamlValue(label, Path.cwd(), value=None if node is None else _text(node))


_COPY_SAMPLE = "copy sample_config_aws.yaml to config_aws.yaml and replace its placeholders"


def _content(path: Path) -> bytes:
    try:
        return read_file(path, most=MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise Refused(f"there is no configuration file {path}", "", _COPY_SAMPLE) from error
    except (OSError, ValueError) as error:
        # A path with a NUL is a ValueError.
        raise Refused(
            f"the configuration file {path} cannot be read",
            str(getattr(error, "strerror", None) or error),
            "pass a readable file with --yaml",
        ) from error


def _compose(content: bytes, path: Path) -> yaml.Node | None:
    try:
        return compose(content)
    except BadYaml as error:
        position = Position(path.name, error.line, error.column)
        raise Refused(str(position), error.why, error.hint) from error


def _text(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_text(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _text(value) for key, value in node.value}
    empty = node.tag == NULL and getattr(node, "style", None) is None
    return None if empty else node.value


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: yaml.Node = node.value[step]
        return item
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None


def is_control(character: str) -> bool:
    """Whether a character is a control character: line ends, NUL, escape."""
    return character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029"


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    for part in parts_of(node):
        yield from _nodes(part)


def _scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


_Unusable = tuple[yaml.Node, str, str]
"""A node, why it cannot be used, and the fix."""


def _doubled(node: yaml.Node) -> Iterator[_Unusable]:
    """Yield the keys of a mapping that an earlier key of it equals."""
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if _scalar(key) and (key.tag, key.value) in seen:
            yield key, f"the key {key.value[:SHOWN]} is set twice", "remove one of the two"
        seen.add((key.tag, str(key.value)))


_TAGS = "tag:yaml.org,2002:"
_PLAIN = frozenset(
    f"{_TAGS}{kind}"
    for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value")
)
"""The tags of values that a configuration can have; `value` is a lone equals sign."""


def _not_plain(node: yaml.Node) -> Iterator[_Unusable]:
    """Yield what has no meaning here: tags of other programs, merge keys, keys with structure."""
    if node.tag == f"{_TAGS}merge":
        yield node, "the merge key << is not supported", "write the keys themselves"
    elif node.tag not in _PLAIN:
        tag = node.tag.replace(_TAGS, "!!")[:SHOWN]
        yield node, f"the tag {tag} is not supported", "write the value without a tag"
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not _scalar(key):
            yield key, "a key must be a plain word", "write each entry as 'key: value'"


def _position(label: str, node: yaml.Node | None) -> Position:
    if node is None:
        return Position(label)
    return Position(label, node.start_mark.line + 1, node.start_mark.column + 1)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield every scalar inside a value with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value

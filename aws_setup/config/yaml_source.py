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
from yaml.constructor import SafeConstructor

from aws_setup.errors import Problem, Refused

NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class YamlValue:
    """The value of a key, its position, and the folder that a relative path starts from."""

    label: str
    folder: Path
    value: Any = None
    key_node: yaml.Node | None = None
    value_node: yaml.Node | None = None

    def at_key(self) -> str:
        """Return the position of the key, as in 'config_aws.yaml:3:1'."""
        return _position(self.label, self.key_node)

    def at(self, path: Sequence[str | int] = ()) -> str:
        """Return the position of the value, or of the item at `path` inside it."""
        node = self.value_node
        for step in path:
            node = _child(node, step) or node
        return _position(self.label, node)

    def read(self, *, natural: bool) -> Any:
        """Return the value: with YAML's types if `natural`, else with every scalar as text.

        Raises:
            yaml.YAMLError: `natural` and a tag that YAML does not define.
        """
        if self.value_node is None:
            return self.value
        if natural:
            return SafeConstructor().construct_document(self.value_node)
        return _text(self.value_node)


def read_entries(path: Path) -> tuple[list[tuple[str, YamlValue]], list[Problem]]:
    """Return the keys of a YAML file in order, duplicates included, and its problems.

    Raises:
        Refused: the file does not exist, or is not a YAML mapping.
    """
    root = _compose(_content(path), path)
    if root is None:
        raise Refused(f"{path.name} is empty", str(path), _COPY_SAMPLE)
    if not isinstance(root, yaml.MappingNode):
        position = _position(path.name, root)
        raise Refused(position, "the file is not a list of 'key: value' lines", _COPY_SAMPLE)
    if _contains_itself(root, ()):
        raise Refused(path.name, "an alias (*name) is inside its own anchor (&name)", _REMOVE_ALIAS)
    entries, problems = [], []
    for key, value in root.value:
        entry = YamlValue(path.name, path.parent, key_node=key, value_node=value)
        if isinstance(key, yaml.ScalarNode):
            entries.append((key.value.strip(), entry))
        else:
            problems.append(Problem(entry.at_key(), "a key must be a plain word", _COPY_SAMPLE))
    return entries, problems


def flow_entry(label: str, text: str) -> YamlValue:
    """Return the value that an environment variable holds; a list is written [a, b].

    Raises:
        Refused: the text begins like a list and is not one.
    """
    if not text.lstrip().startswith(("[", "{")):
        return YamlValue(label, Path.cwd(), value=text)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise Refused(label, "it is not a list in YAML notation", "write [a, b]") from error
    return YamlValue(label, Path.cwd(), value=None if node is None else _text(node))


_REMOVE_ALIAS = "write the value instead of the alias"
_COPY_SAMPLE = "copy sample_config_aws.yaml to config_aws.yaml and fill in its placeholders"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Refused(f"there is no configuration file {path}", "", _COPY_SAMPLE) from error
    except OSError as error:
        raise Refused(
            f"the configuration file {path} cannot be read",
            str(error.strerror or error),
            "pass a readable file with --yaml",
        ) from error


def _compose(content: bytes, path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        raise Refused(position, f"invalid YAML: {error.problem}", _fix(error)) from error
    except yaml.YAMLError as error:
        raise Refused(
            path.name,
            f"invalid YAML: {' '.join(str(error).split())}",
            "save the file as plain text in UTF-8",
        ) from error


def _contains_itself(node: yaml.Node, parents: tuple[yaml.Node, ...]) -> bool:
    if not isinstance(node, yaml.CollectionNode):
        return False
    parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    ancestors = (*parents, node)
    return any(
        any(part is ancestor for ancestor in ancestors) or _contains_itself(part, ancestors)
        for part in parts
    )


def _fix(error: yaml.MarkedYAMLError) -> str:
    text = str(error.problem)
    if "escape" in text:
        return "put a path with backslashes in single quotes"
    if "'\\t'" in text:
        return "replace the tab character by spaces"
    return "write each line as 'key: value', and put a value with special characters in quotes"


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


def _position(label: str, node: yaml.Node | None) -> str:
    if node is None:
        return label
    return f"{label}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


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

"""YAML that others can write, read with limits: size, depth, number of values, aliases.

PyYAML itself recurses at each level, and a few lines of aliases can stand for billions of values.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError

MAX_BYTES = 256 * 1024
"""Size of a configuration file; the sample with every key has 13 KB."""

MAX_DEPTH = 32
"""Levels of nested values."""

MAX_NODES = 20_000
"""Values of a file, where each alias counts as what it stands for."""

ANY_SIZE = 16 * 1024 * 1024
"""Size of a file that other programs write too, such as a kubeconfig."""

ANY_COUNT = 500_000
"""Values of such a file."""

_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class BadYaml(yaml.MarkedYAMLError):
    """A text that is no YAML, or exceeds a limit; `line` and `column` count from 1, 0: unknown."""

    def __init__(self, why: str, hint: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(problem=why)
        self.why, self.hint, self.line, self.column = why, hint, line, column

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}" if self.line else self.why


def compose(content: bytes | str) -> yaml.Node | None:
    """Return the node of the only document; None for an empty one.

    Raises:
        BadYaml: it is not YAML, is not text, or exceeds a limit.
    """
    return _compose(content, MAX_BYTES, MAX_NODES)


def load(content: bytes | str, *, most_bytes: int = MAX_BYTES, most_nodes: int = MAX_NODES) -> Any:
    """Return the value of the only document, as `yaml.safe_load` does.

    Raises:
        BadYaml: as `compose`, or a value is not what its tag says.
    """
    node = _compose(content, most_bytes, most_nodes)
    return None if node is None else construct(node)


def construct(node: yaml.Node) -> Any:
    """Return the value of a node with YAML's types.

    Raises:
        BadYaml: a value is not what its tag says, such as a date in month 13.
    """
    try:
        return SafeConstructor().construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise _marked(error) from None
    except (ValueError, TypeError, OverflowError) as error:
        mark = node.start_mark
        why = str(error).partition(";")[0]
        raise BadYaml(why, _QUOTE, line=mark.line + 1, column=mark.column + 1) from None


_QUOTE = "put the value in quotes"
_SIMPLER = "write the values themselves, without aliases and with fewer levels"
_ENCODE = "save the file as plain text in UTF-8"


class _Loader(yaml.SafeLoader):
    """Refuses while it reads: what is too deep never recurses, what is too long never ends."""

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self._depth = self._count = 0
        self._most = most

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH:
            raise _at(event.start_mark, f"it is nested deeper than {MAX_DEPTH} levels", _SIMPLER)
        if self._count > self._most:
            raise _at(event.start_mark, f"it has more than {self._most} values", _SIMPLER)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _compose(content: bytes | str, most_bytes: int, most_nodes: int) -> yaml.Node | None:
    if len(content) > most_bytes:
        raise BadYaml(f"it is longer than {most_bytes // 1024} KB", "shorten the file")
    text = content if isinstance(content, str) else decode(content)
    try:
        loader = _Loader(text, most_nodes)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except BadYaml:
        raise
    except ReaderError as error:
        line, column = _line_of(text, error.position)
        why = f"the character U+{ord(text[error.position]):04X} is not allowed"
        raise BadYaml(why, _ENCODE, line=line, column=column) from None
    except yaml.MarkedYAMLError as error:
        raise _marked(error) from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadYaml(" ".join(str(error).split()), _ENCODE) from None
    if node is not None:
        _measure(node, most_nodes)
    return node


def decode(content: bytes) -> str:
    """Return a file's bytes as text: UTF-8, or what its byte order mark says.

    Raises:
        BadYaml: it is neither.
    """
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        why = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise BadYaml(why, _ENCODE, line=line, column=column) from None


def _measure(root: yaml.Node, most: int) -> None:
    """Count values and levels with each alias as what it stands for.

    An anchor comes before its aliases, so this recurses only as deep as the text is nested.
    """
    sizes: dict[int, tuple[int, int]] = {}
    inside: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in inside:
            why = "an alias (*name) is inside its own anchor (&name)"
            raise _at(node.start_mark, why, "write the value instead of the alias")
        if id(node) not in sizes:
            inside.add(id(node))
            parts = [measure(part) for part in parts_of(node)]
            inside.discard(id(node))
            size = 1 + sum(size for size, _ in parts)
            depth = 1 + max((depth for _, depth in parts), default=0)
            if size > most:
                why = f"with its aliases it stands for more than {most} values"
                raise _at(node.start_mark, why, _SIMPLER)
            if depth > MAX_DEPTH:
                why = f"with its aliases it is nested deeper than {MAX_DEPTH} levels"
                raise _at(node.start_mark, why, _SIMPLER)
            sizes[id(node)] = size, depth
        return sizes[id(node)]

    measure(root)


def parts_of(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield the keys and values, or the items, of a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _at(mark: yaml.Mark, why: str, hint: str) -> BadYaml:
    return BadYaml(why, hint, line=mark.line + 1, column=mark.column + 1)


def _marked(error: yaml.MarkedYAMLError) -> BadYaml:
    """Return PyYAML's error in words for who does not know YAML's grammar."""
    problem, context = str(error.problem), str(error.context)
    unknown = ("", False, problem, _LINES)
    rows = (row for row in _GRAMMAR if row[0] in (context if row[1] else problem))
    _, begins, why, hint = next(rows, unknown)
    marks = [error.problem_mark, error.context_mark]
    mark = next(filter(None, reversed(marks) if begins else marks), None)
    why = f"invalid YAML: {why}"
    return _at(mark, why, hint) if mark else BadYaml(why, hint)


_LINES = "write each line as 'key: value', and put a value with special characters in quotes"
_COLUMN = "write each line as 'key: value', beginning in the first column; a value with a colon "

_GRAMMAR = (
    (
        "escape",
        False,
        "a backslash begins an escape sequence that does not exist",
        "put a path with backslashes in single quotes",
    ),
    (
        "'\\t'",
        False,
        "a tab character cannot begin a value or an indentation",
        "replace the tab character by spaces",
    ),
    (
        "while parsing a flow",
        True,
        "this bracket is not closed",
        "close it, as in [a, b] and {a: b}",
    ),
    ("scanning a quoted scalar", True, "this quote is not closed", "close it"),
    ("scanning a simple key", True, "this line is not of the form 'key: value'", _LINES),
    (
        "expected <block end>",
        False,
        "this does not belong to the value before it",
        "close the quotes of this line and of those above, and begin each key in the first column",
    ),
    (
        "'<document start>'",
        False,
        "the lines above are not of the form 'key: value', or are indented",
        _COLUMN + "needs quotes",
    ),
    (
        "mapping values",
        False,
        "no colon is expected here: the line is indented, that above has no colon, or a value has"
        " one",
        _COLUMN + "needs quotes",
    ),
    (
        "cannot start any token",
        False,
        "a value cannot begin with this character",
        "put the value in quotes",
    ),
    (
        "undefined alias",
        False,
        "what begins with * is the name of an alias, and there is none of this name",
        "put the value in quotes",
    ),
    ("another document", False, "a second document begins here", "remove the line ---"),
)
"""Part of PyYAML's text, whether of its context, where the mistake began -> cause and fix.

https://github.com/yaml/pyyaml/blob/main/lib/yaml/parser.py, scanner.py, composer.py.
"""


def _line_of(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)

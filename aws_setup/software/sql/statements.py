"""Splitting an SQL script into statements, as the mysql client does."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = r"""
    (?P<quoted>'(?:[^'\\]++|\\.?|'')*+(?:'|\Z)|"(?:[^"\\]++|\\.?|"")*+(?:"|\Z)|`[^`]*+`?)
    |(?P<comment>--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*(?!!).*?(?:\*/|\Z))
    |(?P<special>/\*!.*?(?:\*/|\Z))
    |(?P<end>DELIMITER)
    |(?P<plain>[^'"`\#/\-\nDELIMITER[0]]++|.)
    """
"""The parts of a script; none is read twice, and what is not closed reaches to the end."""

_DELIMITER = re.compile(r"[ \t]*delimiter[ \t]+(\S+)[^\n]*(?:\n|$)", re.IGNORECASE)
_CONTEXT = re.compile(r"(?:/\*!\d*\s*)?(?:USE|SET)\b", re.IGNORECASE)
_SECRET = re.compile(r"\b(IDENTIFIED|PASSWORD)\b.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One statement without its delimiter, and the line of the script where it starts.

    A `context` statement (USE, SET) changes only the session, so that every session needs it.
    """

    text: str
    line: int

    @property
    def context(self) -> bool:
        """Tell whether it changes only the session."""
        return _CONTEXT.match(self.text) is not None

    @property
    def secret(self) -> bool:
        """Tell whether it may contain a password."""
        return _SECRET.search(self.text) is not None

    @property
    def start(self) -> str:
        """The first 60 characters, for messages; never a password."""
        words = " ".join(_SECRET.sub(r"\1 …", self.text).split())
        return words if len(words) <= 60 else f"{words[:60]}…"


def split(script: str) -> list[Statement]:
    """Return the statements of a script in their order, without comments between them."""
    return list(_statements(script.replace("\r\n", "\n")))


def digest(statements: Sequence[Statement]) -> str:
    """Return the SHA-256 of some statements, in hexadecimal; comments have no effect."""
    text = "\0".join(statement.text for statement in statements)
    return hashlib.sha256(text.encode()).hexdigest()


def _statements(script: str) -> Iterator[Statement]:
    token, position, start, line, counted = _tokens(";"), 0, 0, 1, 0
    text: list[str] = []
    blank = True
    while position < len(script):
        command = blank and _at_line_start(script, position) and _DELIMITER.match(script, position)
        if command:
            token, position, text = _tokens(command[1]), command.end(), []
            continue
        found = token.match(script, position)
        if found is None:  # pragma: no cover -- every character is a token
            break
        start = position if blank else start
        position = found.end()
        if found["end"] is None:
            text.append(" " if found["comment"] is not None else found[0])
            blank = blank and not text[-1].strip()
            continue
        if not blank:
            line, counted = line + script.count("\n", counted, start), start
            yield Statement("".join(text).strip(), line)
        text, blank = [], True
    if not blank:
        yield Statement("".join(text).strip(), line + script.count("\n", counted, start))


def _tokens(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of the next token, given the delimiter of statements."""
    parts = {"DELIMITER[0]": re.escape(delimiter[0]), "DELIMITER": re.escape(delimiter)}
    pattern = _TOKEN
    for name, text in parts.items():
        pattern = pattern.replace(name, text)
    return re.compile(pattern, re.VERBOSE | re.DOTALL)


def _at_line_start(script: str, position: int) -> bool:
    return position == 0 or script[position - 1] == "\n"

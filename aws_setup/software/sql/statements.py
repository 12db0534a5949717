"""An SQL script cut into its statements, as the mysql client cuts it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)
    |(?P<comment>--(?=\s|$)[^\n]*|\#[^\n]*|/\*(?!!).*?\*/)
    |(?P<special>/\*!.*?\*/)
    """,
    re.VERBOSE | re.DOTALL,
)
_DELIMITER = re.compile(r"[ \t]*delimiter[ \t]+(\S+)[^\n]*(?:\n|$)", re.IGNORECASE)
_CONTEXT = re.compile(r"(?:/\*!\d*\s*)?(?:USE|SET)\b", re.IGNORECASE)
_SECRET = re.compile(r"\b(IDENTIFIED|PASSWORD)\b.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One statement without its delimiter, and the line of the script where it begins.

    A `context` statement (USE, SET) changes nothing but the session: every session needs it.
    """

    text: str
    line: int

    @property
    def context(self) -> bool:
        """Tell whether it changes nothing but the session."""
        return _CONTEXT.match(self.text) is not None

    @property
    def secret(self) -> bool:
        """Tell whether it may hold a password."""
        return _SECRET.search(self.text) is not None

    @property
    def start(self) -> str:
        """The statement's first words, for people; a password is never among them."""
        words = " ".join(_SECRET.sub(r"\1 …", self.text).split())
        return words if len(words) <= 60 else f"{words[:60]}…"


def split(script: str) -> list[Statement]:
    """Return the statements of a script in their order; comments between them are dropped."""
    return list(_statements(script.replace("\r\n", "\n")))


def digest(statements: Sequence[Statement]) -> str:
    """Return the SHA-256 of some statements, in hexadecimal; comments do not count."""
    text = "\0".join(statement.text for statement in statements)
    return hashlib.sha256(text.encode()).hexdigest()


def _statements(script: str) -> Iterator[Statement]:
    delimiter, place, begin = ";", 0, 0
    text: list[str] = []
    while place < len(script):
        blank = not "".join(text).strip()
        command = (
            _DELIMITER.match(script, place) if blank and _at_line_start(script, place) else None
        )
        if command:
            delimiter, place, text = command[1], command.end(), []
        elif token := _TOKEN.match(script, place):
            if token["comment"] is None:
                begin = place if blank else begin
                text.append(token[0])
            else:
                text.append(" ")
            place = token.end()
        elif script.startswith(delimiter, place):
            if not blank:
                yield _statement(script, text, begin)
            text, place = [], place + len(delimiter)
        else:
            begin = place if blank else begin
            text.append(script[place])
            place += 1
    if "".join(text).strip():
        yield _statement(script, text, begin)


def _at_line_start(script: str, place: int) -> bool:
    return place == 0 or script[place - 1] == "\n"


def _statement(script: str, text: list[str], begin: int) -> Statement:
    return Statement("".join(text).strip(), script.count("\n", 0, begin) + 1)

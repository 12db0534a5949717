"""Java's properties files: named keys are read and set, every other byte is kept.

Source of the format: https://docs.oracle.com/javase/8/docs/api/java/util/Properties.html#load-java.io.Reader-
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from aws_setup.errors import Refused

BLANKS = " \t\f"
"""Java's white space within a line."""

ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

_NATURAL_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")

_MARKS = {
    codecs.BOM_UTF8: "it begins with a UTF-8 byte order mark, which Java reads as part of a key",
    codecs.BOM_UTF16_LE: "it is UTF-16, which Java cannot read",
    codecs.BOM_UTF16_BE: "it is UTF-16, which Java cannot read",
}


@dataclass(frozen=True)
class Entry:
    """A key with its value, unescaped, and the byte offsets of the value.

    `separator` is '' when the line is only a key. `raw_ascii` is False when the line has bytes
    that are not ASCII. `invalid` says what is wrong with its escapes.
    """

    key: str
    value: str
    start: int
    end: int
    separator: str
    raw_ascii: bool = True
    invalid: str = ""


@dataclass(frozen=True)
class JavaProperties:
    """A parsed file; `source` names it in errors."""

    source: str
    data: bytes
    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, data: bytes, *, source: str) -> JavaProperties:
        """Parse a file as Java does, in ISO 8859-1; nothing is rewritten.

        Raises:
            Refused: the file begins with a byte order mark, or has NUL bytes.
        """
        for mark, why in _MARKS.items():
            if data.startswith(mark):
                _refuse(source, why, "save it as ASCII, without a byte order mark")
        if b"\0" in data:
            _refuse(source, "it has NUL bytes, so it is no text file", "save it as ASCII")
        return cls(source, data, tuple(_entries(data.decode("latin-1"))))

    def get(self, key: str) -> str | None:
        """Return a key's value, None when it is not set.

        Raises:
            Refused: the key is set twice, or its line is not ASCII or has an invalid escape.
        """
        found = self._entry(key)
        return None if found is None else found.value

    def with_values(self, values: Mapping[str, str]) -> bytes:
        """Return the file with these keys set; the same bytes where no value differs.

        Missing keys are appended in the order of `values`.

        Raises:
            Refused: as `get`.
        """
        data, missing = self.data, {}
        edits: list[tuple[int, int, str]] = []
        for key, value in values.items():
            found = self._entry(key)
            if found is None:
                missing[key] = value
            elif found.value != value:
                sign = "" if found.separator else "="
                edits.append((found.start, found.end, sign + escaped(value)))
        for start, end, text in sorted(edits, reverse=True):
            data = data[:start] + text.encode("ascii") + data[end:]
        return data + self._appended(data, missing) if missing else data

    def _entry(self, key: str) -> Entry | None:
        found = [entry for entry in self.entries if entry.key == key]
        if len(found) > 1:
            _refuse(self.source, f"the key {key} is set {len(found)} times", "keep one")
        if found and found[0].invalid:
            _refuse(self.source, f"the key {key} has {found[0].invalid}", "correct the escape")
        if found and not found[0].raw_ascii:
            why = f"the line of the key {key} is not ASCII, and Java reads it as ISO 8859-1"
            _refuse(self.source, why, r"write other characters as \uXXXX")
        return found[0] if found else None

    def _appended(self, data: bytes, values: Mapping[str, str]) -> bytes:
        text = data.decode("latin-1")
        newline = "\r\n" if "\r\n" in text else "\n"
        last = [line for line in _NATURAL_LINE.findall(text) if line][-1:]
        before = ""
        if last and _continues(last[0].rstrip("\r\n")) and not _is_comment(text):
            # The last line continues: an empty line ends it.
            before = newline if last[0].endswith(("\r", "\n")) else newline * 2
        elif last and not last[0].endswith(("\r", "\n")):
            before = newline
        lines = [f"{escaped(key)}={escaped(value)}{newline}" for key, value in values.items()]
        return (before + "".join(lines)).encode("ascii")


def escaped(text: str) -> str:
    """Return a key or value as it is written in a file, in ASCII."""
    names = {char: name for name, char in ESCAPES.items()}
    parts = []
    for index, char in enumerate(text):
        if char == "\\":
            parts.append("\\\\")
        elif char in names:
            parts.append("\\" + names[char])
        elif index == 0 and char in " =:#!":
            parts.append("\\" + char)
        elif " " <= char <= "~":
            parts.append(char)
        else:
            units = char.encode("utf-16-be").hex().upper()
            parts += [f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)]
    return "".join(parts)


def _entries(text: str) -> Iterator[Entry]:
    """Yield the entries of a file's text, one character for each byte."""
    position = 0
    while position < len(text):
        chars, position, end = _logical_line(text, position)
        if chars:
            yield _entry(chars, end)


def _logical_line(text: str, position: int) -> tuple[list[tuple[str, int]], int, int]:
    """Return the characters of a line with their offsets, the next line's offset, and the end.

    The end is that of the last natural line without its terminator. A blank line or a comment has
    no characters.
    """
    chars: list[tuple[str, int]] = []
    first = True
    while True:
        found = _NATURAL_LINE.match(text, position)
        line = found[0] if found else ""
        content = line.rstrip("\r\n")
        start = len(content) - len(content.lstrip(BLANKS))
        end = position + len(content)
        if first and content[start : start + 1] in {"", "#", "!"}:
            return [], position + len(line), end
        goes_on = _continues(content)
        kept = content[start:-1] if goes_on else content[start:]
        chars += [(char, position + start + index) for index, char in enumerate(kept)]
        position += len(line)
        first = False
        if not goes_on or position >= len(text):
            return chars, position, end


def _continues(content: str) -> bool:
    """Whether a natural line ends with an odd number of backslashes."""
    return (len(content) - len(content.rstrip("\\"))) % 2 == 1


def _is_comment(text: str) -> bool:
    """Whether the last natural line is a comment, which never continues."""
    position = 0
    chars: list[tuple[str, int]] = []
    while position < len(text):
        chars, position, _ = _logical_line(text, position)
    return not chars


def _entry(chars: list[tuple[str, int]], end: int) -> Entry:
    """Split a logical line into key, separator and value."""
    size = _key_length(chars)
    rest = size
    while rest < len(chars) and chars[rest][0] in BLANKS:
        rest += 1
    if rest < len(chars) and chars[rest][0] in "=:":
        rest += 1
        while rest < len(chars) and chars[rest][0] in BLANKS:
            rest += 1
    start = chars[rest][1] if rest < len(chars) else chars[-1][1] + 1
    key, invalid_key = _unescaped([char for char, _ in chars[:size]])
    value, invalid = _unescaped([char for char, _ in chars[rest:]])
    separator = "".join(char for char, _ in chars[size:rest])
    ascii_only = all(char.isascii() for char, _ in chars)
    return Entry(key, value, start, end, separator, ascii_only, invalid_key or invalid)


def _key_length(chars: list[tuple[str, int]]) -> int:
    index = 0
    while index < len(chars) and chars[index][0] not in BLANKS + "=:":
        index += 2 if chars[index][0] == "\\" else 1
    return min(index, len(chars))


def _unescaped(chars: list[str]) -> tuple[str, str]:
    """Return a text without escapes, and what is invalid in it."""
    units: list[str] = []
    index, invalid = 0, ""
    while index < len(chars):
        char = chars[index]
        index += 1
        if char != "\\":
            units.append(char)
            continue
        escape = chars[index] if index < len(chars) else ""
        index += 1
        if escape == "u":
            digits = "".join(chars[index : index + 4])
            index += 4
            if re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
                units.append(chr(int(digits, 16)))
            else:
                invalid = f"the invalid escape \\u{digits}"
        else:
            units.append(ESCAPES.get(escape, escape))
    text = "".join(units)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16"), invalid
    except UnicodeDecodeError:
        return text, "half of a surrogate pair"


def _refuse(source: str, why: str, hint: str) -> NoReturn:
    raise Refused(f"{source} cannot be edited", why, hint)

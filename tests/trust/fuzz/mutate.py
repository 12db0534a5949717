"""Damaged variants of an input: bytes, words, lines, and the values of JSON and YAML documents."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import yaml

EDGES: tuple[bytes, ...] = (
    b"", b"\x00" * 100, b"[" * 100_000, b"{" * 5000, b"null", b"[]", b"{}", b'"x"', b"0", b"[null]",
    b"\xff" * 50, b"\xef\xbb\xbf", b"\xff\xfeA\x00", b"\n" * 50_000, b"- " * 50_000, b"a: " * 5000,
)  # fmt: skip
"""Whole inputs that every reader gets."""

PIECES: tuple[bytes, ...] = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b'"', b"{", b"}", b"[", b"]", b":", b"|",
    b"9" * 5000, b"[" * 5000, b"null", b"1e999", b"NaN", b"-", b"=", b"\\u", b"AAAA", b"%", b"${",
    b"\xe2\x80\xae", b"\x1b]0;x\x07", b"\xc2\x9b2J", b"\xc2\xb2", b"\xd9\xa3", b"\\", b"&a *a",
    b"Match exec x\n", b"Include /\n", b"Port x\n", b"@revoked ", b"|1|a|b ", b"[red]", b"[/]",
)  # fmt: skip
"""What is put in somewhere: separators, controls, digits that int() does not take, markup."""

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**30, 0.5, "", " ", "\x1b[31m\u202e\r\n", "²", "9" * 5000,
    "x" * 3000, [], {}, [None], {"": None}, [[[[]]]], "[red]x[/red]", "../..", "\ud800",
)  # fmt: skip
"""What replaces a value of a document."""

WORDS: tuple[bytes, ...] = (
    b"", b"0", b"-1", b"9" * 30, b"9" * 5000, "²".encode(), "٣".encode(), b"1e999", b"nan", b"None",
    b"\x1b[2J", b"\xe2\x80\xae", b"x" * 3000, b"a b", b"::1", b"%%", b"=", b"\xff",
)  # fmt: skip
"""What replaces a word of a text."""


def damaged(seed: bytes, dice: random.Random) -> bytes:
    """Return a variant of an input: one of several kinds of damage, once or a few times."""
    content = seed
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        content = dice.choice(_KINDS)(content, dice)
    return content


def _pieces(content: bytes, dice: random.Random) -> bytes:
    found = bytearray(content)
    at = dice.randrange(len(found) + 1)
    act = dice.randrange(4)
    if act == 0:
        del found[at : at + dice.randint(1, 30)]
    elif act == 1:
        found[at:at] = dice.choice(PIECES)
    elif act == 2:
        del found[at:]
    elif found:
        found[at % len(found)] ^= 1 << dice.randrange(8)
    return bytes(found)


def _words(content: bytes, dice: random.Random) -> bytes:
    words = content.split(b" ")
    words[dice.randrange(len(words))] = dice.choice(WORDS)
    return b" ".join(words)


def _lines(content: bytes, dice: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, to = dice.randrange(len(lines)), dice.randrange(len(lines))
    act = dice.randrange(3)
    if act == 0:
        lines[at], lines[to] = lines[to], lines[at]
    elif act == 1:
        lines.insert(to, lines[at])
    else:
        del lines[at]
    return b"\n".join(lines)


def _document(content: bytes, dice: random.Random) -> bytes:
    """Change a value of a JSON or YAML document; of anything else, some bytes."""
    try:
        value = json.loads(content)
        return json.dumps(changed(value, dice)).encode()
    except (ValueError, RecursionError):
        pass
    try:
        value = yaml.safe_load(content)
        if isinstance(value, dict | list):
            return yaml.dump(changed(value, dice), allow_unicode=True).encode("utf-8", "replace")
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        pass
    return _pieces(content, dice)


_KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _pieces, _pieces, _words, _lines, _document, _document, _document
)  # fmt: skip


def changed(value: Any, dice: random.Random, *, depth: int = 0) -> Any:
    """Return a document with one of its values replaced, removed, or wrapped."""
    inside = isinstance(value, dict | list) and len(value) > 0
    if not inside or (depth and dice.random() < 0.2):
        return dice.choice((dice.choice(VALUES), dice.choice(VALUES), [value], {"x": value}))
    if isinstance(value, dict):
        key = dice.choice(list(value))
        rest = {name: item for name, item in value.items() if name != key}
        if dice.random() < 0.15:
            return rest
        return rest | {key: changed(value[key], dice, depth=depth + 1)}
    at = dice.randrange(len(value))
    if dice.random() < 0.15:
        return value[:at] + value[at + 1 :]
    return [*value[:at], changed(value[at], dice, depth=depth + 1), *value[at + 1 :]]

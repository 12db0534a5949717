"""Texts of machines, services and files, made harmless before they are shown or logged.

A terminal obeys control characters (a title, a cursor movement, even an answer typed for the user),
and bidirectional or zero-width characters show another text than the one that is there. Everything
that is shown passes through here: the consoles, the page, the logs and the JSON documents.
"""

from __future__ import annotations

import json
import re
from typing import Any

_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's controls, format characters with an effect on layout (bidi, joiners, byte order mark),
other default-ignorable code points (UAX #44, Default_Ignorable_Code_Point), and surrogates."""

_UNSAFE = re.compile(f"[{_INVISIBLE}]")
_LINE_END = re.compile("(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])+|\t")


def visible(text: str) -> str:
    r"""Return a text with its invisible characters written as \x1b, \u202e; lines are kept."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return a text as one line without invisible characters; line ends and tabs become spaces."""
    return _UNSAFE.sub(_escape, _LINE_END.sub(" ", text))


def shorten(text: str, most: int) -> str:
    """Return a text as one line of at most `most` characters, without invisible ones."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def json_text(document: Any, **how: Any) -> str:
    """Return a document as JSON that has the same values and no invisible characters.

    Args:
        document: what `json.dumps` takes.
        how: its options; `ensure_ascii` is False by default.
    """
    text = json.dumps(document, **{"ensure_ascii": False, **how})
    return _UNSAFE.sub(_json_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]

"""Words for numbers, and words of a shell."""

from __future__ import annotations

import os
import re
import shlex


def count_of(number: int | str, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 machine`, `10 machines`.

    Args:
        number: how many, or the words for it: `no`, `unknown`.
        noun: in the singular, with what belongs to it.
        plural: where it is not the singular with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def shell_word(text: str, *, windows: bool = os.name == "nt") -> str:
    """Return a text as one word of the user's shell: cmd and PowerShell know double quotes."""
    if windows:
        return f'"{text}"' if re.search(r"[\s&()^;,']", text) else text
    return shlex.quote(text)

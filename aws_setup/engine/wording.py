"""Words for numbers."""

from __future__ import annotations


def count_of(number: int | str, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 machine`, `10 machines`.

    Args:
        number: how many, or the words for it: `no`, `unknown`.
        noun: in the singular, with what belongs to it.
        plural: where it is not the singular with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"

"""The form of names and ids: a pattern, and the words that say it in a message."""

from __future__ import annotations

from pydantic import StringConstraints

FORMS: dict[str, str] = {}
"""Pattern -> its words; pydantic's error has the pattern alone."""


def of_form(pattern: str, words: str) -> StringConstraints:
    """Return the constraint of texts with a form, for an annotation.

    Args:
        pattern: a regular expression, also for the schema of editors.
        words: what is expected, as in "12 digits".
    """
    FORMS[pattern] = words
    return StringConstraints(pattern=pattern)

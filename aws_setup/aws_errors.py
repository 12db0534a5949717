"""Puts the errors of AWS and botocore into words: cause and mend."""

from __future__ import annotations

from aws_setup.errors import SetupError


def explain(error: Exception) -> Exception:
    """Return the error as a SetupError when its cause is known, else the error itself."""
    if isinstance(error, SetupError):
        return error
    return SetupError(type(error).__name__, str(error), "run it again with -v for the details")

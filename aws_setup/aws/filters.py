"""The filters of EC2's Describe calls."""

from __future__ import annotations

import re


def literal(text: str) -> str:
    r"""Return the value of a filter that matches a text alone.

    In a value `*` and `?` are wildcards; `\` before them, and before itself, takes them literally.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
    """
    return re.sub(r"([*?\\])", r"\\\1", text)

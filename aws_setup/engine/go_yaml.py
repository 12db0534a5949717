"""YAML for programs in Go, which read some plain words otherwise than PyYAML."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a reader of YAML may take for a number, a time or a truth value.

    PyYAML's pattern of a float requires a dot, so that it writes the text 4711e08 without quotes,
    and 0899, which is no octal number; y and n are truth values of YAML 1.1. What else is no plain
    text PyYAML quotes (https://github.com/go-yaml/yaml/blob/v2.4.0/resolve.go).
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Write each value where it is, without anchors."""
        return True


_LIKE_NUMBERS = re.compile(r"^([-+]?[._]*[0-9].*|[yYnN])$")

_Dumper.add_implicit_resolver(
    "tag:lambda-fs,2026:not-plain", _LIKE_NUMBERS, list("-+.0123456789yYnN")
)


def dump(document: Any, *, sort_keys: bool = True, allow_unicode: bool = False) -> str:
    """Return a document as YAML whose texts are texts for every reader."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=sort_keys, allow_unicode=allow_unicode
    )
    return text

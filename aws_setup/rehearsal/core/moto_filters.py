r"""Values of EC2's filters, matched as EC2 matches them.

`*` is any text, `?` is one character or none, and a backslash takes the next character literally.
moto knows no backslash in most filters, and takes `[` as the beginning of a set.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
"""

from __future__ import annotations

import functools
import importlib
import re
from types import SimpleNamespace
from typing import Any

_PART = re.compile(r"\\(.)|(\*)|(\?)|(.)", re.DOTALL)


def install() -> None:
    """Replace moto's matching of filters, once per process; moto's lists must be installed."""
    module: Any = importlib.import_module("moto.ec2.utils")
    module.fnmatch = SimpleNamespace(fnmatch=matches, translate=_expression)
    module.simple_aws_filter_to_re = _expression


def matches(value: str, pattern: str) -> bool:
    """Return whether a filter's value matches a resource's."""
    return _compiled(pattern).fullmatch(value) is not None


@functools.lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_expression(pattern))


def _expression(pattern: str) -> str:
    parts = (
        ".*" if found[2] else ".?" if found[3] else re.escape(found[1] or found[4])
        for found in _PART.finditer(pattern)
    )
    return rf"(?s:{''.join(parts)})\Z"

"""Quantities such as `512Mi` and `500m`, in the canonical form in which the API stores them.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

BINARY = {name: 2 ** (10 * power) for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)}
BINARY["Ei"] = 2**60
DECIMAL = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
}
_QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([a-zA-Z]*))$")
PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
"""The pattern that Kubernetes' message names."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Fraction:
    """Return the value of a quantity.

    Raises:
        ValueError: the text is no quantity.
    """
    found = _QUANTITY.match(text)
    if not found:
        raise ValueError(f"quantities must match the regular expression '{PATTERN}'")
    number, exponent, unit = found.groups()
    if exponent:
        return Fraction(number) * Fraction(10) ** int(exponent[1:])
    factor = BINARY.get(unit) or DECIMAL.get(unit or "")
    if factor is None:
        raise ValueError("unable to parse quantity's suffix")
    return Fraction(number) * factor


@lru_cache(maxsize=1024)
def canonical(text: str) -> str:
    """Return a quantity with the largest suffix that leaves a whole number.

    Raises:
        ValueError: the text is no quantity.
    """
    value = parse(text)
    if not value:
        return "0"
    if text.endswith("i") and value.denominator == 1:
        for unit, factor in reversed(BINARY.items()):
            if value % factor == 0:
                return f"{value // factor}{unit}"
        return str(value)
    if re.search(r"[eE][+-]?\d+$", text):
        return text
    for unit in ("E", "P", "T", "G", "M", "k", "", "m", "u", "n"):
        if value % DECIMAL[unit] == 0:
            return f"{value // DECIMAL[unit]}{unit}"
    # Smaller parts than 1n are rounded up.
    return f"{-(-value // DECIMAL['n'])}n"

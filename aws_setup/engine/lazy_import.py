"""Modules that are imported when one of their names is used: most runs use none of them."""

from __future__ import annotations

import importlib
from typing import Any


class LazyModule:
    """A module that is imported at the first use of a name; safe to use from many threads.

    importlib.util.LazyLoader is not: two threads may see a module that is half executed
    (https://github.com/python/cpython/issues/114763), and it imports the packages above at once.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Return a name of the module."""
        return getattr(importlib.import_module(self._name), name)

"""Fixtures of this folder's tests."""

from __future__ import annotations

from tests.support.preflight import operator, settings

__all__ = ["operator", "settings"]

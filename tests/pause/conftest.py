"""Fixtures of this folder's tests."""

from __future__ import annotations

from tests.support.aws import cloud, settings

__all__ = ["cloud", "settings"]

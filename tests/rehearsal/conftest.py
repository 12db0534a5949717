"""Fixtures of this folder's tests."""

from __future__ import annotations

from tests.support.aws import cloud, settings, slow_cloud

__all__ = ["cloud", "settings", "slow_cloud"]

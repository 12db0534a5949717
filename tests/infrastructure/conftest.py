"""Fixtures of this folder's tests."""

from __future__ import annotations

from tests.support.aws import cloud, settings
from tests.support.kube import kube

__all__ = ["cloud", "kube", "settings"]

"""Fixtures of this folder's tests."""

from __future__ import annotations

from tests.support.kube import kube, slow_kube

__all__ = ["kube", "slow_kube"]

"""A chart of our own with the objects, names and values of an OpenWhisk on EKS."""

from __future__ import annotations

from pathlib import Path

CHART = Path(__file__).resolve().parent / "openwhisk"
"""The chart's folder, for `openwhisk_chart` and for helm."""

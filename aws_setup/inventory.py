"""One look at the cloud: everything of this deployment, read in parallel with few list calls."""

from __future__ import annotations


class Inventory:
    """What AWS says exists; `find` of every step looks here."""

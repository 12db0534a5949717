"""Reads the configuration file."""

from __future__ import annotations

from pathlib import Path

import yaml

from aws_setup.config.model import Config


def load_config(path: Path) -> Config:
    """Return the configuration in `path`."""
    return Config.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))

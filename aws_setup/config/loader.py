"""Reads the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aws_setup.config.model import Config


def load_config(path: Path, *, overrides: Mapping[str, Any]) -> Config:
    """Return the configuration in `path`, with `overrides` from the command line on top."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Config.model_validate(document | dict(overrides))

"""The user's own Helm values: the file of openwhisk_values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aws_setup.config import Config, bounded_yaml
from aws_setup.config.regular_files import read_file
from aws_setup.errors import Refused


def user_values(config: Config) -> dict[str, Any]:
    """Return the values of openwhisk_values, empty when the key is not set.

    Raises:
        Refused: the file cannot be read, or is not a YAML mapping.
    """
    if not config.openwhisk_values:
        return {}
    path = Path(config.openwhisk_values)
    try:
        loaded = bounded_yaml.load(read_file(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unusable(path, " ".join(str(error).split())) from error
    if loaded is not None and not isinstance(loaded, dict):
        raise _unusable(path, "it is not a mapping of keys and values")
    return loaded or {}


def _unusable(path: Path, why: str) -> Refused:
    return Refused(
        f"openwhisk_values: {path} cannot be used", why, "correct the file, or remove the key"
    )

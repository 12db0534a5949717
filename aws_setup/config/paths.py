"""Where the files of a deployment are: all beside its receipt."""

from __future__ import annotations

from pathlib import Path

from aws_setup.config.model import Config


def receipt_path(config: Config) -> Path:
    """Return where the deployment's receipt is: the .json file named, else one in the folder."""
    path = Path(config.infrastructure_json_path)
    return path if path.suffix == ".json" else path / f"{config.deployment_name}.json"


def events_path(config: Config) -> Path:
    """Return where the deployment's event log is."""
    return receipt_path(config).with_suffix(".events.jsonl")

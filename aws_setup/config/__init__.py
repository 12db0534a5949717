"""The configuration: one flat YAML file, validated on load, immutable afterwards."""

from aws_setup.config.loader import load_config, shadowed_settings
from aws_setup.config.model import Config

__all__ = ["Config", "load_config", "shadowed_settings"]

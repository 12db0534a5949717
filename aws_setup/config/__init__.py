"""The configuration: one flat YAML file, validated on load, immutable afterwards."""

from aws_setup.config.loader import file_warnings, load_config, lock_warnings
from aws_setup.config.model import Config

__all__ = ["Config", "file_warnings", "load_config", "lock_warnings"]

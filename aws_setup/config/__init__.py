"""The configuration: one flat YAML file, validated on load, immutable afterwards."""

import os

# No plug-in of pydantic has a part in it; to search for them reads the metadata of every installed
# package. https://docs.pydantic.dev/latest/concepts/plugins/ (disabling plugins)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from aws_setup.config.loader import file_warnings, load_config, lock_warnings
from aws_setup.config.model import Config

__all__ = ["Config", "file_warnings", "load_config", "lock_warnings"]

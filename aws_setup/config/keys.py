"""Which keys of a configuration have a value: for texts that name what to change."""

from __future__ import annotations

from aws_setup.config.model import Config


def keys_of(config: Config, value: str, *, suffix: str) -> str:
    """Return the configuration keys that have a value, as in 'zookeeper_ami, hopsfs_ami'."""
    values = config.model_dump(include={key for key in type(config).model_fields if suffix in key})
    return ", ".join(key for key, other in values.items() if other == value)

"""The contents of the lock file that no cloud has to be asked for, and what is kept out of it."""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from pydantic import SecretStr

from aws_setup import __version__
from aws_setup.config import Config
from aws_setup.config.chart_source import is_git_url
from aws_setup.config.lock_file import OMITTED, PRIVATE_KEYS
from aws_setup.errors import Refused
from aws_setup.software.ndb.config_files import sizing

PACKAGES = ("boto3", "botocore", "click", "cryptography", "kubernetes", "paramiko", "pydantic")
"""The packages whose versions decide what is sent to AWS, to the cluster and to the machines."""

_ARN = re.compile(r"\barn:aws[a-z-]*:[^\s'\"]+")
_ACCOUNT = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?![\w.])")
_IPV6 = re.compile(r"(?<![\w:])[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:]*(?:/\d{1,3})?(?![\w:])")


def written_by(when: str) -> dict[str, Any]:
    """Return when a part was written, and by which versions; `when` is an ISO date and time."""
    return {
        "written": when,
        "project": __version__,
        "python": platform.python_version(),
        "packages": dict(_package_versions()),
    }


@functools.cache
def _package_versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def configuration_of(config: Config, **resolved: Any) -> dict[str, Any]:
    """Return every key of the configuration, without what is private.

    Args:
        config: the configuration.
        resolved: the values in use of keys that it leaves open.
    """
    values = config.model_dump(mode="json", exclude=set(PRIVATE_KEYS)) | resolved
    if not is_git_url(config.openwhisk_chart):
        values.pop("openwhisk_chart")
    cleaned = without_private(values, secrets=secrets_of(config))
    return {key: value for key, value in sorted(cleaned.items()) if OMITTED not in str(value)}


def database_sizes(config: Config) -> dict[str, Any]:
    """Return the sizes of NDB's data nodes in use; none where they cannot be known."""
    if not config.create_ndb_cluster:
        return {}
    try:
        sizes = sizing(config)
    except Refused:
        return {}
    return {
        "ndb_num_cpus": sizes.cpus,
        "ndb_data_memory": sizes.data_memory,
        "ndb_shared_global_memory": sizes.shared_global_memory,
    }


def secrets_of(config: Config) -> tuple[str, ...]:
    """Return the passwords of the configuration."""
    values = (getattr(config, key) for key in type(config).model_fields)
    found = (value.get_secret_value() for value in values if isinstance(value, SecretStr))
    return tuple(secret for secret in found if secret)


def without_private(value: Any, *, secrets: tuple[str, ...] = ()) -> Any:
    """Return a value without account ids, ARNs, public addresses and passwords in its texts."""
    if isinstance(value, Mapping):
        return {
            without_private(key, secrets=secrets): without_private(item, secrets=secrets)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_private(item, secrets=secrets) for item in value]
    return _clean(value, secrets) if isinstance(value, str) else value


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        # A short password would be found by chance; where it could be, its key is left out.
        text = text.replace(secret, OMITTED) if len(secret) > 3 else text
    text = _ACCOUNT.sub(OMITTED, _ARN.sub(OMITTED, text))
    return _IPV6.sub(_address, _IPV4.sub(_address, text))


def _address(match: re.Match[str]) -> str:
    """Return an address of a private network as it is: it is part of the configuration."""
    text = match[0]
    try:
        found: IPv4Address | IPv6Address
        found = ip_network(text, strict=False).network_address if "/" in text else ip_address(text)
    except ValueError:
        return text
    return text if found.is_private and not _is_documented(found) else OMITTED


def _is_documented(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of documentation, which stands for a public one (RFC 5737, 3849).

    Python counts these among the private ones.
    """
    networks = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
    return any(
        address in network
        for network in map(ip_network, networks)
        if network.version == address.version
    )

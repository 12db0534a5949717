"""The lock file: what a deployment consisted of, read to repeat it or to compare with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_setup.config import bounded_yaml
from aws_setup.config.model import Config
from aws_setup.config.paths import absolute
from aws_setup.config.regular_files import read_file
from aws_setup.errors import Refused

SCHEMA = 1
"""Version of the format that is written; a file of an older version is read as it is."""

INFRASTRUCTURE, CLUSTER, NAMENODES = "infrastructure", "cluster", "namenodes"
PARTS = (INFRASTRUCTURE, CLUSTER, NAMENODES)
"""The part of each of the three scripts."""

OMITTED = "<omitted>"
"""What replaces an account id or a public address within a text."""

PRIVATE_KEYS = frozenset(
    {
        "availability_zones",
        "aws_account_id",
        "aws_profile",
        "cluster_admins",
        "eks_public_access_cidrs",
        "infrastructure_json_path",
        "kube_context",
        "kubeconfig_file",
        "kubeconfig_path",
        "ndb_password",
        "ndb_root_password",
        "ndb_sql_scripts_dir",
        "openwhisk_access_cidrs",
        "openwhisk_tls_arn",
        "openwhisk_tls_cert",
        "openwhisk_tls_key",
        "openwhisk_values",
        "operators",
        "permissions_boundary",
        "ssh_config_path",
        "ssh_key_path",
        "ssh_keypair_name",
        "subnet_ids",
        "tags",
        "user_public_ip",
        "vpc_id",
        "zk_node_public_IPs",
    }
)
"""Keys that are never recorded: of an account, a computer or a person, secret, or an address.

The names of zones differ between accounts, so that the ids of the zones are recorded instead:
https://docs.aws.amazon.com/ram/latest/userguide/working-with-az-ids.html
"""

OWN_KEYS = frozenset(
    {
        "copy_amis",
        "create_eks_iam_role",
        "create_vpc",
        "deployment_name",
        "eks_cluster_name",
        "eks_iam_role_name",
        "eks_node_role_name",
        "no_color",
        "security_group_name",
        "set_kube_context",
        "update_openwhisk_chart",
        "vpc_name",
        "write_kubeconfig",
        "write_wskprops",
    }
)
"""Keys that are recorded and not repeated: names in an account, and what an operator prefers."""

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_ZONE_ID = re.compile(r"^[a-z0-9-]{3,30}-az[0-9]+$")
_FIX = "name the .lock.yaml file that a deployment has written, unchanged"


@dataclass(frozen=True)
class Lock:
    """The contents of a lock file: the configuration with its defaults, and the three parts."""

    path: Path
    region: str
    configuration: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]

    @property
    def repeated(self) -> dict[str, Any]:
        """The configuration keys that repeat the deployment, by name."""
        keys = {key: value for key, value in self.configuration.items() if key not in OWN_KEYS}
        keys["aws_region"] = self.region
        commit = str(self._of(CLUSTER, "chart").get("commit", ""))
        if _COMMIT.match(commit):
            keys["openwhisk_chart_ref"] = commit
        if self.addons:
            keys["eks_addon_versions"] = dict(self.addons)
        return keys

    @property
    def addons(self) -> Mapping[str, str]:
        """Add-on -> its version."""
        return {str(name): str(version) for name, version in self._of(CLUSTER, "addons").items()}

    @property
    def images(self) -> tuple[str, ...]:
        """The container images that ran, each with its digest."""
        images = self.parts.get(CLUSTER, {}).get("images", ())
        return tuple(map(str, images)) if isinstance(images, list) else ()

    @property
    def zone_ids(self) -> tuple[str, ...]:
        """The ids of the two zones, in the order of the subnets; none when they are not known."""
        zones = self.parts.get(INFRASTRUCTURE, {}).get("zones", ())
        return tuple(map(str, zones)) if isinstance(zones, list) else ()

    def _of(self, part: str, key: str) -> Mapping[str, Any]:
        found = self.parts.get(part, {}).get(key)
        return found if isinstance(found, Mapping) else {}


def read_lock(path: Path) -> Lock:
    """Return the contents of a lock file.

    Raises:
        Refused: it cannot be read, is no lock file, is damaged, or is of a newer version.
    """
    path = absolute(path)
    try:
        document = bounded_yaml.load(read_file(path))
    except OSError as error:
        raise Refused(f"{path} cannot be read", error.strerror or str(error), _FIX) from error
    except bounded_yaml.BadYaml as error:
        raise Refused(f"{path.name} is no lock file", str(error), _FIX) from error
    if not isinstance(document, dict) or "schema" not in document:
        raise Refused(f"{path.name} is no lock file", "it has no key schema", _FIX)
    _check_schema(path, document)
    return _lock(path, document)


def has_part(path: Path, part: str) -> bool:
    """Return whether a lock file can be read and has the part of a script."""
    try:
        return bool(read_lock(path).parts.get(part))
    except Refused:
        return False


def _check_schema(path: Path, document: Mapping[str, Any]) -> None:
    schema = document["schema"]
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        why = f"its schema is {str(schema)[:40]!r}, not a number from 1 to {SCHEMA}"
        raise Refused(f"{path.name} is no lock file", why, _FIX)
    if schema > SCHEMA:
        raise Refused(
            f"{path.name} was written by a newer version of this project",
            f"its schema is {schema}, and this version reads up to {SCHEMA}",
            f"use {writer(document) or 'the version that wrote it'}, or a newer one",
        )


def writer(document: Mapping[str, Any]) -> str:
    """Return the version of this project that wrote a part of a document, '' when it names none."""
    parts = [document.get(part) for part in PARTS]
    versions = {str(part.get("project")) for part in parts if isinstance(part, dict)}
    return ", ".join(f"version {version}" for version in sorted(versions - {"None"}))


def _lock(path: Path, document: Mapping[str, Any]) -> Lock:
    region, configuration = document.get("region"), document.get("configuration")
    parts = {part: document.get(part, {}) for part in PARTS}
    wrong = [key for key, value in parts.items() if not isinstance(value, dict)]
    if not isinstance(region, str) or not region:
        wrong.append("region")
    if not isinstance(configuration, dict) or not all(isinstance(it, str) for it in configuration):
        wrong.append("configuration")
    if wrong:
        why = f"{', '.join(sorted(wrong))} is missing or is not what it should be"
        raise Refused(f"{path.name} is damaged", why, _FIX)
    unknown = sorted(set(configuration) - set(Config.model_fields))  # type: ignore[arg-type]
    if unknown:
        raise Refused(
            f"{path.name} has configuration keys that this version does not know",
            ", ".join(key[:60] for key in unknown[:6]),
            f"use {writer(document) or 'a newer version'} of this project, or remove them",
        )
    lock = Lock(path, str(region), dict(configuration or {}), parts)
    bad = [zone for zone in lock.zone_ids if not _ZONE_ID.match(zone)]
    if bad or len(lock.zone_ids) not in (0, 2):
        why = f"infrastructure.zones is {', '.join(lock.zone_ids)[:80]}, not two ids of zones"
        raise Refused(f"{path.name} is damaged", why, _FIX)
    return lock

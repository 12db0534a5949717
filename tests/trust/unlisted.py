"""What runs may leave that no list call of the snapshots shows: of AWS, and values of Secrets."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from aws_setup.rehearsal.aws.ec2.image_copies import Snapshots
from aws_setup.rehearsal.aws.ec2.images import Images
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.environment import Environment

Line = tuple[str, Mapping[str, Any]]
"""A kind, and what is compared of a thing."""

SERVICES = ("ec2", "iam", "elb", "elbv2", "autoscaling", "logs", "kms")
"""The services of which all stores of the emulated cloud are counted."""

COMPARED = frozenset(
    {"addresses", "amis", "auto_scaling_groups", "autoscaling_groups", "certificates", "enis",
     "groups", "instances", "internet_gateways", "key_pairs", "launch_templates", "load_balancers",
     "managed_policies", "nat_gateways", "network_acls", "open_id_providers", "reservations",
     "roles", "route_tables", "snapshots", "subnets", "volumes", "vpcs"}
)  # fmt: skip
"""Stores whose contents are compared, here or as the list calls show them."""

FIXED = frozenset(
    {"account_id", "aws_managed_policies", "aws_prefixes", "default_kms_key_id", "deleted_amis",
     "launch_template_insert_order", "launch_template_name_to_ids", "managed_prefix_lists",
     "partition", "region_name", "tags"}
)  # fmt: skip
"""What moto keeps beside resources, and tags, which are shown with what has them."""


def of_account(cloud: RehearsalCloud) -> Iterator[Line]:
    """Yield images, disk snapshots, network ACLs, reserved addresses, and how many of others."""
    ec2 = cloud.backend("ec2")
    kinds: tuple[tuple[str, type[Images | Snapshots]], ...] = (
        ("image", Images),
        ("disk snapshot", Snapshots),
    )
    for kind, store in kinds:
        for (region, _), item in list(cloud.store_of(store).items()):
            if item["OwnerId"] == ACCOUNT:
                yield kind, {"region": region, "name": item.get("Name"), "tags": item["Tags"]}
    for acl in list(ec2.network_acls.values()):
        entries = [vars(entry) for entry in acl.network_acl_entries]
        plain = [
            {key: value for key, value in entry.items() if isinstance(value, str | int | bool)}
            for entry in entries
        ]
        shown = {"default": acl.default, "entries": plain, "subnets": len(acl.associations)}
        yield "network ACL", {**shown, "tags": _tags(ec2, acl.id)}
    for zones in list(ec2.subnets.values()):
        for subnet in list(zones.values()):
            for held in list(subnet._cidr_reservations):
                yield "reserved addresses", {"range": held.cidr}
    yield from _counts(cloud)


def _tags(ec2: Any, resource: str) -> dict[str, str]:
    return dict(ec2.tags.get(resource, {}))


def _counts(cloud: RehearsalCloud) -> Iterator[Line]:
    """Yield how many things of other kinds there are: a run makes none of them."""
    for service in SERVICES:
        for name, held in list(vars(cloud.backend(service)).items()):
            known = name in COMPARED and service != "elbv2"
            if isinstance(held, Sized) and len(held) and not known and name not in FIXED:
                yield f"{service} {name}", {"number": len(held)}


_known: set[str] = set()
"""Digests of the drawn values that were there after the last command of a story."""


def remember(environment: Environment) -> None:
    """Note the drawn values that exist: later commands must keep them."""
    _known.update(_digest(value) for _, _, value in _values(environment))


DRAWN = frozenset(
    {"owdev-db.auth db_password", "owdev-lambda-fs database", "owdev-lambda-fs guest",
     "owdev-lambda-fs system", "owdev-nginx tls.crt", "owdev-nginx tls.key",
     "owdev-whisk.auth guest", "owdev-whisk.auth system"}
)  # fmt: skip
"""Values of Secrets that a first configure draws."""


def secret_values(environment: Environment) -> Iterator[Line]:
    """Yield a digest of each value of a Secret; of a drawn one, whether it is as it was."""
    for cluster, name, value in _values(environment):
        digest = _digest(value)
        drawn = name in DRAWN
        shown = ("as it was" if digest in _known else "new") if drawn else digest
        yield f"value {cluster} {name}", {"is": shown}


def _values(environment: Environment) -> Iterator[tuple[str, str, str]]:
    for cluster, api in environment.hooks.apis.items():
        for (plural, _, name), item in list(api.state.objects.items()):
            # A release's record is helm's own; snapshots have its number and state.
            if plural == "secrets" and item.get("type") != "helm.sh/release.v1":
                for key, value in (item.get("data") or {}).items():
                    yield cluster, f"{name} {key}", str(value)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:12]


def credentials(environment: Environment, folder: Path) -> Iterator[Line]:
    """Yield for each file with OpenWhisk's key whether it is that of the cluster."""
    guests = [
        base64.b64decode(value).decode()
        for _, name, value in _values(environment)
        if name == "owdev-whisk.auth guest"
    ]
    for path in folder.glob("infrastructure_json/*.wskprops"):
        text = path.read_text(encoding="utf-8", errors="replace")
        yield path.name, {"has the cluster's key": any(guest in text for guest in guests)}

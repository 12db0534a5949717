"""What must stay the same over every upgrade: OpenWhisk's keys, kept in a Secret of our own.

The Secret also pins the chart's commit. It is made before the release and outlives it, so that
an install that was cut short goes on with the same keys as its database was made with.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.kube.connect import active_cluster, kube_client, owner_labels
from aws_setup.kube.objects import CLAIM, NAMESPACE, SECRET, Json, decode_secret, encode_secret

ALPHABET = string.ascii_letters + string.digits
KEY_LENGTH = 64
"""Characters of the secret part of an OpenWhisk key (apache/openwhisk, docs/annotations)."""

PIN = "chart"


@dataclass(frozen=True)
class OpenWhiskSecrets:
    """OpenWhisk's own secrets; `chart` is the source and commit that the release was made from."""

    system: str = field(repr=False)
    guest: str = field(repr=False)
    database: str = field(repr=False)
    chart: str = ""


def generate_secrets() -> OpenWhiskSecrets:
    """Return new keys and a new database password."""
    return OpenWhiskSecrets(_auth(), _auth(), _random(32))


def _auth() -> str:
    return f"{uuid.uuid4()}:{_random(KEY_LENGTH)}"


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def secret_name(config: Config) -> str:
    """Return the name of our Secret."""
    return f"{config.openwhisk_release}-lambda-fs"


def read_secrets(ctx: Context) -> OpenWhiskSecrets | None:
    """Return the keys that the cluster keeps; None when it keeps none."""
    config = ctx.config
    there = kube_client(ctx).get(SECRET, secret_name(config), config.openwhisk_namespace)
    if there is None:
        return None
    data = decode_secret(there)
    return OpenWhiskSecrets(data["system"], data["guest"], data["database"], data.get(PIN, ""))


def pin_chart(ctx: Context, chart: str) -> None:
    """Note which chart the release is made from."""
    config = ctx.config
    data = {"data": encode_secret({PIN: chart})}
    kube_client(ctx).patch(SECRET, secret_name(config), data, config.openwhisk_namespace)


@dataclass(frozen=True)
class SecretsStep(Step):
    """The namespace of OpenWhisk and the Secret with its keys."""

    name: str = "openwhisk keys"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the Secret; when removing ours only, or a namespace of ours without one."""
        if active_cluster(ctx) is None:
            return None
        config = ctx.config
        there = kube_client(ctx).get(SECRET, secret_name(config), config.openwhisk_namespace)
        if there is None:
            left = ctx.owned_only and _own_namespace(ctx) and not _others(ctx)
            return Found(config.openwhisk_namespace, "namespace") if left else None
        if ctx.owned_only and not is_owned(ctx):
            return None
        complete = {"system", "guest", "database"} <= (there.get("data") or {}).keys()
        drift = () if complete else (Drift("keys", "incomplete", "three"),)
        return Found(f"{config.openwhisk_namespace}/{secret_name(config)}", "available", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Make the namespace and the Secret; of two runs at once the first one's keys stay."""
        config, door = ctx.config, kube_client(ctx)
        namespace: Json = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": config.openwhisk_namespace, "labels": owner_labels(config)},
        }
        if door.get(NAMESPACE, config.openwhisk_namespace) is None:
            door.create(NAMESPACE, namespace)
        keys = generate_secrets()
        body: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": secret_name(config), "labels": owner_labels(config)},
            "data": encode_secret(
                {"system": keys.system, "guest": keys.guest, "database": keys.database}
            ),
        }
        door.create(SECRET, body, config.openwhisk_namespace)
        return Found(f"{config.openwhisk_namespace}/{secret_name(config)}", "available")

    def update(self, ctx: Context, found: Found) -> Found:
        """Fill in the keys that are missing; those that are there stay."""
        config, door = ctx.config, kube_client(ctx)
        there = door.get(SECRET, secret_name(config), config.openwhisk_namespace) or {}
        keys = generate_secrets()
        wanted = {"system": keys.system, "guest": keys.guest, "database": keys.database}
        data = encode_secret(wanted) | (there.get("data") or {})
        door.patch(SECRET, secret_name(config), {"data": data}, config.openwhisk_namespace)
        return Found(found.id, "available")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the Secret, and the namespace when it is ours and holds nothing of others."""
        config, door = ctx.config, kube_client(ctx)
        door.delete(SECRET, secret_name(config), config.openwhisk_namespace)
        if others := _others(ctx):
            ctx.note(f"the namespace {config.openwhisk_namespace} stays: {others} is in it")
            return
        if _own_namespace(ctx):
            door.delete(NAMESPACE, config.openwhisk_namespace)
        wait_until(
            f"the namespace {config.openwhisk_namespace} is gone",
            lambda: Pending("what it holds is being deleted") if _own_namespace(ctx) else True,
            clock=ctx.clock,
            deadline=600,
            pause=2,
            note=ctx.note,
            hint=f"kubectl describe namespace {config.openwhisk_namespace} says what it waits for",
        )


def _others(ctx: Context) -> str:
    """Name what others keep in the namespace, helm releases and claims of volumes."""
    config, door = ctx.config, kube_client(ctx)
    records = door.list(SECRET, config.openwhisk_namespace, labels="owner=helm")
    releases = {one["metadata"]["labels"].get("name", "") for one in records}
    listed = door.list(CLAIM, config.openwhisk_namespace)
    claims = [claim for claim in listed if not of_release(claim, config.openwhisk_release)]
    found = [f"release {name}" for name in sorted(releases - {config.openwhisk_release})]
    found += [f"claim {claim['metadata']['name']}" for claim in claims]
    return ", ".join(found)


def _own_namespace(ctx: Context) -> bool:
    """Say whether the namespace is there and this deployment made it."""
    there = kube_client(ctx).get(NAMESPACE, ctx.config.openwhisk_namespace) or {}
    has = there.get("metadata", {}).get("labels") or {}
    return owner_labels(ctx.config).items() <= has.items()


def of_release(claim: Mapping[str, Any], release: str) -> bool:
    """Say whether a claim is a release's: "owdev" must not take the data of "owdev2"."""
    metadata = claim["metadata"]
    label = (metadata.get("labels") or {}).get("release")
    # A StatefulSet names its claims TEMPLATE-RELEASE-… and gives them no label of the chart's.
    return bool(label == release if label else f"-{release}-" in f"-{metadata['name']}-")


def is_owned(ctx: Context) -> bool:
    """Say whether OpenWhisk in this cluster is the deployment's: the cluster is, or its keys are.

    A cluster of somebody else may hold another deployment's OpenWhisk under the same names.
    """
    config = ctx.config
    if tag_of(active_cluster(ctx) or {}, DEPLOYMENT_TAG) == config.deployment_name:
        return True
    there = kube_client(ctx).get(SECRET, secret_name(config), config.openwhisk_namespace) or {}
    has = there.get("metadata", {}).get("labels") or {}
    return owner_labels(config).items() <= has.items()

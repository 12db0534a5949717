"""OpenWhisk's credentials, which every upgrade must keep: a Secret that this deployment owns.

The Secret also pins the commit of the chart. It is created before the release and outlives it, so
that a run after an interrupted installation uses the keys that the database was created with.
"""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client, owner_labels
from aws_setup.kube.objects import (
    CLAIM,
    DAEMON_SET,
    DEPLOYMENT,
    NAMESPACE,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Json,
    decode_secret,
    encode_secret,
    is_being_deleted,
)
from aws_setup.openwhisk.renamed_release import SUFFIX, refuse_renamed_release

ALPHABET = string.ascii_letters + string.digits
KEY_LENGTH = 64
"""Characters of the secret part of an OpenWhisk key (apache/openwhisk, docs/annotations)."""

KEYS = frozenset({"system", "guest", "database"})
"""Keys of the Secret without which OpenWhisk cannot be upgraded."""

LONG = 20
"""Characters of a key that is found inside other texts, too; those made here have 32 and more."""

CHART_KEY = "chart"
"""Key of the Secret that holds the source and the commit of the chart."""


@dataclass(frozen=True)
class OpenWhiskSecrets:
    """OpenWhisk's keys; `chart` is the source and commit that the release was created from."""

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
    """Return the name of the Secret that holds the keys."""
    return f"{config.openwhisk_release}{SUFFIX}"


def read_secrets(ctx: Context) -> OpenWhiskSecrets | None:
    """Return the keys that the cluster stores; None when it stores none, or not all of them."""
    config = ctx.config
    secret = kube_client(ctx).get(SECRET, secret_name(config), config.openwhisk_namespace)
    if secret is None:
        return None
    data = decode_secret(secret)
    if not data.keys() >= KEYS:
        return None
    return OpenWhiskSecrets(
        data["system"], data["guest"], data["database"], data.get(CHART_KEY, "")
    )


def require_secrets(ctx: Context) -> OpenWhiskSecrets:
    """Return the keys that the cluster stores.

    Raises:
        SetupError: the Secret does not exist any more.
    """
    keys = read_secrets(ctx)
    if keys is None:
        raise SetupError(
            f"the Secret {secret_name(ctx.config)} with OpenWhisk's keys does not exist",
            "it was deleted during this run",
            "run the same command again to create it",
        )
    return keys


def without_keys(content: Any, ctx: Context, keys: OpenWhiskSecrets | None) -> Any:
    """Return what is copied to a file: the name of the Secret stands for each of its keys.

    Without the Secret, `keys` is None: the copy may then be the only place that has them.
    """
    if isinstance(content, Mapping):
        return {name: without_keys(member, ctx, keys) for name, member in content.items()}
    if isinstance(content, list):
        return [without_keys(member, ctx, keys) for member in content]
    if isinstance(content, str) and keys:
        shown = f"(in the Secret {secret_name(ctx.config)})"
        plain = [key for key in (keys.system, keys.guest, keys.database) if key]
        known = [*plain, *(base64.b64encode(key.encode()).decode() for key in plain)]
        if content in known:
            return shown
        # A part of a text is a key only where it is too long to be there by chance.
        for key in (key for key in known if len(key) >= LONG):
            content = content.replace(key, shown)
    return content


def pin_chart(ctx: Context, chart: str) -> None:
    """Store in the Secret which chart the release is created from."""
    config = ctx.config
    data = {"data": encode_secret({CHART_KEY: chart})}
    kube_client(ctx).patch(SECRET, secret_name(config), data, config.openwhisk_namespace)


@dataclass(frozen=True)
class SecretsStep(Step):
    """The namespace of OpenWhisk and the Secret with its keys."""

    name: str = "openwhisk keys"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "openwhisk"
    ends_with: str = "eks cluster"

    def find(self, ctx: Context) -> Found | None:
        """Return the Secret; for destroy, an owned namespace without a Secret is found too.

        Raises:
            Refused: the deployment has OpenWhisk under another name.
        """
        if active_cluster(ctx) is None:
            return None
        config, client = ctx.config, kube_client(ctx)
        secret = client.get(SECRET, secret_name(config), config.openwhisk_namespace)
        if secret is None:
            if not ctx.cluster_ends:  # With the cluster all that it runs is deleted.
                refuse_renamed_release(ctx, client)
            remains = ctx.owned_only and _owns_namespace(ctx) and not _unowned_contents(ctx)
            return Found(config.openwhisk_namespace, "namespace") if remains else None
        if ctx.owned_only and not is_owned(ctx):
            return None
        complete = (secret.get("data") or {}).keys() >= KEYS
        drift = () if complete else (Drift("keys", "incomplete", "three"),)
        return Found(_secret_id(config), "available", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Create the namespace and the Secret; of two runs at once the first one's keys stay."""
        config, client = ctx.config, kube_client(ctx)
        namespace: Json = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": config.openwhisk_namespace, "labels": owner_labels(config)},
        }
        existing = client.get(NAMESPACE, config.openwhisk_namespace)
        if existing is None or is_being_deleted(existing):
            client.create(NAMESPACE, namespace)
        body: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": secret_name(config), "labels": owner_labels(config)},
            "data": _generate_data(),
        }
        client.create(SECRET, body, config.openwhisk_namespace)
        return Found(_secret_id(config), "available")

    def update(self, ctx: Context, found: Found) -> Found:
        """Add the keys that are missing; existing keys stay."""
        config, client = ctx.config, kube_client(ctx)
        secret = client.get(SECRET, secret_name(config), config.openwhisk_namespace) or {}
        data = _generate_data() | (secret.get("data") or {})
        client.patch(SECRET, secret_name(config), {"data": data}, config.openwhisk_namespace)
        return Found(found.id, "available")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the Secret, and the namespace when it is owned and holds nothing unowned."""
        config, client = ctx.config, kube_client(ctx)
        client.delete(SECRET, secret_name(config), config.openwhisk_namespace)
        if unowned := _unowned_contents(ctx):
            ctx.note(f"keeping the namespace {config.openwhisk_namespace}: it contains {unowned}")
            return
        if _owns_namespace(ctx):
            client.delete(NAMESPACE, config.openwhisk_namespace)
        ctx.wait_until(
            f"the namespace {config.openwhisk_namespace} is gone",
            lambda: Pending("its contents are being deleted") if _owns_namespace(ctx) else True,
            deadline=600,
            pause=2,
            hint=f"see its conditions: kubectl describe namespace {config.openwhisk_namespace}",
        )


def _generate_data() -> dict[str, str]:
    """Return new keys as the data of the Secret."""
    keys = generate_secrets()
    return encode_secret({"system": keys.system, "guest": keys.guest, "database": keys.database})


def _secret_id(config: Config) -> str:
    return f"{config.openwhisk_namespace}/{secret_name(config)}"


def _unowned_contents(ctx: Context) -> str:
    """Name what others have in the namespace: Helm releases, volume claims, and what runs.

    Secrets, ConfigMaps and pods do not count: OpenWhisk and Kubernetes make some by themselves.
    """
    config, client = ctx.config, kube_client(ctx)
    records = client.list(SECRET, config.openwhisk_namespace, labels="owner=helm")
    releases = {record["metadata"]["labels"].get("name", "") for record in records}
    listed = client.list(CLAIM, config.openwhisk_namespace)
    claims = [claim for claim in listed if not of_release(claim, config.openwhisk_release)]
    found = [f"release {name}" for name in sorted(releases - {config.openwhisk_release})]
    found += [f"claim {claim['metadata']['name']}" for claim in claims]
    for kind, word in RUNNING.items():
        others = [it for it in client.list(kind, config.openwhisk_namespace) if _of_others(ctx, it)]
        found += [f"{word} {item['metadata']['name']}" for item in others]
    return ", ".join(found)


RUNNING = {
    DEPLOYMENT: "Deployment",
    STATEFUL_SET: "StatefulSet",
    DAEMON_SET: "DaemonSet",
    SERVICE: "Service",
}
"""What others may run in the namespace, with the name of its kind."""

RELEASE_ANNOTATION = "meta.helm.sh/release-name"
"""Annotation by which helm marks the objects of a release.
https://helm.sh/docs/chart_best_practices/labels/ has its label, pkg/action/validate.go of helm
this one."""


def _of_others(ctx: Context, item: Mapping[str, Any]) -> bool:
    """Whether something is neither the release's nor the deployment's, nor ends already."""
    metadata, release = item["metadata"], ctx.config.openwhisk_release
    ours = owner_labels(ctx.config).items() <= (metadata.get("labels") or {}).items()
    return not (ours or is_of_chart(item, release) or metadata.get("deletionTimestamp"))


def is_of_chart(item: Mapping[str, Any], release: str) -> bool:
    """Say whether an object carries the chart's label or helm's annotation of a release."""
    metadata = item["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return release in (labels.get("release"), notes.get(RELEASE_ANNOTATION))


def _owns_namespace(ctx: Context) -> bool:
    """Say whether the namespace exists and this deployment created it."""
    namespace = kube_client(ctx).get(NAMESPACE, ctx.config.openwhisk_namespace) or {}
    labels = namespace.get("metadata", {}).get("labels") or {}
    return owner_labels(ctx.config).items() <= labels.items()


def of_release(claim: Mapping[str, Any], release: str) -> bool:
    """Say whether a volume claim is a release's: "owdev" must not delete the data of "owdev2"."""
    metadata = claim["metadata"]
    label = (metadata.get("labels") or {}).get("release")
    # A StatefulSet names its claims TEMPLATE-RELEASE-… and does not set the chart's label.
    return bool(label == release if label else f"-{release}-" in f"-{metadata['name']}-")


def is_owned(ctx: Context) -> bool:
    """Say whether this deployment owns OpenWhisk: it owns the cluster or the Secret.

    A cluster of another owner may run another deployment's OpenWhisk under the same names.
    """
    config = ctx.config
    if tag_of(active_cluster(ctx) or {}, DEPLOYMENT_TAG) == config.deployment_name:
        return True
    secret = kube_client(ctx).get(SECRET, secret_name(config), config.openwhisk_namespace) or {}
    labels = secret.get("metadata", {}).get("labels") or {}
    return owner_labels(config).items() <= labels.items()

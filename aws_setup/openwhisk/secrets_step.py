"""The step of OpenWhisk's keys: the namespace, and the Secret that every upgrade needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending
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
    encode_secret,
    is_being_deleted,
)
from aws_setup.openwhisk.kept_keys import kept_keys, lost_keys
from aws_setup.openwhisk.renamed_release import refuse_renamed_release
from aws_setup.openwhisk.secrets import (
    KEYS,
    generate_secrets,
    is_of_chart,
    is_owned,
    of_release,
    secret_name,
)


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
                if not ctx.owned_only and (lost := lost_keys(ctx, KEYS)):
                    return Found(_secret_id(config), "lost", {}, lost)
            remains = ctx.owned_only and _owns_namespace(ctx) and not _unowned_contents(ctx)
            return Found(config.openwhisk_namespace, "namespace") if remains else None
        if ctx.owned_only and not is_owned(ctx):
            return None
        missing = KEYS - (secret.get("data") or {}).keys()
        if not missing:
            return Found(_secret_id(config), "available")
        incomplete = (Drift("keys", "incomplete", "three"),)
        drift = () if ctx.owned_only else lost_keys(ctx, missing)
        return Found(_secret_id(config), "available", {}, drift or incomplete)

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
            "data": _generate_data() | encode_secret(kept_keys(ctx)),
        }
        client.create(SECRET, body, config.openwhisk_namespace)
        return Found(_secret_id(config), "available")

    def update(self, ctx: Context, found: Found) -> Found:
        """Add the keys that are missing, those of the release first; existing keys stay."""
        config, client = ctx.config, kube_client(ctx)
        secret = client.get(SECRET, secret_name(config), config.openwhisk_namespace)
        if secret is None:
            return self.create(ctx)
        data = _generate_data() | encode_secret(kept_keys(ctx)) | (secret.get("data") or {})
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


def _of_others(ctx: Context, item: Mapping[str, Any]) -> bool:
    """Whether something is neither the release's nor the deployment's, nor ends already."""
    metadata, release = item["metadata"], ctx.config.openwhisk_release
    ours = owner_labels(ctx.config).items() <= (metadata.get("labels") or {}).items()
    return not (ours or is_of_chart(item, release) or metadata.get("deletionTimestamp"))


def _owns_namespace(ctx: Context) -> bool:
    """Say whether the namespace exists and this deployment created it."""
    namespace = kube_client(ctx).get(NAMESPACE, ctx.config.openwhisk_namespace) or {}
    labels = namespace.get("metadata", {}).get("labels") or {}
    return owner_labels(ctx.config).items() <= labels.items()

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
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client, owner_labels
from aws_setup.kube.objects import (
    SECRET,
    decode_secret,
    encode_secret,
)
from aws_setup.openwhisk.renamed_release import SUFFIX

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


RELEASE_ANNOTATION = "meta.helm.sh/release-name"
"""Annotation by which helm marks the objects of a release.
https://helm.sh/docs/chart_best_practices/labels/ has its label, pkg/action/validate.go of helm
this one."""


def is_of_chart(item: Mapping[str, Any], release: str) -> bool:
    """Say whether an object carries the chart's label or helm's annotation of a release."""
    metadata = item["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return release in (labels.get("release"), notes.get(RELEASE_ANNOTATION))


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

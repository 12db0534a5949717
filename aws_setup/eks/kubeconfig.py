"""The user's kubeconfig: an entry for the cluster is inserted and removed, the rest is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config, bounded_yaml
from aws_setup.config.bounded_yaml import ANY_COUNT, ANY_SIZE
from aws_setup.engine.private_files import write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import Refused, SetupError
from aws_setup.kube.connect import cluster_of

LISTS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))
BACKUP = ".before-lambda-fs"


def kubeconfig_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return the file to write: the first of KUBECONFIG's list that exists, else the last one.

    kubectl writes new entries to the same file.
    """
    listed = [item for item in environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    paths = [Path(item).expanduser() for item in listed]
    for path in paths:
        if path.is_file():
            return path
    return paths[-1] if paths else home / ".kube" / "config"


def entry(cluster: Item, *, region: str, profile: str | None) -> dict[str, Any]:
    """Return the parts of a cluster's entry by list; the entry's name is the cluster's ARN."""
    arguments = ["--region", region, "eks", "get-token", "--cluster-name", cluster["name"]]
    user: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": [*arguments, "--output", "json"],
        "interactiveMode": "Never",
    }
    if profile:
        user["env"] = [{"name": "AWS_PROFILE", "value": profile}]
    name = cluster["arn"]
    return {
        "clusters": {
            "server": cluster["endpoint"],
            "certificate-authority-data": cluster["certificateAuthority"]["data"],
        },
        "users": {"exec": user},
        "contexts": {"cluster": name, "user": name},
    }


def insert_entry(
    document: Mapping[str, Any], name: str, parts: Mapping[str, Any], *, current: bool
) -> dict[str, Any]:
    """Return a kubeconfig with an entry in it; entries of other names are unchanged.

    `current` makes it the current context.
    """
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", **document}
    for key, field in LISTS:
        others = [item for item in merged.get(key) or [] if item.get("name") != name]
        merged[key] = [*others, {"name": name, field: parts[key]}]
    if current:
        merged["current-context"] = name
    return merged


def remove_entry(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a kubeconfig without an entry; if that is the current context, none is set."""
    remaining = dict(document)
    for key, _ in LISTS:
        if key in remaining:
            remaining[key] = [item for item in remaining[key] or [] if item.get("name") != name]
    if remaining.get("current-context") == name:
        remaining["current-context"] = ""
    return remaining


def contains_entry(document: Mapping[str, Any], name: str, parts: Mapping[str, Any]) -> bool:
    """Say whether a kubeconfig contains an entry with exactly these parts."""
    return all(
        {"name": name, field: parts[key]} in (document.get(key) or []) for key, field in LISTS
    )


def load(path: Path) -> dict[str, Any]:
    """Return a kubeconfig, empty when the file does not exist.

    Raises:
        Refused: the file is not a kubeconfig.
    """
    try:
        loaded = bounded_yaml.load(path.read_bytes(), most_bytes=ANY_SIZE, most_nodes=ANY_COUNT)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _malformed(path, " ".join(str(error).split())) from error
    valid = loaded is None or (
        isinstance(loaded, dict)
        and all(isinstance(item, dict) for key, _ in LISTS for item in _list(loaded.get(key), path))
    )
    if not valid:
        raise _malformed(path, "it has no lists of clusters, users and contexts")
    return loaded or {}


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Write a kubeconfig, completely or not at all; a symbolic link is followed."""
    write_private(path.resolve(), yaml.safe_dump(dict(document), sort_keys=False))


def _list(value: Any, path: Path) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise _malformed(path, "clusters, users or contexts is not a list")
    return value or []


def _malformed(path: Path, why: str) -> Refused:
    return Refused(
        f"cannot parse kubeconfig {path}; it was not modified",
        why,
        "correct it, set KUBECONFIG to another file, or set write_kubeconfig: False",
    )


@dataclass(frozen=True)
class Kubeconfig(Step):
    """The cluster's entry in the user's kubeconfig, for kubectl; the scripts do not read it."""

    name: str = "kubeconfig"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the entry, compared with the cluster where it exists, else found by its name."""
        path, name = kubeconfig_path(ctx), _arn(ctx)
        try:
            document = load(path)
        except Refused as error:
            if not ctx.owned_only:
                raise
            # A file that cannot be parsed must not keep destroy from deleting everything else.
            ctx.note(str(error))
            return None
        if not _has_context(document, name):
            return None
        cluster = cluster_of(ctx)
        if ctx.owned_only and cluster and _belongs_to_other(ctx, cluster):
            return None
        drift = []
        if cluster and cluster.get("endpoint"):
            if not contains_entry(document, name, _parts(ctx, cluster)):
                drift.append(Drift("entry", "different", "this cluster's"))
            if ctx.config.set_kube_context and document.get("current-context") != name:
                drift.append(Drift("current context", str(document.get("current-context")), name))
        return Found(f"{path}: {name}", "present", {"context": name}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Write the file with the entry; before the first one, back the file up beside it."""
        path, cluster = kubeconfig_path(ctx), cluster_of(ctx, fresh=True)
        if cluster is None:
            raise SetupError(
                "the cluster no longer exists",
                "it was deleted during this run",
                "run the same command again",
            )
        document, name = load(path), str(cluster["arn"])
        current = ctx.config.set_kube_context
        _back_up(path, name)
        save(path, insert_entry(document, name, _parts(ctx, cluster), current=current))
        return Found(f"{path}: {name}", "present", {"context": name})

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove the entry."""
        path = kubeconfig_path(ctx)
        save(path, remove_entry(load(path), _arn(ctx)))


def kubeconfig_path(ctx: Context) -> Path:
    """Return the kubeconfig that a run writes."""
    if ctx.config.kubeconfig_file:
        return Path(ctx.config.kubeconfig_file)
    return kubeconfig_file(os.environ, Path.home())


def _arn(ctx: Context) -> str:
    config: Config = ctx.config
    partition = ctx.aws.identity.arn.split(":")[1]
    account = ctx.aws.identity.account
    return f"arn:{partition}:eks:{ctx.aws.region}:{account}:cluster/{config.eks_cluster_name}"


def _parts(ctx: Context, cluster: Item) -> dict[str, Any]:
    return entry(cluster, region=ctx.aws.region, profile=ctx.config.aws_profile)


def _back_up(path: Path, name: str) -> None:
    """Back a file up unless it has the entry: its backup, without the entry, then exists."""
    if path.is_file() and not _has_context(load(path), name):
        write_private(path.with_name(path.name + BACKUP), path.read_text(encoding="utf-8"))


def _has_context(document: Mapping[str, Any], name: str) -> bool:
    return any(item.get("name") == name for item in document.get("contexts") or [])


def _belongs_to_other(ctx: Context, cluster: Item) -> bool:
    """Say whether the cluster has the tag of another deployment."""
    return tag_of(cluster, DEPLOYMENT_TAG) not in ("", ctx.config.deployment_name)

"""The user's kubeconfig: our entry merged in, and taken out again; everything else stays."""

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
from aws_setup.config import Config
from aws_setup.engine.receipt import write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import Refused, SetupError
from aws_setup.kube.connect import cluster_of

LISTS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))
BACKUP = ".before-lambda-fs"


def kubeconfig_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return the file to write: of KUBECONFIG's list the first that exists, else its last.

    kubectl itself writes new entries so.
    """
    listed = [Path(one).expanduser() for one in environment.get("KUBECONFIG", "").split(os.pathsep)]
    listed = [path for path in listed if str(path) != "."]
    for path in listed:
        if path.is_file():
            return path
    return listed[-1] if listed else home / ".kube" / "config"


def entry(cluster: Item, *, region: str, profile: str | None) -> dict[str, Any]:
    """Return the three parts of our entry, by the name of their list; its name is the ARN."""
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
    """Return a kubeconfig with our entry in it; entries of other names stay as they are."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", **document}
    for key, field in LISTS:
        others = [one for one in merged.get(key) or [] if one.get("name") != name]
        merged[key] = [*others, {"name": name, field: parts[key]}]
    if current:
        merged["current-context"] = name
    return merged


def remove_entry(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a kubeconfig without our entry; a current context of ours is unset."""
    left = dict(document)
    for key, _ in LISTS:
        if key in left:
            left[key] = [one for one in left[key] or [] if one.get("name") != name]
    if left.get("current-context") == name:
        left["current-context"] = ""
    return left


def contains_entry(document: Mapping[str, Any], name: str, parts: Mapping[str, Any]) -> bool:
    """Say whether a kubeconfig holds our entry as it should be."""
    return all(
        {"name": name, field: parts[key]} in (document.get(key) or []) for key, field in LISTS
    )


def load(path: Path) -> dict[str, Any]:
    """Return a kubeconfig, empty when there is no file.

    Raises:
        Refused: the file is no kubeconfig; it is then left alone.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _malformed(path, " ".join(str(error).split())) from error
    sound = loaded is None or (
        isinstance(loaded, dict)
        and all(isinstance(one, dict) for key, _ in LISTS for one in _listed(loaded.get(key), path))
    )
    if not sound:
        raise _malformed(path, "it holds no lists of clusters, users and contexts")
    return loaded or {}


def _listed(value: Any, path: Path) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise _malformed(path, "clusters, users or contexts is not a list")
    return value or []


def _malformed(path: Path, why: str) -> Refused:
    return Refused(
        f"the kubeconfig {path} cannot be read, so it is left alone",
        why,
        "mend it, set KUBECONFIG to another file, or set write_kubeconfig: False",
    )


@dataclass(frozen=True)
class Kubeconfig(Step):
    """Our entry in the user's kubeconfig, for kubectl; we ourselves do not need it."""

    name: str = "kubeconfig"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the entry, compared with the cluster; without a cluster, by its name."""
        path, name = _file(ctx), _arn(ctx)
        try:
            document = load(path)
        except Refused as error:
            if not ctx.owned_only:
                raise
            # What cannot be read is left alone, and keeps nothing else from being removed.
            ctx.note(str(error))
            return None
        if not _named(document, name):
            return None
        cluster = cluster_of(ctx)
        here = ("", ctx.config.deployment_name)
        if ctx.owned_only and cluster and tag_of(cluster, DEPLOYMENT_TAG) not in here:
            return None
        drift = []
        if cluster and cluster.get("endpoint"):
            if not contains_entry(document, name, _parts(ctx, cluster)):
                drift.append(Drift("entry", "another", "this cluster's"))
            if ctx.config.set_kube_context and document.get("current-context") != name:
                drift.append(Drift("current context", str(document.get("current-context")), name))
        return Found(f"{path}: {name}", "there", {"context": name}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Write the file whole with our entry; as it was before it had one, it stays beside it."""
        path, cluster = _file(ctx), cluster_of(ctx, fresh=True)
        if cluster is None:
            raise SetupError("the cluster is gone", "EKS knows it no more", "run it again")
        document, name = load(path), str(cluster["arn"])
        current = ctx.config.set_kube_context
        _back_up(path, name)
        _save(path, insert_entry(document, name, _parts(ctx, cluster), current=current))
        return Found(f"{path}: {name}", "there", {"context": name})

    def delete(self, ctx: Context, found: Found) -> None:
        """Take our entry out."""
        path = _file(ctx)
        _save(path, remove_entry(load(path), _arn(ctx)))


def _file(ctx: Context) -> Path:
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
    """Keep a file as it was before our entry came; one that has the entry is no such file."""
    if path.is_file() and not _named(load(path), name):
        write_private(path.with_name(path.name + BACKUP), path.read_text(encoding="utf-8"))


def _named(document: Mapping[str, Any], name: str) -> bool:
    return any(one.get("name") == name for one in document.get("contexts") or [])


def _save(path: Path, document: Mapping[str, Any]) -> None:
    write_private(path.resolve(), yaml.safe_dump(dict(document), sort_keys=False))

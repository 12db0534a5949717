"""The user's kubeconfig: an entry for the cluster is inserted and removed, the rest is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config, bounded_yaml
from aws_setup.config.aws_variables import used_profile
from aws_setup.config.bounded_yaml import ANY_COUNT, ANY_SIZE
from aws_setup.config.paths import expanded
from aws_setup.config.regular_files import read_file
from aws_setup.eks import kubeconfig_text
from aws_setup.engine.file_errors import fix_of
from aws_setup.engine.private_files import keep_copy, write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.temporary_files import HIDDEN, delete_abandoned
from aws_setup.errors import Refused, SetupError

LISTS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))
BACKUP = ".before-lambda-fs"


def kubeconfig_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return the file to write: the first of KUBECONFIG's list that exists, else the last one.

    kubectl writes new entries to the same file.
    """
    listed = [item for item in environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    paths = [expanded(item) for item in listed]
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
        items = list(merged.get(key) or [])
        held: dict[str, Any] = next((item for item in items if item.get("name") == name), {})
        new = {"name": name, **held, field: parts[key]}
        position = items.index(held) if held else len(items)
        others = [item for item in items if item.get("name") != name]
        merged[key] = [*others[:position], new, *others[position:]]
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


def complete_parts(
    document: Mapping[str, Any], name: str, parts: Mapping[str, Any], cluster: Item
) -> dict[str, Any]:
    """Return the parts of an entry with what the user has added to them in a kubeconfig.

    Only what the entry needs is corrected: the server and its CA, the context's cluster and a user
    that exists, and a command that asks for a token of this cluster.
    """
    held = {key: _held(document, key, field, name) for key, field in LISTS}
    server = {**held["clusters"], **parts["clusters"]}
    # kubectl refuses a CA together with this setting.
    server.pop("insecure-skip-tls-verify", None)
    users = [item.get("name") for item in document.get("users") or []]
    user = held["contexts"].get("user")
    context = {**held["contexts"], **parts["contexts"]}
    if user in users:
        context["user"] = user
    return {
        "clusters": server,
        "users": _complete_user(held["users"], parts["users"], cluster),
        "contexts": context,
    }


def _held(document: Mapping[str, Any], key: str, field: str, name: str) -> dict[str, Any]:
    items = [item for item in document.get(key) or [] if item.get("name") == name]
    value = items[0].get(field) if items else None
    return dict(value) if isinstance(value, Mapping) else {}


def _complete_user(
    held: Mapping[str, Any], user: Mapping[str, Any], cluster: Item
) -> dict[str, Any]:
    """Return the user's own way to a token of the cluster, if it is one, else this project's."""
    command = held.get("exec")
    if not isinstance(command, Mapping) or not _gets_token(command, cluster):
        return dict(user)
    own = dict(command)
    if own.get("apiVersion") not in EXEC_VERSIONS:
        own["apiVersion"] = user["exec"]["apiVersion"]
    chosen = any("--profile" in str(word) for word in own.get("args") or [])
    named = {item.get("name") for item in own.get("env") or [] if isinstance(item, Mapping)}
    if not chosen:
        added = [item for item in user["exec"].get("env", ()) if item["name"] not in named]
        own |= {"env": [*(own.get("env") or []), *added]} if added else {}
    return {**held, "exec": own}


EXEC_VERSIONS = ("client.authentication.k8s.io/v1beta1", "client.authentication.k8s.io/v1")
"""Versions that kubectl accepts: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/"""


def _gets_token(command: Mapping[str, Any], cluster: Item) -> bool:
    """Say whether a command asks for a token of this cluster, in whatever way."""
    words = [str(word) for word in command.get("args") or []]
    joined = " ".join(words).replace("=", " ").split()
    regions = [after for word, after in pairwise(joined) if word == "--region"]
    region = str(cluster["arn"]).split(":")[3]
    return bool(command.get("command")) and cluster["name"] in joined and {*regions} <= {region}


PLAIN: Mapping[str, Any] = {
    "clusters": {"server": "", "certificate-authority-data": ""},
    "users": {"exec": {}},
    "contexts": {"cluster": "", "user": ""},
}
"""The fields of an entry to which nothing was added."""


def additions(document: Mapping[str, Any], name: str, parts: Mapping[str, Any]) -> list[str]:
    """Return what an entry has beside what a new one would have, as text."""
    found = []
    for key, field in LISTS:
        held = _held(document, key, field, name)
        found += [f"{field}: {k}" for k in held if k not in parts[key]]
        known = _variables(parts[key])
        added = [item for item in _variables(held) if item not in known]
        found += [f"{item.get('name')}={item.get('value')}" for item in added]
    return found


def _variables(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the environment that a user's command gets."""
    command = part.get("exec")
    listed = command.get("env") if isinstance(command, Mapping) else None
    items = listed if isinstance(listed, list) else []
    return [item for item in items if isinstance(item, Mapping)]


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
        loaded = bounded_yaml.load(read_file(path), most_bytes=ANY_SIZE, most_nodes=ANY_COUNT)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _malformed(path, " ".join(why.split())) from error
    valid = loaded is None or (
        isinstance(loaded, dict)
        and all(isinstance(item, dict) for key, _ in LISTS for item in _list(loaded.get(key), path))
    )
    if not valid:
        raise _malformed(path, "it has no lists of clusters, users and contexts")
    return loaded or {}


def rewrite(
    path: Path, document: Mapping[str, Any], *, note: Callable[[str], None], copy: bool
) -> None:
    """Change a file so that it reads as a document; its comments stay.

    A copy is kept with `copy`, and where comments or style would be lost.
    """
    text = bounded_yaml.decode(read_file(path)) if path.is_file() else ""
    changed = kubeconfig_text.edit(text, document) if text else None
    if text and (copy or (changed is None and text != kubeconfig_text.written(load(path)))):
        kept = keep_copy(path.with_name(path.name + BACKUP), text)
        note(f"backed up {path} to {kept}")
    try:
        write_private(
            path.resolve(), changed if changed is not None else kubeconfig_text.written(document)
        )
    except OSError as error:
        what, why = f"the kubeconfig {path} cannot be written", error.strerror or str(error)
        fix = "set kubeconfig_file or KUBECONFIG to a file that can be written"
        raise Refused(what, why, fix_of(error, fix)) from error


def _list(value: Any, path: Path) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise _malformed(path, "clusters, users or contexts is not a list")
    return value or []


def _malformed(path: Path, why: str) -> Refused:
    return Refused(
        f"cannot parse kubeconfig {path}; it was not modified",
        why,
        "correct it, set kubeconfig_file or KUBECONFIG to another file, or write_kubeconfig: False",
    )


@dataclass(frozen=True)
class Kubeconfig(Step):
    """The cluster's entry in the user's kubeconfig, for kubectl; the scripts do not read it."""

    name: str = "kubeconfig"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "eks"
    local: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the entry, compared with the cluster where it exists, else found by its name."""
        path, name = kubeconfig_path(ctx), _arn(ctx)
        delete_abandoned(path.parent, HIDDEN)
        try:
            document = load(path)
        except Refused as error:
            if not ctx.owned_only:
                raise
            # A file that cannot be parsed must not keep destroy from deleting everything else.
            hint = f"correct the file, and remove the entry {name} if it is there"
            ctx.warn(replace(error.problems[0], hint=hint))
            return None
        if not _has_context(document, name):
            return None
        cluster = cluster_of(ctx)
        if ctx.owned_only and cluster and _belongs_to_other(ctx, cluster):
            return None
        drift: list[Drift] = []
        facts: dict[str, Any] = {"context": name}
        if cluster and cluster.get("endpoint"):
            if not contains_entry(document, name, _completed(ctx, document, cluster)):
                held = {field: _held(document, key, field, name) for key, field in LISTS}
                drift.append(Drift("entry", "different", "this cluster's", replaces=held))
            if ctx.config.set_kube_context and document.get("current-context") != name:
                drift.append(Drift("current context", str(document.get("current-context")), name))
            own = additions(document, name, _parts(ctx, cluster))
            facts |= {"notes": [f"your additions are kept: {', '.join(own)}"]} if own else {}
        return Found(f"{path}: {name}", "present", facts, tuple(drift))

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
        parts = _completed(ctx, document, cluster)
        after = insert_entry(document, name, parts, current=current)
        copy = not contains_entry(document, name, parts)
        rewrite(path, after, note=ctx.note, copy=copy)
        return Found(f"{path}: {name}", "present", {"context": name})

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove the entry."""
        path, name = kubeconfig_path(ctx), _arn(ctx)
        document, cluster = load(path), cluster_of(ctx)
        plain = _parts(ctx, cluster) if cluster and cluster.get("endpoint") else PLAIN
        own = additions(document, name, plain)
        rewrite(path, remove_entry(document, name), note=ctx.note, copy=bool(own))


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
    profile = used_profile(ctx.config.aws_profile, os.environ)
    return entry(cluster, region=ctx.aws.region, profile=profile)


def _completed(ctx: Context, document: Mapping[str, Any], cluster: Item) -> dict[str, Any]:
    return complete_parts(document, str(cluster["arn"]), _parts(ctx, cluster), cluster)


def _has_context(document: Mapping[str, Any], name: str) -> bool:
    return any(item.get("name") == name for item in document.get("contexts") or [])


def _belongs_to_other(ctx: Context, cluster: Item) -> bool:
    """Say whether the cluster has the tag of another deployment."""
    return tag_of(cluster, DEPLOYMENT_TAG) not in ("", ctx.config.deployment_name)

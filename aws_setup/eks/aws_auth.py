"""The aws-auth ConfigMap, which clusters still read unless their authentication mode is API."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.config import bounded_yaml
from aws_setup.config.bounded_yaml import ANY_SIZE
from aws_setup.eks.access_entries import admins, mode_of
from aws_setup.engine import go_yaml
from aws_setup.engine.retry import CONFLICT, retry
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.errors import KubeConflict
from aws_setup.kube.objects import CONFIG_MAP, Json

NAME, NAMESPACE = "aws-auth", "kube-system"
ADMIN_GROUP = "system:masters"
NODE_GROUPS = ["system:bootstrappers", "system:nodes"]
NAMED = "lambda-fs/cluster-admins"
"""Annotation: the administrators that cluster_admins named and that a run made one here."""

NODE_USER = "system:node:{{EC2PrivateDNSName}}"
"""https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html"""


@dataclass(frozen=True)
class AwsAuth(Step):
    """The administrators and the nodes' role in aws-auth.

    Those that a run made administrators because cluster_admins named them are so no longer when
    it does not; an annotation says who they are. Entries of others stay.
    """

    name: str = "aws-auth"
    needs: tuple[str, ...] = ("cluster access", "node role", "invoker-nodes", "core-nodes")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the ConfigMap, compared with the desired entries; None when it does not exist."""
        if active_cluster(ctx) is None:
            return None
        if mode_of(ctx) == "API":
            return Found("not read", "the cluster's mode is API")
        config_map = kube_client(ctx).get(CONFIG_MAP, NAME, NAMESPACE)
        if config_map is None:
            return None
        change = self._change(ctx, config_map)
        what = "entries of administrators and nodes"
        access = (Drift(f"access of {arn}", "administrator", "none") for arn in change.former)
        drift = tuple(access)
        if change.changed:
            incomplete = f"incomplete for {', '.join(change.changed)}"
            drift = (*drift, Drift(what, incomplete, "complete"))
        return Found(f"{NAMESPACE}/{NAME}", "available", {}, drift)

    def _change(self, ctx: Context, config_map: Json) -> Change:
        """Return what differs between the ConfigMap and the configuration."""
        data = dict(config_map.get("data") or {})
        notes = config_map.get("metadata", {}).get("annotations") or {}
        recorded, present = str(notes.get(NAMED) or "").split(), admins(ctx)
        former = [arn for arn in recorded if arn not in present]
        role = ctx.found.get("node role")
        roles = [role.id] if role else []
        merged = merge_entries(data, admins=present, node_roles=roles)
        changed = changed_entries(data, merged)
        bare = {_bare(arn).lower() for arn in changed}
        named = [arn for arn in ctx.config.cluster_admins if _bare(arn).lower() in bare]
        new = sorted({*named, *(arn for arn in recorded if arn in present)})
        kept = {_bare(arn).lower() for arn in (*present, *roles)}
        without = [arn for arn in former if _bare(arn).lower() not in kept]
        return Change(without_admins(merged, without), tuple(new), tuple(former), tuple(changed))

    def create(self, ctx: Context) -> Found:
        """Read, merge and replace; repeated when another client replaced it in between."""
        retry(
            lambda: self._merge(ctx),
            CONFLICT,
            clock=ctx.clock,
            should_retry=lambda error: isinstance(error, KubeConflict),
            note=lambda _: ctx.note("aws-auth was changed at the same time: reading it again"),
        )
        return Found(f"{NAMESPACE}/{NAME}", "available")

    def _merge(self, ctx: Context) -> None:
        client = kube_client(ctx)
        config_map = client.get(CONFIG_MAP, NAME, NAMESPACE)
        change = self._change(ctx, config_map or {})
        if config_map is None:
            client.create(CONFIG_MAP, _with({}, change), NAMESPACE)
        elif change.former or change.changed:
            ctx.keep(NAME, config_map)
            client.replace(CONFIG_MAP, _with(config_map, change), NAMESPACE)


@dataclass(frozen=True)
class Change:
    """What a run writes: the data, and whom cluster_admins names; `former` lose their access.

    `changed` are the ARNs whose entries are completed.
    """

    data: dict[str, str]
    named: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def _with(config_map: Json, change: Change) -> Json:
    """Return a ConfigMap with a change; a new one where it is empty."""
    metadata = {"name": NAME, "namespace": NAMESPACE, **config_map.get("metadata", {})}
    notes = {**(metadata.get("annotations") or {}), NAMED: " ".join(change.named)}
    metadata["annotations"] = {key: value for key, value in notes.items() if value or key != NAMED}
    head = {"apiVersion": "v1", "kind": "ConfigMap", **config_map}
    return head | {"metadata": metadata, "data": change.data}


def merge_entries(
    data: dict[str, str], *, admins: Sequence[str], node_roles: Sequence[str]
) -> dict[str, str]:
    """Return aws-auth's data with the administrators and node roles in it.

    Existing entries stay, whoever wrote them. Of the last entry of an administrator or node role,
    which is the one that counts, only what it needs is changed: missing groups are added to the
    others, a user name that is missing, and for nodes any but theirs, is set.

    Raises:
        SetupError: mapRoles or mapUsers does not parse; nothing may be written then.
    """
    roles = _entries(data, "mapRoles", "rolearn")
    users = _entries(data, "mapUsers", "userarn")
    for arn in node_roles:
        # Kubernetes admits a node only under this name, whatever stands there.
        nodes = _add(roles, "rolearn", arn, NODE_USER, NODE_GROUPS)
        nodes[_spelling(nodes, "username") or "username"] = NODE_USER
    for arn in admins:
        name = arn.rsplit("/", 1)[-1]
        if ":role/" in arn:
            _add(roles, "rolearn", _bare(arn), name, [ADMIN_GROUP])
        else:
            _add(users, "userarn", arn, name, [ADMIN_GROUP])
    merged = dict(data)
    if roles != _entries(data, "mapRoles", "rolearn"):
        merged["mapRoles"] = _text(roles)
    if users != _entries(data, "mapUsers", "userarn"):
        merged["mapUsers"] = _text(users)
    return merged


def without_admins(data: dict[str, str], former: Sequence[str]) -> dict[str, str]:
    """Return aws-auth's data in which some are no administrators; other groups of theirs stay."""
    gone, left = {_bare(arn).lower() for arn in former}, dict(data)
    for field, key in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        entries = _entries(data, field, key)
        kept = [it for entry in entries for it in _without_group(entry, key, gone)]
        if kept != entries:
            left[field] = _text(kept)
    return left


def _without_group(
    entry: dict[str, Any], key: str, arns: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield an entry, of some ARNs without the administrators' group, if it has other groups."""
    listed = _spelling(entry, "groups")
    has = _groups(entry.get(listed))
    if _arn_in(entry, key) not in arns or ADMIN_GROUP not in has:
        yield entry
    elif others := [group for group in has if group != ADMIN_GROUP]:
        yield {**entry, listed: others}


def _bare(arn: str) -> str:
    """Return an ARN as aws-auth matches it: that of a role without its path."""
    if ":role/" not in arn:
        return arn
    return f"{arn.split(':role/', 1)[0]}:role/{arn.rsplit('/', 1)[-1]}"


def changed_entries(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the ARNs whose entries differ between aws-auth's data and merged data."""
    changed = []
    for field, key in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        known = _entries(before, field, key)
        changed += [
            str(entry[_spelling(entry, key)])
            for entry in _entries(after, field, key)
            if entry not in known
        ]
    return changed


def _add(
    entries: list[dict[str, Any]], key: str, arn: str, username: str, groups: Sequence[str]
) -> dict[str, Any]:
    """Return the entry that counts for an ARN, completed, or a new one.

    The authenticator compares ARNs without regard to case, and takes the last entry of several:
    https://github.com/kubernetes-sigs/aws-iam-authenticator (pkg/mapper/configmap)
    """
    held = [entry for entry in entries if _arn_in(entry, key) == arn.lower()]
    if not held:
        held = [{key: arn}]
        entries += held
    entry = held[-1]
    listed = _spelling(entry, "groups") or "groups"
    has = _groups(entry.get(listed))
    missing = [group for group in groups if group not in has]
    if not entry.get(_spelling(entry, "username")):
        entry["username"] = username
    if missing or entry.get(listed) != has:
        entry[listed] = has + missing
    return entry


def _arn_in(entry: dict[str, Any], key: str) -> str:
    return str(entry.get(_spelling(entry, key), "")).lower()


def _groups(value: Any) -> list[str]:
    """Return an entry's groups; the authenticator ignores groups that are not a list."""
    if isinstance(value, str):
        return [value]
    return [str(group) for group in value] if isinstance(value, list) else []


def _spelling(entry: dict[str, Any], key: str) -> str:
    """Return the entry's own spelling of a key, as in roleARN; '' when it has none.

    Go's JSON decoder, which reads the entries, compares keys without regard to case.
    """
    return next((name for name in entry if str(name).lower() == key), "")


def _entries(data: dict[str, str], field: str, key: str) -> list[dict[str, Any]]:
    text = data.get(field) or "[]"
    try:
        loaded = bounded_yaml.load(text, most_bytes=ANY_SIZE)
    except yaml.YAMLError as error:
        raise _malformed(field, " ".join(str(error).split())) from error
    loaded = [] if loaded is None else loaded
    if not isinstance(loaded, list) or not all(isinstance(entry, dict) for entry in loaded):
        raise _malformed(field, f"it is not a list of entries with {key}")
    return list(loaded)


def _malformed(field: str, why: str) -> SetupError:
    return SetupError(
        f"cannot parse {field} of aws-auth; it was not modified",
        why,
        "correct it with `kubectl -n kube-system edit configmap aws-auth`, or set "
        "manage_aws_auth: False",
    )


def _text(entries: Sequence[dict[str, Any]]) -> str:
    return go_yaml.dump(list(entries), sort_keys=False)

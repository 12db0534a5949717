"""What is checked against OpenWhisk itself before the first PUT: limits, kind, names, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_setup.errors import Problem, SetupError
from aws_setup.namenodes.action import CurrentAction, DesiredAction
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.jar import MIB

BODY_LIMIT = 50 * MIB
"""Bytes of a body that the chart's nginx takes (client_max_body_size 50M)."""

OTHER_COLLECTIONS = ("triggers", "rules", "packages")
"""They share their names with the actions of a namespace."""


def check_limits(info: Mapping[str, Any] | None, wanted: DesiredAction) -> list[Problem]:
    """Return what OpenWhisk's limits and kinds, as `GET /` reports them, do not allow."""
    if info is None:
        return []
    limits = info.get("limits") or {}
    found = [
        *_outside(
            "memory",
            wanted.memory,
            _megabytes(limits.get("min_action_memory")),
            _megabytes(limits.get("max_action_memory")),
            unit=" MB",
        ),
        *_outside(
            "concurrency",
            wanted.concurrency,
            limits.get("min_action_concurrency", 1),
            limits.get("max_action_concurrency"),
        ),
    ]
    kinds = kinds_of(info)
    if kinds and wanted.sha256 is not None and wanted.kind not in kinds:
        found.append(
            Problem(
                f"OpenWhisk does not know the kind {wanted.kind}",
                f"its runtimes have {', '.join(sorted(kinds))}",
                "give one of these by -k, or install λFS's OpenWhisk chart with its runtimes",
            )
        )
    return found


def kinds_of(info: Mapping[str, Any]) -> set[str]:
    """Return the kinds that `GET /` reports."""
    families = (info.get("runtimes") or {}).values()
    return {str(entry.get("kind")) for family in families for entry in family}


def _megabytes(size: Any) -> int | None:
    return int(size) // MIB if isinstance(size, int | float) else None


def _outside(
    what: str, value: int | None, least: Any, most: Any, *, unit: str = ""
) -> list[Problem]:
    if value is None or ((least is None or value >= least) and (most is None or value <= most)):
        return []
    return [
        Problem(
            f"OpenWhisk does not allow a {what} of {value}{unit}",
            f"it takes {least} to {most if most is not None else 'any'}{unit}",
            f"give --{what} within that, or raise the limit of OpenWhisk's chart",
        )
    ]


def check_body(length: int) -> list[Problem]:
    """Return the problem of a body that the nginx in front of OpenWhisk would refuse."""
    if length <= BODY_LIMIT:
        return []
    return [
        Problem(
            "the jar is too large for OpenWhisk's nginx",
            f"the body has {length} bytes, and nginx takes 50 MB",
            "build it without the dependencies that the runtime image already has",
        )
    ]


def check_clashes(
    client: Client, names: list[str], existing: Mapping[str, CurrentAction], wanted: DesiredAction
) -> list[Problem]:
    """Return what stands in the way of the names: other entities, or actions of other kinds."""
    found: list[Problem] = []
    meant = set(names)
    for collection in OTHER_COLLECTIONS:
        taken = sorted(meant & {str(item.get("name")) for item in client.listing(collection)})
        if taken:
            found.append(_taken(taken, f"they are {collection}"))
    family = wanted.kind.partition(":")[0]
    foreign = [
        name
        for name in names
        if name in existing
        and not existing[name].sha256
        and existing[name].kind
        and existing[name].kind.partition(":")[0] != family
    ]
    if foreign:
        kinds = sorted({existing[name].kind for name in foreign})
        found.append(_taken(foreign, f"they are actions of kind {', '.join(kinds)}"))
    return found


def _taken(names: list[str], why: str) -> Problem:
    return Problem(
        f"something else has the names {shorten(names)}", why, "give another prefix by -p"
    )


def shorten(names: list[str], most: int = 6) -> str:
    """Return a list of names in words, cut off after the first few."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def check_reachable(client: Client, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the actions of the namespace: the proof that host and key are right.

    Raises:
        SetupError: with where the host came from.
    """
    try:
        return client.first().listing()
    except SetupError as error:
        problem = error.problems[0]
        why = f"{problem.why} (API host {endpoint.url}, from {endpoint.source})"
        error.problems = (Problem(problem.what, why, problem.hint),)
        raise


def warnings_about(endpoint: Endpoint) -> list[Problem]:
    """Return what everybody should know about this API host before using it."""
    found: list[Problem] = []
    if endpoint.insecure and endpoint.url.lower().startswith("https:"):
        found.append(
            Problem(
                f"-i: the certificate of {endpoint.url} is not checked",
                "anybody on the way can read the key and change the jar",
                "leave -i out: the deployment's own certificate is known and pinned",
            )
        )
    if endpoint.well_known_key:
        found.append(
            Problem(
                "this OpenWhisk still has the well-known guest key",
                "whoever reaches it can change the NameNodes; as web actions they can be invoked "
                "without any key",
                "let configure_eks_cluster.py generate keys, and keep the load balancer internal",
            )
        )
    return found

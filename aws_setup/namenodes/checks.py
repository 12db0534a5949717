"""Checks against OpenWhisk before the first PUT: limits, kind, names, sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_setup.config import Config
from aws_setup.config.ndb_nodes import MAX_NODES, namenode_nodes
from aws_setup.engine.decoding import decoding
from aws_setup.engine.plan import Row, shorten
from aws_setup.engine.step import Action
from aws_setup.errors import Problem, SetupError
from aws_setup.namenodes.action import NOT_OPENWHISK, CurrentAction, DesiredAction
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.jar import MIB
from aws_setup.namenodes.request import Request
from aws_setup.openwhisk.namenode_image import HEAP, LEAST_MEMORY, ends_in_heap

BODY_LIMIT = 50 * MIB
"""Bytes of a body that the chart's nginx accepts (client_max_body_size 50M)."""

OTHER_COLLECTIONS = ("triggers", "rules", "packages")
"""Collections whose names must differ from the names of the namespace's actions."""


def check_limits(info: Mapping[str, Any] | None, desired: DesiredAction) -> list[Problem]:
    """Return how the request exceeds the limits and kinds that `GET /` reports."""
    if info is None:
        return []
    with decoding("the limits that OpenWhisk reports cannot be used", NOT_OPENWHISK):
        return _exceeded(info, desired)


def _exceeded(info: Mapping[str, Any], desired: DesiredAction) -> list[Problem]:
    limits = info.get("limits") or {}
    found = [
        *_outside(
            "memory",
            desired.memory,
            _megabytes(limits.get("min_action_memory")),
            _megabytes(limits.get("max_action_memory")),
            unit=" MB",
        ),
        *_outside(
            "concurrency",
            desired.concurrency,
            limits.get("min_action_concurrency", 1),
            limits.get("max_action_concurrency"),
        ),
    ]
    kinds = kinds_of(info)
    if kinds and desired.sha256 is not None and desired.kind not in kinds:
        found.append(
            Problem(
                f"OpenWhisk has no runtime of the kind {desired.kind}",
                f"it has {', '.join(sorted(kinds))}",
                "set one of these with -k, or install λFS's OpenWhisk chart, which has them",
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
            f"it allows {least} to {'any' if most is None else most}{unit}",
            f"set --{what} in this range, or raise the limit of OpenWhisk's chart",
        )
    ]


def check_body(length: int) -> list[Problem]:
    """Return the problem of a body that the nginx in front of OpenWhisk would reject."""
    if length <= BODY_LIMIT:
        return []
    return [
        Problem(
            "the jar is too large for OpenWhisk's nginx",
            f"the body has {length} bytes, and nginx accepts 50 MB",
            "build it without the dependencies that the runtime image already has",
        )
    ]


def check_clashes(
    client: Client,
    names: Sequence[str],
    existing: Mapping[str, CurrentAction],
    desired: DesiredAction,
) -> list[Problem]:
    """Return conflicts of the names: other entities, or actions of other kinds, have them."""
    found: list[Problem] = []
    selected = set(names)
    for collection in OTHER_COLLECTIONS:
        taken = sorted(selected & {str(item.get("name")) for item in client.listing(collection)})
        if taken:
            delete = f"delete them (`wsk {collection.removesuffix('s')} delete {taken[0]}`)"
            found.append(_taken(taken, f"they are {collection}", f"{delete}, or {OTHER_PREFIX}"))
    family = desired.kind.partition(":")[0]
    other_kinds = [
        name
        for name in names
        if name in existing
        and not existing[name].sha256
        and existing[name].kind
        and existing[name].kind.partition(":")[0] != family
    ]
    if other_kinds:
        kinds = sorted({existing[name].kind for name in other_kinds})
        found.append(_taken(other_kinds, f"they are actions of kind {', '.join(kinds)}"))
    return found


OTHER_PREFIX = "set another prefix with -p"


def _taken(names: Sequence[str], why: str, fix: str = OTHER_PREFIX) -> Problem:
    return Problem(f"the names {shorten(names)} are in use", why, fix)


def check_lowered_limits(
    request: Request, names: Iterable[str], existing: Mapping[str, CurrentAction]
) -> list[Problem]:
    """Return a warning for each limit that an option's default lowers, as it always did."""
    found = []
    for what, value, source in (
        ("memory", request.memory, request.memory_source),
        ("concurrency", request.concurrency, "its default"),
    ):
        current = [getattr(existing[name], what) for name in names if name in existing]
        higher = [number for number in current if number and value and number > value]
        if higher and what in request.defaulted:
            found.append(
                Problem(
                    f"--{what} is not set: {source}, {value}, replaces {max(higher)}",
                    "an update sets both limits",
                    f"add --{what} {max(higher)} to keep the current limit",
                )
            )
    return found


def check_database_and_memory(
    request: Request, names: Sequence[str], config: Config | None
) -> list[Problem]:
    """Return warnings about what the NameNodes need beside OpenWhisk's limits."""
    return [
        *check_warm_memory(request, config),
        *check_heap(request, config),
        *check_node_ids(names, config),
    ]


def check_warm_memory(request: Request, config: Config | None) -> list[Problem]:
    """Return a warning when the containers kept warm have another memory than the NameNodes.

    OpenWhisk gives them to actions of the same memory only (namenode_image.py).
    """
    memory = request.memory
    if config is None or not memory or memory == config.openwhisk_action_memory:
        return []
    warm = config.openwhisk_action_memory
    return [
        Problem(
            f"--memory {memory} is not openwhisk_action_memory, {warm}",
            f"OpenWhisk keeps containers of {warm} MB warm: they take memory of the invokers, and "
            "only NameNodes of that memory use them",
            f"set openwhisk_action_memory: {memory} and run python configure_eks_cluster.py, or "
            f"set --memory {warm}",
        )
    ]


def check_heap(request: Request, config: Config | None) -> list[Problem]:
    """Return a warning when the heap of the NameNodes' JVM does not fit into their memory."""
    memory = request.memory
    if not ends_in_heap(memory, config.namenode_image if config else None):
        return []
    key = "openwhisk_action_memory" if "memory" in request.defaulted and config else "--memory"
    return [
        Problem(
            f"the NameNodes' JVM needs {LEAST_MEMORY} MB, and {key} gives each {memory}",
            f"the published image starts it with a heap of {HEAP} MB: Kubernetes ends the "
            "container (OOMKilled, exit code 137) when that has grown over the memory",
            f"set {key} to at least {LEAST_MEMORY}, or namenode_image to an image with a "
            "smaller -Xmx",
        )
    ]


def check_node_ids(names: Sequence[str], config: Config | None) -> list[Problem]:
    """Return a warning when MySQL NDB has fewer node ids than there will be NameNodes."""
    if config is None or not config.create_ndb_cluster or len(names) <= namenode_nodes(config):
        return []
    return [
        Problem(
            f"-n {len(names)}: MySQL NDB has node ids for {namenode_nodes(config)} only",
            f"it has {MAX_NODES} in total, and each container of a NameNode takes one or more: "
            'without one it ends with "No free node id found"',
            "choose a smaller -n",
        )
    ]


def check_missing(names: Iterable[str], existing: Mapping[str, CurrentAction]) -> None:
    """Raise SetupError when --limits-only selects actions that do not exist."""
    missing = [name for name in names if name not in existing]
    if missing:
        raise SetupError(
            f"the limits of {shorten(missing)} cannot be changed",
            "there is no such action",
            "create them first with --create or --sync, which send the jar",
        )


def check_conflicts(rows: Iterable[Row]) -> None:
    """Raise SetupError when --create selects actions that exist and differ."""
    names = [row.step.name for row in rows if row.action is Action.CONFLICT]
    if names:
        raise SetupError(
            f"{shorten(names)} exist already and differ",
            "--create only creates new actions; nothing was written",
            "use --sync or --update, which create missing actions and update the ones that differ",
        )


def check_reachable(client: Client, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the actions of the namespace; the first request, which checks host and key.

    Raises:
        SetupError: the request failed; the error names the source of the API host.
    """
    try:
        return client.fail_early().listing()
    except SetupError as error:
        problem = error.problems[0]
        why = f"{problem.why} (API host {endpoint.url}, from {endpoint.source})"
        error.problems = (Problem(problem.what, why, problem.hint),)
        raise


def warnings_about(endpoint: Endpoint) -> list[Problem]:
    """Return the security warnings about this API host."""
    found: list[Problem] = []
    if endpoint.insecure and endpoint.url.lower().startswith("https:"):
        found.append(
            Problem(
                f"-i: the certificate of {endpoint.url} is not checked",
                "an attacker on the network path can read the key and replace the jar",
                "leave -i out: the certificate of the deployment is known and pinned",
            )
        )
    if endpoint.well_known_key:
        found.append(
            Problem(
                "this OpenWhisk still has the well-known guest key",
                "everyone who can connect to it can change the NameNodes; web actions can even be "
                "invoked without a key",
                "let configure_eks_cluster.py generate keys, and keep the load balancer internal",
            )
        )
    return found

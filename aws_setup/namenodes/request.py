"""The command line of whisk_helper.py as data: one verb, its options, and what they exclude."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_setup.errors import Problem, Refused
from aws_setup.namenodes.selection import Selection, select

if TYPE_CHECKING:
    from aws_setup.namenodes.action import DesiredAction
    from aws_setup.namenodes.endpoint import EndpointOptions
    from aws_setup.namenodes.jar import Jar

DEFAULT_JAR = (
    "/home/ubuntu/repos/hops/hadoop-hdfs-project/hadoop-hdfs/target/"
    "hadoop-hdfs-3.2.0.3-SNAPSHOT.jar"
)
"""The path of the NameNode jar that λFS's build writes on the λFS client VM."""

MEMORY = 256
"""Memory limit in MB without --memory and without a configuration file: the original's."""


class Verb(StrEnum):
    """What the run does; each is an option of the command line."""

    CREATE = "create"
    UPDATE = "update"
    SYNC = "sync"
    LIST = "list"
    VERIFY = "verify"
    DELETE = "delete"


MODIFIERS: Mapping[str, frozenset[Verb]] = {
    "prune": frozenset({Verb.SYNC}),
    "limits_only": frozenset({Verb.UPDATE, Verb.SYNC}),
    "invoke": frozenset({Verb.VERIFY}),
    "configure_jar": frozenset({Verb.CREATE, Verb.UPDATE, Verb.SYNC, Verb.VERIFY}),
    "force": frozenset({Verb.UPDATE, Verb.SYNC}),
    "plan": frozenset({Verb.CREATE, Verb.UPDATE, Verb.SYNC, Verb.DELETE}),
    "from": frozenset({Verb.CREATE, Verb.UPDATE, Verb.SYNC, Verb.VERIFY}),
}
"""Option -> the verbs that it can be combined with."""


@dataclass(frozen=True)
class Request:
    """The parsed command line.

    `memory` (MB) and `concurrency` are None where the current values are kept. `defaulted` names
    the options that were not set. `memory_source` says where a default memory comes from.
    `timeout` is seconds for each action, retries included; `jobs` is uploads at a time.
    `jar_sha256` is that of the lock file to repeat, '' without one.
    """

    verb: Verb
    selection: Selection
    kind: str
    main: str
    memory: int | None
    concurrency: int | None
    jar: str
    endpoint: EndpointOptions
    tunnel: str | None = None
    plan: bool = False
    force: bool = False
    prune: bool = False
    limits_only: bool = False
    invoke: bool = False
    configure_jar: bool = False
    jobs: int = 4
    timeout: float = 300.0
    defaulted: frozenset[str] = frozenset()
    memory_source: str = "its default"
    warnings: tuple[Problem, ...] = ()
    jar_sha256: str = ""

    def desired(self, jar: Jar | None) -> DesiredAction:
        """Return the desired state of every action."""
        from aws_setup.namenodes.action import DesiredAction

        sha256 = jar.sha256 if jar else None
        return DesiredAction(self.kind, self.main, self.memory, self.concurrency, sha256)

    @property
    def jar_is_default(self) -> bool:
        """Whether -j was not set: the default is a path on the λFS client VM."""
        return "jar" in self.defaulted

    @property
    def jar_is_available(self) -> bool:
        """Whether --verify can compare with a jar."""
        return not self.jar_is_default or Path(self.jar).is_file()


def parse_request(
    options: Mapping[str, Any], *, defaulted: frozenset[str], config_memory: int | None
) -> Request:
    """Return the request of a command line.

    Args:
        options: the value of every option.
        defaulted: the names of the options that were not set.
        config_memory: openwhisk_action_memory in MB; None without a configuration file.

    Raises:
        Refused: not exactly one verb, or options that exclude each other.
    """
    from aws_setup.namenodes.endpoint import EndpointOptions

    verb = _verb(options)
    _check_modifiers(options, verb, defaulted)
    if options["from"]:
        from aws_setup.namenodes.repeat import options_of_lock

        options, defaulted = options_of_lock(options["from"], options, defaulted)
    selection, warnings = select(
        prefix=options["prefix"],
        number=options["number"],
        start=options["start"],
        end=options["end"],
        needed=verb is not Verb.LIST,
    )
    keeps_limits = options["limits_only"] or verb is Verb.VERIFY
    kept = defaulted if keeps_limits else frozenset()
    from_config = "memory" in defaulted and config_memory is not None
    memory = config_memory if from_config else options["memory"]
    return Request(
        verb=verb,
        selection=selection,
        kind=options["kind"],
        main=options["main"],
        memory=None if "memory" in kept else memory,
        concurrency=None if "concurrency" in kept else options["concurrency"],
        jar=options["jar"],
        endpoint=EndpointOptions(
            apihost=options["apihost"], auth=options["auth"], insecure=options["insecure"]
        ),
        tunnel=options["tunnel"],
        plan=options["plan"],
        force=options["force"],
        prune=options["prune"],
        limits_only=options["limits_only"],
        invoke=options["invoke"],
        configure_jar=options["configure_jar"],
        jobs=options["jobs"],
        timeout=options["timeout"],
        defaulted=defaulted,
        memory_source="openwhisk_action_memory" if from_config else "its default",
        warnings=tuple(warnings),
        jar_sha256=options.get("jar_sha256", ""),
    )


def _verb(options: Mapping[str, Any]) -> Verb:
    """Return the verb; --limits-only alone means --update."""
    flags = {"list": "list_"}
    verbs = [verb for verb in Verb if options[flags.get(verb, verb)]]
    if not verbs and options["limits_only"]:
        verbs = [Verb.UPDATE]
    if len(verbs) != 1:
        raise Refused(
            "exactly one of --create, --update, --sync, --list, --verify, --delete is required",
            f"the command line has {len(verbs)}",
            "choose one, as in -n 20 --create --memory 20000 --concurrency 4",
        )
    return verbs[0]


def _check_modifiers(options: Mapping[str, Any], verb: Verb, defaulted: frozenset[str]) -> None:
    for name, verbs in MODIFIERS.items():
        if options[name] and verb not in verbs:
            raise Refused(
                f"--{name.replace('_', '-')} cannot be combined with --{verb}",
                f"it requires {' or '.join(f'--{v}' for v in sorted(verbs))}",
                "leave one of them out",
            )
    if options["limits_only"] and options["configure_jar"]:
        raise Refused(
            "--configure-jar cannot be combined with --limits-only",
            "--limits-only sends no jar",
            "leave one of them out",
        )
    if options["limits_only"] and {"memory", "concurrency"} <= defaulted:
        raise Refused("--limits-only needs a limit", "neither limit is set", "add --memory or -c")

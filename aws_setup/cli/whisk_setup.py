"""From the third script's options to a run: what is meant, where OpenWhisk and the jar are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_setup.cli.run_recorder import RunRecorder
from aws_setup.cli.whisk_commands import Ask, Order, Run, Verb, change, delete
from aws_setup.cli.whisk_looks import listing, verify
from aws_setup.config import Config
from aws_setup.config.paths import credentials_path
from aws_setup.engine.result import Result
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Refused
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.connections import Connections, open_connections
from aws_setup.namenodes.endpoint import (
    Endpoint,
    EndpointOptions,
    EndpointSource,
    EndpointSources,
    find_endpoint,
)
from aws_setup.namenodes.http import HttpConnection
from aws_setup.namenodes.jar import Jar, local_copy, read_jar
from aws_setup.namenodes.retrying import Patience
from aws_setup.namenodes.selection import select
from aws_setup.namenodes.tunnel import via_cluster, via_ssh
from aws_setup.openwhisk.credentials_file import (
    OpenWhiskCredentials,
    read_credentials,
)
from aws_setup.report import Report

COMMANDS: Mapping[Verb, Callable[[Run], None]] = {
    Verb.CREATE: change,
    Verb.UPDATE: change,
    Verb.SYNC: change,
    Verb.LIST: listing,
    Verb.VERIFY: verify,
    Verb.DELETE: delete,
}
"""Verb -> what it does."""

READ_SECONDS = 120.0
"""Seconds that OpenWhisk may take to answer once a request is sent; storing a jar takes some."""


@dataclass(frozen=True)
class Options:
    """The command line: every option's value, and the names of those that were left out."""

    given: Mapping[str, Any]
    left_out: frozenset[str]

    def verb(self) -> Verb:
        """Return the one verb that was given; --limits-only alone means --update.

        Raises:
            Refused: none or several were given, or a modifier does not go with it.
        """
        flags = {"list": "list_"}
        verbs = [verb for verb in Verb if self.given[flags.get(verb, verb)]]
        if not verbs and self.given["limits_only"]:
            verbs = [Verb.UPDATE]
        if len(verbs) != 1:
            raise Refused(
                "exactly one of --create, --update, --sync, --list, --verify, --delete is needed",
                f"{len(verbs)} were given",
                "for example -n 20 --create --memory 20000 --concurrency 4",
            )
        self._check_modifiers(verbs[0])
        return verbs[0]

    def _check_modifiers(self, verb: Verb) -> None:
        changing = {Verb.CREATE, Verb.UPDATE, Verb.SYNC}
        fitting: Mapping[str, set[Verb]] = {
            "prune": {Verb.SYNC},
            "limits_only": {Verb.UPDATE, Verb.SYNC},
            "invoke": {Verb.VERIFY},
            "force": {Verb.UPDATE, Verb.SYNC},
            "plan": changing | {Verb.DELETE},
        }
        for name, verbs in fitting.items():
            if self.given[name] and verb not in verbs:
                raise Refused(
                    f"--{name.replace('_', '-')} does not go with --{verb}",
                    f"it goes with {', '.join(f'--{v}' for v in sorted(verbs))}",
                    "leave one of them out",
                )
        if self.given["limits_only"] and {"memory", "concurrency"} <= self.left_out:
            raise Refused("--limits-only needs a limit", "none was given", "give --memory or -c")

    def order(self, verb: Verb) -> tuple[Order, list[Any]]:
        """Return what is meant and the warnings; left-out limits stay open where that is safe."""
        given = self.given
        selection, warnings = select(
            prefix=given["prefix"],
            number=given["number"],
            start=given["start"],
            end=given["end"],
            needed=verb is not Verb.LIST,
        )
        is_open = given["limits_only"] or verb is Verb.VERIFY
        open_limits = self.left_out if is_open else frozenset()
        order = Order(
            verb=verb,
            selection=selection,
            kind=given["kind"],
            main=given["main"],
            memory=None if "memory" in open_limits else given["memory"],
            concurrency=None if "concurrency" in open_limits else given["concurrency"],
            plan=given["plan"],
            force=given["force"],
            prune=given["prune"],
            limits_only=given["limits_only"],
            invoke=given["invoke"],
            jobs=given["jobs"],
            left_out=self.left_out & {"memory", "concurrency"},
        )
        return order, warnings


def run(
    options: Options,
    config: Config | None,
    *,
    result: Result,
    report: Report,
    ask: Ask | None,
    keeper: RunRecorder | None = None,
) -> None:
    """Find OpenWhisk, reach it, and do what was asked for.

    Raises:
        Refused: the options, the jar or OpenWhisk's limits do not allow it; nothing was written.
        SetupError: OpenWhisk cannot be reached.
    """
    given, verb = options.given, options.verb()
    result.command = verb
    order, warnings = options.order(verb)
    clock = SystemClock()
    with ExitStack() as stack:
        ways = stack.enter_context(
            open_connections(
                config,
                profile=given.get("profile"),
                region=given.get("region"),
                clock=clock,
                ask=ask,
            )
        )
        endpoint, reached = _endpoint(given, ways, stack)
        wire = HttpConnection(reached, width=order.jobs, read_seconds=READ_SECONDS)
        stack.callback(wire.close)
        client = Client(wire, Patience(clock, deadline=given["timeout"], note=report.say))
        try:
            COMMANDS[verb](
                Run(
                    order=order,
                    client=client,
                    endpoint=endpoint,
                    clock=clock,
                    report=report,
                    result=result,
                    jar=_jar_reader(options, ways),
                    jar_wanted="jar" not in options.left_out or Path(given["jar"]).is_file(),
                    consent=given["yes"],
                    ask=ask,
                    warnings=warnings,
                    config=config,
                    keeper=keeper,
                )
            )
        finally:
            result.api_calls = wire.requests


def _endpoint(
    given: Mapping[str, Any], ways: Connections, stack: ExitStack
) -> tuple[Endpoint, Endpoint]:
    """Return the API host by its own name, and as it is reached: directly or by a tunnel."""
    if given["tunnel"] == "cluster":
        endpoint = stack.enter_context(via_cluster(ways.in_cluster, given["auth"]))
        return endpoint, endpoint
    asked = EndpointOptions(
        apihost=given["apihost"], auth=given["auth"], insecure=given["insecure"]
    )
    endpoint = find_endpoint(asked, _places(ways))
    if given["tunnel"] == "vm":
        return endpoint, stack.enter_context(via_ssh(ways.machine(""), endpoint))
    return endpoint, endpoint


def _places(ways: Connections) -> EndpointSources:
    config = ways.config
    if config is None:
        return EndpointSources(os.environ, Path.home())
    file = EndpointSource(str(credentials_path(config)), lambda: read_credentials(config))

    def ask_cluster() -> OpenWhiskCredentials | None:
        return ways.in_cluster.access()

    cluster = EndpointSource(f"the EKS cluster {config.eks_cluster_name}", ask_cluster, remote=True)
    return EndpointSources(os.environ, Path.home(), (file, cluster))


def _jar_reader(options: Options, ways: Connections) -> Callable[[], Jar]:
    """Return what fetches and reads the jar once, when it is first needed."""

    def read() -> Jar:
        spec = options.given["jar"]
        if "jar" in options.left_out and not Path(spec).is_file():
            raise Refused(
                f"the jar {spec} is not on this computer",
                "that is its place on the λFS client VM, and no other was given",
                "-j ssh:// fetches it from there; or give a local path or s3://bucket/key by -j",
            )
        with local_copy(spec, ways.doors()) as path:
            return read_jar(path, source=spec, main_class=options.given["main"])

    return read

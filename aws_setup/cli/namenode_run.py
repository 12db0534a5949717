"""One command over NameNode actions: its listing, its jar, and its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.aws.run_lock import RunLock
from aws_setup.cli.command_run import CommandRun
from aws_setup.cli.options import SharedOptions
from aws_setup.cli.readiness import check_readiness, unlock_for_check
from aws_setup.cli.run_lock import READING, new_lock
from aws_setup.engine.plan import Row
from aws_setup.errors import SetupError
from aws_setup.namenodes import checks
from aws_setup.namenodes.action import CurrentAction, parse
from aws_setup.namenodes.connections import Session
from aws_setup.namenodes.deployment import deployment_facts, openwhisk_facts
from aws_setup.namenodes.jar_configuration import NDB, SITE, required
from aws_setup.namenodes.prepared_jar import PreparedJar
from aws_setup.namenodes.repeat import check_jar
from aws_setup.namenodes.request import Request
from aws_setup.namenodes.step import NameNodeContext, plan_actions
from aws_setup.report import Report
from aws_setup.software.clients.desired import DeploymentFacts


@dataclass(kw_only=True)
class ActionsRun(CommandRun[NameNodeContext]):
    """One command over NameNode actions."""

    request: Request
    session: Session

    def load(self) -> Mapping[str, CurrentAction]:
        """Print the warnings, list the actions of the namespace, and return them by name."""
        endpoint = self.session.endpoint
        self.warn([*self.request.warnings, *checks.warnings_about(endpoint)])
        self.result.more |= {"apihost": endpoint.url, "apihost_from": endpoint.source}
        listed = map(parse, checks.check_reachable(self.ctx.client, endpoint))
        self.ctx.existing = {action.name: action for action in listed}
        return self.ctx.existing

    def read_jar(self) -> PreparedJar:
        """Return the jar, and print what in its configuration does not fit the deployment."""
        session, request = self.session, self.request

        def facts() -> DeploymentFacts:
            return deployment_facts(session, self._openwhisk_facts())

        prepared = session.read_jar(request, facts)
        check_jar(prepared.jar, request.jar_sha256)
        self.warn(prepared.warnings)
        self.result.more["jar_configuration"] = {
            "configured": bool(prepared.jar.original_sha256),
            "original_sha256": prepared.jar.original_sha256 or prepared.jar.sha256,
            "sha256": prepared.jar.sha256,
            "missing_files": list(prepared.missing),
            "differences": [difference.document() for difference in prepared.differences],
        }
        if prepared.jar.original_sha256:
            names = ", ".join(difference.name for difference in prepared.differences)
            self.report.message(
                f"The uploaded copy of {request.jar} differs from it in {SITE}: {names}."
            )
        return prepared

    def note_image_configuration(self, prepared: PreparedJar) -> None:
        """Print what the image of the NameNodes must say, which this program cannot see."""
        jar, facts = self.request.jar, self._openwhisk_facts()
        if prepared.missing:
            self.report.message(
                f"{jar} has no {SITE}: the NameNodes read their image's, which must have "
                f"{required([SITE], facts)}. --configure-jar uploads a copy with such a file."
            )
        unread = f" ({', '.join(prepared.unread)} in the jar: not read)" if prepared.unread else ""
        self.report.message(
            f"{NDB} is always that of the NameNodes' image{unread}: it must have "
            f"{required([NDB], facts)}."
        )

    def _openwhisk_facts(self) -> DeploymentFacts:
        return openwhisk_facts(self.session, self.request, self.ctx.existing.values())

    def plan(self, names: Iterable[str], *, surplus: Iterable[str] = ()) -> list[Row]:
        """Return the plan, restricted by --only."""
        return plan_actions(self.ctx, names, surplus=surplus, only_names=self.only)


def unlock_early(run: ActionsRun) -> None:
    """Ask for the SSH key's passphrase now, where the clients' files or the last check need it."""
    connections = run.session.connections
    if connections.config is None or not connections.keys.locked:
        return
    with suppress(SetupError, *AWS_ERRORS):  # What needs AWS or a machine says so itself.
        unlock_for_check(connections.context)


def report_readiness(run: ActionsRun) -> None:
    """Say until when the VMs run and whether λFS is ready, where a configuration names them."""
    connections = run.session.connections
    if connections.config is None or run.result.result != "ok":
        return
    # paramiko and kubernetes are slow.
    from aws_setup.cli.deadline import report_deadline

    ready = check_readiness(lambda: connections.context, connections.config, run.clock)
    if ready is not None:
        with suppress(SetupError):  # The actions are complete, whatever AWS answers.
            report_deadline(run, connections.context)
        run.result.more["ready"] = ready.passed
        for line in ready.lines:
            run.report.result(line)


def lock_of(
    request: Request, session: Session, options: SharedOptions, *, report: Report
) -> RunLock | None:
    """Return the lock of the deployment; None for a verb that reads, and without a deployment.

    Raises:
        LockHeld: another run holds it.
    """
    config = session.connections.config
    if config is None or request.plan or request.verb in READING:
        return None
    command = f"whisk_helper --{request.verb}"
    return new_lock(
        session.connections.aws,
        config,
        command,
        breaks=options.break_lock,
        report=report,
        optional=True,
    )

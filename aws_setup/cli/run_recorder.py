"""The record of one command: its lines in the event log, and the page of --html."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from aws_setup.cli.debug_log import redact
from aws_setup.config import Config
from aws_setup.config.paths import events_path
from aws_setup.engine.file_errors import fix_of
from aws_setup.engine.graph import transitive_reduction
from aws_setup.engine.history import (
    EventLog,
    PlannedStep,
    RunRecord,
    RunStarted,
    read_events,
    timestamp,
)
from aws_setup.engine.plan import Row, removable, removal_needs
from aws_setup.engine.result import Result
from aws_setup.engine.runner import EventKind, Listener, StepEvent
from aws_setup.engine.step import Action
from aws_setup.engine.wait import Clock
from aws_setup.errors import Problem
from aws_setup.report import Report

QUIET = frozenset({EventKind.DONE, EventKind.REQUESTED})
"""Events that are not shown of a step that exists already."""


class Mode(Enum):
    """What a command does with the rows of its plan."""

    INSPECT = auto()
    APPLY = auto()
    REMOVE = auto()


class RunRecorder:
    """Records one command; `html` is the path of --html.

    `command` and `region` are the run's in the event log; they may be set before `begin`.
    """

    def __init__(self, script: str, command: str, *, html: str | None = None) -> None:
        self.html = None if html is None else Path(html)
        self.command = command
        self.config: Config | None = None
        self.region = ""
        self._checked = False
        self.log = EventLog(script=script, command=command, redact=redact)

    def check(self, config: Config | None) -> None:
        """Take the configuration, after a check of the page's folder and of the receipt's owner.

        Raises:
            Refused: the folder is missing or not writable, or the receipt is of another deployment.
        """
        if config:
            from aws_setup.cli.receipt_place import refuse_shared_receipt  # AWS's errors are slow

            refuse_shared_receipt(config)
        if self.html:
            from aws_setup.report.page import check_target

            check_target(self.html)
        self.config, self._checked = config, True
        self.region = (config.aws_region or "") if config else ""

    def begin(
        self,
        rows: Sequence[Row],
        result: Result,
        *,
        clock: Clock,
        mode: Mode,
    ) -> None:
        """Begin the record.

        A command that only inspects, and one without a configuration, writes no event log.
        """
        needs: Mapping[str, Sequence[str]] = {row.step.name: row.step.needs for row in rows}
        follows = {row.step.name: row.step.follows for row in rows if row.step.follows}
        if mode is Mode.REMOVE:
            needs, rows = transitive_reduction(removal_needs(rows)), removable(rows)
            follows = {}
        head = RunStarted(
            command=self.command,
            script=self.log.head.script,
            deployment=self.config.deployment_name if self.config else "",
            region=self.region,
            started=timestamp(clock.today()),
            needs={step: tuple(needed) for step, needed in needs.items()},
            follows=follows,
            plan={row.step.name: _planned(row, mode, self.log) for row in rows},
            **_prices(result),
        )
        is_logged = self.config is not None and mode is not Mode.INSPECT
        path = events_path(self.config) if self.config and is_logged else None
        self.log.begin(head, now=clock.now(), path=path)

    def listener(self, tell: Listener) -> Listener:
        """Return a listener that logs every event, and shows those that are not "exists".

        The end of an existing step is shown where a note of it was: the run waited for it.
        """
        noted: set[str] = set()

        def passed(event: StepEvent) -> None:
            self.log.tell(event)
            if event.kind is EventKind.NOTE:
                noted.add(event.step)
            exists = event.action is Action.EXISTS and event.step not in noted
            if not (exists and event.kind in QUIET):
                tell(event)

        return passed

    def finish(self, result: Result, report: Report) -> None:
        """Close the record and write the page; a failure to write is a warning."""
        self.log.head = replace(self.log.head, **_prices(result))
        self.log.finish(
            now=time.monotonic(),
            result=result.result,
            api_calls=result.api_calls,
            problems=result.problems,
        )
        warnings = [self.log.warning] if self.log.warning else []
        if self.html and self._checked:
            warnings += self._write_page(self.html, report, result.more.get("checks", ()))
        result.warnings.extend(warnings)
        report.problems(warnings, warning=True)

    def _write_page(
        self, html: Path, report: Report, checks: Sequence[Mapping[str, Any]]
    ) -> list[Problem]:
        from aws_setup.report.page import write_page

        try:
            write_page(
                html,
                [self.log.record()],
                config=self.config,
                earlier=self.earlier(),
                checks=checks,
            )
        except OSError as error:
            why = f"{html}: {error.strerror or error}; the run itself is not affected"
            hint = fix_of(error, "set --html to a file in a folder that you may write")
            return [Problem("the report could not be written", why, hint)]
        report.message(f"The report is in {html}.")
        return []

    def earlier(self) -> list[RunRecord]:
        """Return the other runs of the deployment: what they created, and how long that took."""
        if self.config is None:
            return []
        try:
            records = read_events(events_path(self.config))
        except OSError:
            # Usually there is none yet: the page then shows this run alone.
            return []
        return [record for record in records if record != self.log.record()]


def _planned(row: Row, mode: Mode, log: EventLog) -> PlannedStep:
    action = Action.DELETE if mode is Mode.REMOVE else row.action
    found = row.found
    return (
        PlannedStep(action, log.scrub(found.id), log.scrub(found.status))
        if found
        else PlannedStep(action)
    )


def _prices(result: Result) -> dict[str, Any]:
    """Return the prices for the start line, where they are known."""
    parts = result.more.get("prices", {}).get("parts", {})
    return {"hourly_usd": result.hourly_usd, "parts": parts}

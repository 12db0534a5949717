"""What a command leaves behind for people: its lines in the event log, and --html's page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from aws_setup.aws.context import Context
from aws_setup.cli.debug_log import redact
from aws_setup.config import Config
from aws_setup.config.paths import events_path
from aws_setup.engine.graph import transitive_reduction
from aws_setup.engine.history import (
    EventLog,
    PlannedStep,
    RunRecord,
    RunStarted,
    read_events,
    timestamp,
)
from aws_setup.engine.plan import Row
from aws_setup.engine.result import Result
from aws_setup.engine.runner import EventKind, Listener, StepEvent, removable, removal_needs
from aws_setup.engine.step import Action
from aws_setup.engine.wait import Clock
from aws_setup.errors import Problem
from aws_setup.report import Report


class Mode(Enum):
    """What a command does with the rows of its look."""

    LOOK = auto()
    APPLY = auto()
    REMOVE = auto()


class RunRecorder:
    """Keeps the record of one command; `html` is the page that was asked for."""

    def __init__(self, script: str, command: str, *, html: str | None = None) -> None:
        self.html = None if html is None else Path(html)
        self.config: Config | None = None
        self.log = EventLog(script=script, command=command, redact=redact)

    def check(self, config: Config) -> None:
        """Take the configuration, with which the page is drawn, if the page can be written.

        Raises:
            Refused: its folder is missing or may not be written.
        """
        if self.html:
            from aws_setup.report.page import check_target

            check_target(self.html)
        self.config = config

    def begin(self, ctx: Context, result: Result, rows: Sequence[Row], *, deed: Mode) -> None:
        """Begin the record; a command that only looks leaves no line in the event log."""
        needs: Mapping[str, Sequence[str]] = {row.step.name: row.step.needs for row in rows}
        if deed is Mode.REMOVE:
            needs, rows = transitive_reduction(removal_needs(rows)), removable(rows)
        head = RunStarted(
            command=result.command,
            script=self.log.head.script,
            deployment=ctx.config.deployment_name,
            region=ctx.aws.region,
            started=timestamp(ctx.clock.today()),
            needs={step: tuple(needed) for step, needed in needs.items()},
            plan={row.step.name: _planned(row, deed, self.log) for row in rows},
            **_prices(result),
        )
        path = None if deed is Mode.LOOK else events_path(ctx.config)
        self.log.begin(head, now=ctx.clock.now(), path=path)

    def begin_actions(
        self, config: Config, command: str, plan: Mapping[str, PlannedStep], *, clock: Clock
    ) -> None:
        """Begin the record of a run over OpenWhisk's actions, of which none needs another."""
        head = RunStarted(
            command=command,
            script=self.log.head.script,
            deployment=config.deployment_name,
            region=config.aws_region or "",
            started=timestamp(clock.today()),
            needs=dict.fromkeys(plan, ()),
            plan=plan,
        )
        self.log.begin(head, now=clock.now(), path=events_path(config))

    def listener(self, tell: Listener) -> Listener:
        """Return a listener that logs every event and passes on what was not there already."""

        def passed(event: StepEvent) -> None:
            self.log.tell(event)
            if event.action is not Action.EXISTS or event.kind is not EventKind.DONE:
                tell(event)

        return passed

    def finish(self, result: Result, report: Report) -> None:
        """Close the record and write the page; what cannot be written is a warning."""
        self.log.head = replace(self.log.head, **_prices(result))
        self.log.finish(
            now=time.monotonic(),
            result=result.result,
            api_calls=result.api_calls,
            problems=result.problems,
        )
        warnings = [self.log.warning] if self.log.warning else []
        if self.html and self.config:
            warnings += self._write_page(self.html, self.config, report)
        result.warnings.extend(warnings)
        report.problems(warnings, warning=True)

    def _write_page(self, html: Path, config: Config, report: Report) -> list[Problem]:
        from aws_setup.report.page import write_page

        try:
            write_page(html, [self.log.record()], config=config, earlier=self._earlier(config))
        except OSError as error:
            why = f"{html}: {error.strerror or error}"
            return [Problem("the report could not be written", why, "the run itself is as it says")]
        report.say(f"The report is in {html}.")
        return []

    def _earlier(self, config: Config) -> list[RunRecord]:
        """Return the deployment's other runs, of which the page shows what they left standing."""
        try:
            records = read_events(events_path(config))
        except OSError:
            # Most often there is none yet: the page then shows this run alone.
            return []
        return [record for record in records if record != self.log.record()]


def _planned(row: Row, deed: Mode, log: EventLog) -> PlannedStep:
    action = Action.DELETE if deed is Mode.REMOVE else row.action
    found = row.found
    return PlannedStep(action, log.scrub(found.id), found.status) if found else PlannedStep(action)


def _prices(result: Result) -> dict[str, Any]:
    """Return the prices of a head, as far as they are known."""
    parts = result.more.get("prices", {}).get("parts", {})
    return {"hourly_usd": result.hourly_usd, "parts": parts}

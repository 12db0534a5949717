"""Puts one action: the right body for what is there, and a repeat that cannot do harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aws_setup.namenodes.action import (
    Body,
    CurrentAction,
    Deed,
    DesiredAction,
    action_body,
    differences,
    limits_body,
    next_version,
)
from aws_setup.namenodes.client import Client, StatusError
from aws_setup.namenodes.deploy import Abort, Event, Kind, Listener, Task
from aws_setup.namenodes.jar import Jar
from aws_setup.namenodes.retrying import TransientError, trying

SOMETHING_ELSE = "something else changed it meanwhile; the next run sends it again"


@dataclass(frozen=True)
class Uploader:
    """Does the tasks of one run over what the listing said."""

    client: Client
    wanted: DesiredAction
    jar: Jar | None
    existing: dict[str, CurrentAction]
    abort: Abort

    def act(self, task: Task, tell: Listener) -> str:
        """Create, update or delete one action; return what came out, in words."""
        note = _with_progress(task, tell)
        if task.deed is Deed.DELETE:
            self.client.noting(note).delete(task.name)
            return "deleted"
        put = _Put(self, task, tell, self.existing.get(task.name))
        patience = self.client.noting(note).patience
        version = trying(f"{task.deed} {task.name}", put.attempt, patience)
        return f"version {version}"


def _with_progress(task: Task, tell: Listener) -> Callable[[str], None]:
    return lambda text: tell(Event(Kind.NOTE, task.name, task.deed, text))


@dataclass
class _Put:
    """The attempts of one PUT; before each repeat it looks at what is there now."""

    run: Uploader
    task: Task
    tell: Listener
    before: CurrentAction | None
    sent: int = 0

    def attempt(self, last: TransientError | None) -> str:
        if last is not None:
            self._forget_sent()
            done = self._already_done()
            if done:
                return done
        expected = next_version(self.before)
        body = self._body(expected)
        try:
            got = self._put(body)
        except StatusError as error:
            done = self._already_done() if error.status == 409 else ""
            if not done:
                raise
            return done
        if got and got != expected:
            self._tell(Kind.NOTE, text=f"{SOMETHING_ELSE} (version {got}, not {expected})")
        return got or expected

    def _put(self, body: Body) -> str | None:
        overwrite = self.task.deed is not Deed.CREATE
        return self.run.client.put(self.task.name, body, overwrite=overwrite, sent=self._count)

    def _body(self, version: str) -> Body:
        run = self.run
        if self.task.deed is Deed.LIMITS and self.before is not None:
            return limits_body(self.before, run.wanted, version=version)
        if run.jar is None:
            raise ValueError(f"{self.task.name} needs the jar")
        return action_body(self.task.name, run.wanted, run.jar, version=version)

    def _already_done(self) -> str:
        """Look again; return the version when it is as wanted after all.

        An earlier attempt took effect, or another run of this script was quicker.
        """
        now = self.run.client.action(self.task.name)
        moved = now is not None and (self.before is None or now.version != self.before.version)
        self.before = now
        if now is not None and moved and now.ours and not differences(now, self.run.wanted):
            return now.version
        return ""

    def _count(self, size: int) -> None:
        self.sent += size
        self._tell(Kind.BYTES, size=size)
        self.run.abort.check()

    def _forget_sent(self) -> None:
        self._tell(Kind.BYTES, size=-self.sent)
        self.sent = 0

    def _tell(self, kind: Kind, *, text: str = "", size: int = 0) -> None:
        self.tell(Event(kind, self.task.name, self.task.deed, text, size))

"""The run lock of a deployment: one run at a time changes it, from whichever computer.

A run looks at the lock before it examines the deployment, and takes it just before its first write.
If another run has come between, what it has examined may be out of date: it examines again, now
with the lock. It renews the lock until its end; a run that cannot, because the network is gone or
another run has taken over, stops before its next write.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.denials import is_denial
from aws_setup.aws.errors import AWS_ERRORS, describe_error
from aws_setup.aws.run_lock_store import (
    ACTIVE,
    EXPIRES,
    Generation,
    LockState,
    LockStore,
    Standing,
    new_holder,
)
from aws_setup.aws.session import Aws, error_code
from aws_setup.config import Config
from aws_setup.engine.flag import Flag
from aws_setup.engine.wait import format_duration
from aws_setup.errors import Interrupted, Problem, Refused, SetupError

log = logging.getLogger(__name__)
T = TypeVar("T")

HEARTBEAT = 30.0
"""Seconds between two renewals, in real time also where pauses are shorter: AWS's clock counts."""

SAFE = EXPIRES - 60.0
"""Seconds without renewal after which a run does not write: a write itself may take a minute."""

TRIES = 5
"""How often a run tries to take a lock that other runs take and release at the same time."""

HINT_HELD = (
    "wait until it has ended; only if you know that it no longer runs, add --break-lock to take "
    "its place"
)


class LockHeld(Refused):
    """Another run holds the lock; nothing was written."""

    def __init__(self, deployment: str, holder: Generation) -> None:
        super().__init__(f"another run is changing {deployment}", describe(holder), HINT_HELD)
        self.generation = holder


class Outdated(Exception):
    """The lock is taken, and another run may have changed what was examined before."""


def describe(generation: Generation) -> str:
    """Return who holds a lock, what it runs and since when."""
    holder = generation.holder
    renewed = f"its lock was renewed {format_duration(generation.age)} ago"
    return f"{holder.owner} has run {holder.verb} since {holder.since}; {renewed}"


def not_prevented(why: str) -> Problem:
    """Return the warning that there is no lock."""
    return Problem(
        "two runs at once are not prevented",
        why,
        "allow the actions of ssm in docs/permissions.md, or that endpoint in this network's "
        "firewall or proxy; until then start one run at a time",
    )


class RunLock:
    """The lock of one run; safe to use from many threads.

    `unavailable` says why there is none, '' where there is. `breaks` is True with --break-lock.
    `optional` is True where the command works without AWS: whatever AWS answers, it goes on.
    """

    def __init__(
        self,
        aws: Aws,
        config: Config,
        *,
        verb: str,
        breaks: bool = False,
        optional: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store = LockStore(aws, config)
        self.unavailable = ""
        self._name, self._verb = config.deployment_name, verb
        self._breaks, self._optional, self._note = breaks, optional, note
        self._seen = LockState()
        self._holder = new_holder(aws, verb)
        self._number = 0
        self._lost = ""
        self._outdated = False
        self._renewed = (0.0, 0.0)
        self._mutex = threading.RLock()
        self._ends = Flag()

    @property
    def numbers(self) -> list[int]:
        """The generations up to this run's own."""
        return [*self._seen.numbers, *([self._number] if self.held else [])]

    @property
    def held(self) -> bool:
        """Whether this run has the lock."""
        return self._number > 0

    @property
    def first_run(self) -> str:
        """What all runs of the deployment know of it until it is destroyed; '' without a lock."""
        return self._holder.first_run if self.held else ""

    def observe(self) -> None:
        """Look at the lock; call it before the deployment is examined.

        Raises:
            LockHeld: another run holds it.
        """
        if self.held:
            return
        self._seen = self._available(self.store.read, LockState())
        self._refuse_if_held()
        self._holder = new_holder(self.store.aws, self._verb)

    def _refuse_if_held(self) -> None:
        current = self._seen.current
        if current and current.standing is Standing.RUNNING and not self._breaks:
            raise LockHeld(self._name, current)

    def acquire(self) -> None:
        """Take the lock; a run that has it keeps it.

        Raises:
            LockHeld: another run holds it.
            Outdated: this run holds it now, and another one has come between.
        """
        for attempt in range(TRIES):
            if self.held or self.unavailable:
                return
            if self._available(self._take, False):
                if self._settle() or self._outdated:
                    self._outdated = False
                    raise Outdated
                return
            self._outdated = True
            if attempt:
                self._ends.wait(attempt / 2)
            self._seen = self._available(self.store.read, self._seen)
            self._refuse_if_held()
        if not self.unavailable:
            why = "other runs take and release its lock in turn"
            raise Refused(
                f"other runs are changing {self._name}", why, "wait until they have ended"
            )

    def _take(self) -> bool:
        """Create the next generation; True where it is this run's."""
        current = self._seen.current
        number = current.number + 1 if current else 1
        first = current.holder.first_run if current else self._holder.run
        self._holder = replace(self._holder, first_run=first)
        moment = _now()
        if not self.store.create(number, self._holder):
            # A create whose answer was lost is repeated, and finds what it has made.
            found = self.store.read().current
            if found is None or found.holder.run != self._holder.run:
                return False
        self._number, self._renewed = number, moment
        ACTIVE.add(self._holder.run)
        self._ends.clear()
        threading.Thread(target=self._renew_until_end, name="run-lock", daemon=True).start()
        return True

    def _settle(self) -> bool:
        """Remove the earlier generations; return whether another run has removed the one seen.

        Raises:
            LockHeld: the owner of an expired lock has renewed it meanwhile.
        """
        before = self._seen.current
        if before is None:
            return False
        if before.standing is not Standing.FREE:
            self._note(f"Taking over the run lock: {describe(before)}.")
        if before.standing is Standing.EXPIRED and not self._breaks:
            # It writes its own generation and then looks for a higher one; so one of both sees it.
            again = {item.number: item for item in self.store.read().generations}
            renewed = again.get(before.number)
            if renewed and renewed.version != before.version:
                self.store.delete([self._number])
                self._end()
                raise LockHeld(self._name, renewed)
        try:
            return before.number not in self.store.delete(self._seen.numbers)
        except ClientError as error:
            if not is_denial(error_code(error)):
                raise
            return False  # the lower generations do no harm

    def check(self) -> None:
        """Return while this run may write; where it has no lock, too.

        Raises:
            SetupError: the lock is lost, or may be lost because it could not be renewed.
        """
        if not self.held:
            return
        if not self._lost and self._age() > SAFE:
            # After a computer has slept, for example.
            try:
                self._renew()
            except AWS_ERRORS as error:
                self._fail(f"it could not be renewed: {describe_error(error)}")
        if self._lost:
            self._fail(self._lost)

    def _fail(self, why: str) -> None:
        hint = "run the same command again: it continues once no other run has the lock"
        raise SetupError(f"the run lock of {self._name} is lost", why, hint)

    def _age(self) -> float:
        """Return the seconds since the last renewal; some monotonic clocks stop in sleep."""
        now = _now()
        return max(now[0] - self._renewed[0], abs(now[1] - self._renewed[1]))

    def _renew_until_end(self) -> None:
        while not self._ends.wait(HEARTBEAT) and not self._lost:
            try:
                self._renew()
            except (Exception, Interrupted) as error:
                log.debug("the run lock was not renewed", exc_info=error)

    def _renew(self) -> None:
        with self._mutex:
            if not self.held or self._lost:
                return
            moment, lapsed = _now(), self._age() > SAFE
            if self._is_highest():
                if self.store.write(self._number, self._holder) == 1:
                    self.store.delete([self._number])
                    self._lost = "another run has removed it"
                elif not lapsed or self._is_highest():
                    self._renewed = moment

    def _is_highest(self) -> bool:
        current = self.store.read().current
        if current and current.holder.run == self._holder.run:
            return True
        self._lost = describe(current) if current else "another run has removed it"
        return False

    def release(self) -> None:
        """Mark the lock as free; where that fails it is free once this process has ended."""
        with self._mutex:
            try:
                if self.held and not self._lost:
                    self.store.write(self._number, replace(self._holder, held=False), once=True)
            except (Exception, Interrupted) as error:
                log.debug("the run lock was not released", exc_info=error)
            finally:
                self._end()

    def remove(self) -> None:
        """Delete every generation up to this run's own: the deployment no longer exists.

        Without the lock, those are deleted that no run holds.

        Raises:
            botocore.exceptions.ClientError: AWS refused the call.
        """
        with self._mutex:
            current = self._seen.current
            if self._lost or self.unavailable:
                return
            if self.held:
                below = [n for n in self.store.read().numbers if n < self._number]
                self.store.delete([*below, self._number])
            elif current and current.standing is not Standing.RUNNING:
                self.store.delete(self._seen.numbers)
            self._end()

    def _end(self) -> None:
        self._ends.set()
        if self.held:
            ACTIVE.discard(self._holder.run)
        self._number = 0

    def _available(self, act: Callable[[], T], otherwise: T) -> T:
        """Return what a call returns; without permission or access the run has no lock.

        Once the Parameter Store has answered, another run may see the lock and this one may not
        go on without it.
        """
        try:
            return act()
        except ClientError as error:
            if not (self._optional or is_denial(error_code(error))):
                raise
            self.unavailable = describe_error(error)
        except (BotoCoreError, SetupError) as error:
            if not (self._optional or self.store.aws.outages.keeps_silent("ssm", error)):
                raise
            self.unavailable = describe_error(error)
        return otherwise


def _now() -> tuple[float, float]:
    """Return the seconds of the monotonic clock, and those of the calendar's."""
    return time.monotonic(), time.time()

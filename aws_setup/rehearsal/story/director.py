"""Plays the story from the first command to the audit, and says how it went."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.rehearsal.guard import Guard, stoppable
from aws_setup.rehearsal.kit import Kit, find_helm
from aws_setup.rehearsal.options import BadInput, Options
from aws_setup.rehearsal.settings import Settings
from aws_setup.rehearsal.story.acts import ACTS, Act
from aws_setup.rehearsal.story.books import Books
from aws_setup.rehearsal.story.ending import Played, bill, faults, write_report
from aws_setup.rehearsal.story.player import Player, Stopped
from aws_setup.rehearsal.story.reckoning import as_on_aws
from aws_setup.rehearsal.story.telling import Teller
from aws_setup.rehearsal.world import World, why_imitated, without_database, world
from aws_setup.report.timeline import total_seconds

INTERRUPTED = 130
"""The story's exit code when it was stopped, as the scripts have it."""

REPEATABLE = (1, 3)
"""Exit codes of the scripts after which the same command goes on: failed, and left something."""

CHAOS_TRIES = 4
"""How often a script may be run, under chaos, until it ends well: a user would do the same."""


def tell(options: Options) -> int:
    """Play the whole story; return 0, 1 when anything is not as it should be, 130 when stopped.

    Raises:
        BadInput: it cannot begin.
    """
    helm = find_helm()
    teller = Teller()
    with stoppable() as stop:
        try:
            return _told(options, helm, teller, stop)
        except Stopped:
            teller.line("stopped; nothing is left running")
            return INTERRUPTED


def _told(options: Options, helm: Path, teller: Teller, stop: threading.Event) -> int:
    with Guard(keep=options.keep) as guard, _stage(guard.folder, options) as stage:
        kit = Kit(guard.folder, helm)
        kit.pack(stage)
        teller.begin(_facts(stage, options, kit))
        books = Books(stage)
        player = Player(guard, kit.environment(stage, os.environ), stop)
        played = Director(options, player, kit, books, teller).play()
        left = books.left()
        wrong = faults(played, left)
        teller.timelines(played)
        teller.heading("How it went")
        teller.runs(played)
        teller.costs(bill(played))
        if stage.cloud.chaos:
            teller.line(stage.cloud.chaos.summary())
        if options.html:
            write_report(options.html, played, kit.config)
            teller.line(f"The page about it: {options.html}")
        teller.verdict(left, wrong)
        if options.keep:
            teller.line(f"kept: {guard.folder}")
        return 1 if wrong else 0


@dataclass(frozen=True)
class Director:
    """Has the acts played, one after the other."""

    options: Options
    player: Player
    kit: Kit
    books: Books
    teller: Teller

    def play(self) -> list[Played]:
        """Play until an act fails: that leaves the later ones no sense."""
        played: list[Played] = []
        for number, act in enumerate(ACTS, 1):
            self.teller.act(act, number=number, of=len(ACTS))
            if act.new_jar:
                self.kit.build_jar(2)
            played += self._until_well(act)
            if played[-1].code:
                break
        return played

    def _until_well(self, act: Act) -> list[Played]:
        """Play an act; under chaos again when it fails, as its last line says that one may."""
        tries = 1 if self.options.chaos is None else CHAOS_TRIES
        played = [self._once(act)]
        while played[-1].code in REPEATABLE and len(played) < tries:
            played[-1] = replace(played[-1], again=True)
            self.teller.line(f"$ {act.line}   # again: it goes on from there", bold=True)
            played.append(self._once(act))
        return played

    def _once(self, act: Act) -> Played:
        began, known = time.monotonic(), len(self.kit.runs())
        code = self.player.play(act)
        seconds = time.monotonic() - began
        played = Played(act, code, seconds, self.books.turn(), on_aws=seconds)
        runs = self.kit.runs()[known:]
        if not runs or not runs[-1].end:
            return played
        run = as_on_aws(runs[-1], self.options.speed)
        looked = max(0.0, seconds - runs[-1].end.seconds)
        return replace(played, run=run, on_aws=looked + total_seconds(run))


@contextmanager
def _stage(folder: Path, options: Options) -> Iterator[World]:
    settings = Settings(speed=options.speed, lag=True, chaos=options.chaos)
    machines = folder / "machines"
    try:
        with world(machines, settings, port=options.port, imitate=options.imitate) as stage:
            yield stage
    except OSError as error:
        if options.port and not isinstance(error, BrokenPipeError):
            raise BadInput(f"port {options.port}: {error.strerror or error}") from error
        raise


def _facts(stage: World, options: Options, kit: Kit) -> list[tuple[str, str]]:
    kept = "kept" if options.keep else "removed at the end"
    real = "ZooKeeper" if without_database() else "ZooKeeper and MariaDB"
    machines = f"OpenSSH servers with {real}, and stand-ins for the rest"
    if stage.imitated:
        why = "as you asked" if options.imitate else why_imitated()
        machines = f"imitated, without MySQL NDB ({why})"
    return [
        ("cloud", f"{stage.cloud.url}, {options.speed:g} times faster than AWS"),
        ("machines", machines),
        ("helm", str(kit.helm)),
        ("folder", f"{kit.folder} ({kept})"),
    ]

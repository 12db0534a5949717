"""Plays the story from the first command to the audit, and says how it went."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aws_setup.rehearsal.guard import Guard, stoppable
from aws_setup.rehearsal.kit import Kit, find_helm
from aws_setup.rehearsal.options import BadInput, Options
from aws_setup.rehearsal.settings import Settings
from aws_setup.rehearsal.story.acts import ACTS, Act
from aws_setup.rehearsal.story.books import Books
from aws_setup.rehearsal.story.ending import Played, faults
from aws_setup.rehearsal.story.player import Player, Stopped
from aws_setup.rehearsal.story.telling import Teller
from aws_setup.rehearsal.world import World, why_imitated, world

FAILED, INTERRUPTED = 1, 130
"""Exit codes of the scripts, and of the story."""

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
        player = Player(guard, kit.environment(stage, os.environ), stop)
        teller.begin(_facts(stage, options, kit))
        books = Books(stage)
        tries = CHAOS_TRIES if options.chaos is not None else 1
        played = _play(player, kit, books, teller, tries=tries)
        left = books.left()
        wrong = faults(played, left)
        teller.heading("How it went")
        teller.runs(played)
        teller.verdict(left, wrong)
        if stage.cloud.chaos:
            teller.line(stage.cloud.chaos.summary())
        if options.keep:
            teller.line(f"kept: {guard.folder}")
        return 1 if wrong else 0


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
    machines = "OpenSSH servers with ZooKeeper, and stand-ins for the rest"
    if stage.imitated:
        why = "as you asked" if options.imitate else why_imitated()
        machines = f"imitated, without MySQL NDB ({why})"
    return [
        ("cloud", f"{stage.cloud.url}, {options.speed:g} times faster than AWS"),
        ("machines", machines),
        ("helm", str(kit.helm)),
        ("folder", f"{kit.folder} ({kept})"),
    ]


def _play(player: Player, kit: Kit, books: Books, teller: Teller, *, tries: int) -> list[Played]:
    """Play act after act, until one fails; a script that fails leaves the later ones no sense."""
    played: list[Played] = []
    for number, act in enumerate(ACTS, 1):
        teller.act(act, number=number, of=len(ACTS))
        if act.new_jar:
            kit.build_jar(2)
        for left in reversed(range(tries)):
            ended = _one(act, player, books)
            again = ended.code == FAILED and left > 0
            played.append(replace(ended, again=again))
            if not again:
                break
            teller.line(f"$ {act.line}   # again: it goes on from there", bold=True)
        if played[-1].code:
            break
    return played


def _one(act: Act, player: Player, books: Books) -> Played:
    began = time.monotonic()
    code = player.play(act)
    return Played(act, code, time.monotonic() - began, books.turn())

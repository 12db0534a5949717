"""Plays the story from the first command to the audit, and says how it went."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_setup.errors import SetupError
from aws_setup.rehearsal.programs import program
from aws_setup.rehearsal.settings import Settings
from aws_setup.rehearsal.story.acts import ACTS, Act
from aws_setup.rehearsal.story.books import Books
from aws_setup.rehearsal.story.ending import Played, faults
from aws_setup.rehearsal.story.kit import Kit
from aws_setup.rehearsal.story.options import BadInput, Options
from aws_setup.rehearsal.story.player import Player, Stopped, stoppable
from aws_setup.rehearsal.story.telling import Teller
from aws_setup.rehearsal.world import World, why_imitated, world

INTERRUPTED = 130


def tell(options: Options) -> int:
    """Play the whole story; return 0, 1 when anything is not as it should be, 130 when stopped.

    Raises:
        BadInput: it cannot begin.
    """
    helm = _helm()
    teller = Teller()
    with stoppable() as stop:
        try:
            return _told(options, helm, teller, stop)
        except Stopped:
            teller.line("stopped; nothing is left running")
            return INTERRUPTED


def _helm() -> Path:
    found = shutil.which("helm")
    if found:
        return Path(found)
    try:
        return program("helm")
    except SetupError as error:
        first = error.problems[0]
        raise BadInput(f"{first.what}: {first.why}; {first.hint}") from error


def _told(options: Options, helm: Path, teller: Teller, stop: threading.Event) -> int:
    folder = Path(tempfile.mkdtemp(prefix="lambda-fs-rehearsal-"))
    with Player(folder, stop, keep=options.keep) as player, _stage(folder, options) as stage:
        kit = Kit(folder, helm)
        player.environment = kit.pack(stage, speed=options.speed)
        teller.begin(_facts(stage, options, helm, folder))
        books = Books(stage)
        played = _play(player, kit, books, teller)
        left = books.left()
        wrong = faults(played, left)
        teller.heading("How it went")
        teller.runs(played)
        teller.verdict(left, wrong)
        if options.keep:
            teller.line(f"kept: {folder}")
        return 1 if wrong else 0


@contextmanager
def _stage(folder: Path, options: Options) -> Iterator[World]:
    settings = Settings(speed=options.speed, lag=True)
    machines = folder / "machines"
    try:
        with world(machines, settings, port=options.port, imitate=options.imitate) as stage:
            yield stage
    except OSError as error:
        if options.port and not isinstance(error, BrokenPipeError):
            raise BadInput(f"port {options.port}: {error.strerror or error}") from error
        raise


def _facts(stage: World, options: Options, helm: Path, folder: Path) -> list[tuple[str, str]]:
    kept = "kept" if options.keep else "removed at the end"
    machines = "OpenSSH servers with ZooKeeper, and stand-ins for the rest"
    if stage.imitated:
        why = "as you asked" if options.imitate else why_imitated()
        machines = f"imitated, without MySQL NDB ({why})"
    return [
        ("cloud", f"{stage.cloud.url}, {options.speed:g} times faster than AWS"),
        ("machines", machines),
        ("helm", str(helm)),
        ("folder", f"{folder} ({kept})"),
    ]


def _play(player: Player, kit: Kit, books: Books, teller: Teller) -> list[Played]:
    """Play act after act, until one fails; a script that fails leaves the later ones no sense."""
    played: list[Played] = []
    for number, act in enumerate(ACTS, 1):
        teller.act(act, number=number, of=len(ACTS))
        played.append(_one(act, player, kit, books))
        if played[-1].code:
            break
    return played


def _one(act: Act, player: Player, kit: Kit, books: Books) -> Played:
    if act.new_jar:
        kit.build_jar(2)
    began = time.monotonic()
    code = player.play(act)
    return Played(act, code, time.monotonic() - began, books.turn())

"""The command line of the rehearsal cloud."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aws_setup.errors import SetupError
from aws_setup.rehearsal.control import one_line
from aws_setup.rehearsal.kube.hooks import KubeHooks
from aws_setup.rehearsal.server import RehearsalCloud, serve
from aws_setup.rehearsal.settings import Settings
from aws_setup.rehearsal.story.options import BadInput, add_arguments, check

SLOWEST = 0.001
"""Lowest speed but 0: the scripts multiply their pauses by 1000 at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 after Ctrl-C, 2 for bad input."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words[:1] == ["serve"]:
            return _serve(_serve_parser().parse_args(words[1:]))
        return _story(_story_parser().parse_args(words))
    except BadInput as error:
        _say(f"error: {error}", to=sys.stderr)
        return 2


def _story_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aws_setup.rehearsal",
        description="Rehearse the whole deployment on this computer: the three scripts do all "
        "their work against an emulated AWS, from nothing to nothing, and nothing costs anything.",
        epilog="python -m aws_setup.rehearsal serve: the emulated AWS alone, to try the scripts "
        "yourself (serve --help). Exit codes: 0 all went as it should; 1 something did not; "
        "2 it could not begin; 130 stopped.",
    )
    add_arguments(parser)
    return parser


def _story(given: argparse.Namespace) -> int:
    from aws_setup.rehearsal.story.director import tell

    return tell(check(given))


def _serve_parser() -> argparse.ArgumentParser:
    run = argparse.ArgumentParser(
        prog="python -m aws_setup.rehearsal serve",
        description="Run the emulated AWS until Ctrl-C; it prints what to export.",
    )
    run.add_argument("--port", type=int, default=0, help="port on loopback (default: a free one)")
    run.add_argument(
        "--state-dir",
        type=Path,
        help="directory whose settings.json and faults.json are read at the start, "
        "and to which calls.json and snapshot.json are written at the end",
    )
    run.add_argument(
        "--speed", type=float, default=None, help="how many times faster than real; 0: instantly"
    )
    run.add_argument(
        "--chaos",
        type=int,
        metavar="SEED",
        help="let faults of every kind happen, drawn from this number",
    )
    run.add_argument(
        "--machines",
        type=Path,
        help="put real machines behind the VMs (Linux), with their disks in this directory",
    )
    return run


def _serve(options: argparse.Namespace) -> int:
    settings = _settings(options)
    faults = _read(options.state_dir, "faults.json", [])
    if 0 < settings.speed < SLOWEST:
        raise BadInput(f"--speed {settings.speed:g} is too slow: it is 0, or at least {SLOWEST}")
    if not 0 <= options.port <= 65535:
        raise BadInput(f"--port {options.port} is not a port: it is a number from 0 to 65535")
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        with (
            serve(settings, port=options.port) as cloud,
            KubeHooks(cloud),
            _machines(options.machines, cloud),
        ):
            _add_faults(cloud, faults)
            _say(environment(cloud.url, settings.speed))
            while not stop.wait(0.5):
                pass
            _write(options.state_dir, cloud)
            if cloud.chaos:
                _say(cloud.chaos.summary(), to=sys.stderr)
    except OSError as error:
        raise BadInput(f"port {options.port}: {error.strerror or error}") from error
    _say("the rehearsal cloud has stopped", to=sys.stderr)
    return 0


@contextmanager
def _machines(folder: Path | None, cloud: RehearsalCloud) -> Iterator[None]:
    """Put machines behind the cloud's VMs where a folder for them is given."""
    if folder is None:
        yield
        return
    from aws_setup.rehearsal.machines import Room
    from aws_setup.rehearsal.machines.keeper import keeping

    try:
        room = Room(folder)
    except SetupError as error:
        raise BadInput(f"--machines: {error}") from error
    with room, keeping(cloud, room):
        _say(f'In config_aws.yaml: ssh_config_path: "{room.ssh_config.resolve()}"\n')
        yield


def _settings(options: argparse.Namespace) -> Settings:
    given = _read(options.state_dir, "settings.json", {})
    if not isinstance(given, dict):
        raise BadInput(f"{options.state_dir / 'settings.json'}: it is not an object")
    given.setdefault("lag", True)
    if options.speed is not None:
        given["speed"] = options.speed
    if options.chaos is not None:
        given["chaos"] = options.chaos
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise BadInput(f"settings: {one_line(error)}") from error


def _read(folder: Path | None, name: str, default: Any) -> Any:
    if folder is None:
        return default
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder / name}: {error}") from error


def _add_faults(cloud: RehearsalCloud, faults: Any) -> None:
    try:
        cloud.faults.add(*(faults if isinstance(faults, list) else [faults]))
    except ValidationError as error:
        raise BadInput(f"faults: {one_line(error)}") from error


def _write(folder: Path | None, cloud: RehearsalCloud) -> None:
    if folder is None:
        return
    from dataclasses import asdict

    calls = [asdict(call) for call in cloud.calls]
    things = [asdict(thing) for thing in cloud.snapshot()]
    files: dict[str, Any] = {"calls.json": calls, "snapshot.json": things}
    if cloud.chaos:
        files["chaos.json"] = cloud.chaos.report()
    for name, content in files.items():
        text = json.dumps(content, indent=1, default=str)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def variables(url: str, speed: float) -> dict[str, str]:
    """Return the environment in which the scripts talk to the rehearsal cloud."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SETUP_PACE": f"{1 / speed:g}" if speed else "0",
    }


def environment(url: str, speed: float) -> str:
    """Return the lines which set that environment, for each family of shells."""
    pairs = variables(url, speed).items()
    lines = [f"The rehearsal cloud listens on {url} (Ctrl-C stops it).", "", "# sh, bash, zsh"]
    lines += [f"export {name}={value}" for name, value in pairs]
    lines += ["", "# fish"]
    lines += [f"set -gx {name} {value}" for name, value in pairs]
    lines += ["", "# PowerShell"]
    lines += [f'$env:{name} = "{value}"' for name, value in pairs]
    return os.linesep.join(lines) if os.name == "nt" else "\n".join(lines)


def _say(text: str, *, to: Any = None) -> None:
    (to or sys.stdout).write(text + "\n")
    (to or sys.stdout).flush()

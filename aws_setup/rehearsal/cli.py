"""The command line of the rehearsal: the demo, or with `serve` only the emulated cloud."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aws_setup.engine.file_errors import file_problem
from aws_setup.engine.output_stream import OutputStream
from aws_setup.errors import SetupError
from aws_setup.rehearsal.core.admin_api import validation_message
from aws_setup.rehearsal.core.cleanup import Cleanup, stop_flag
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.demo import scenario
from aws_setup.rehearsal.demo.runner import run_demo
from aws_setup.rehearsal.demo.scenario import MIN_SPEED, InvalidInput, check_port, start_error
from aws_setup.rehearsal.demo.workspace import Workspace, find_helm
from aws_setup.rehearsal.environment import (
    Environment,
    reason_for_inprocess_vms,
    run_environment,
    script_environment,
    shell_commands,
)

PROGRAM = "python -m aws_setup.rehearsal"


COLLECTED_AFTER = 20_000
"""New objects until garbage is collected: a cloud's objects live on, and Python's 700 are a tenth
of its processor time.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 2 for bad input."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    gc.set_threshold(COLLECTED_AFTER)
    try:
        if words[:1] == ["serve"]:
            return serve_until_stopped(_serve_argument_parser().parse_args(words[1:]))
        return run_demo(scenario.check_options(_demo_argument_parser().parse_args(words)))
    except InvalidInput as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        problem = file_problem(error)
        if problem is None:
            raise
        sys.stderr.write(f"error: {problem.what}: {problem.why}\n  Fix: {problem.hint}\n")
        return 1


def _demo_argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Rehearse the complete deployment on this computer: the three scripts create, "
        "configure and delete everything in an emulated AWS, without any cost.",
        epilog=f"{PROGRAM} serve: only the emulated AWS, to run the scripts yourself "
        "(serve --help). Exit codes: 0 success; 1 a step failed or resources remain; "
        "2 invalid input; 130 stopped.",
    )
    scenario.add_demo_arguments(parser)
    return parser


def _serve_argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} serve",
        description="Run the emulated AWS, with machines, Kubernetes and OpenWhisk, until Ctrl-C. "
        "It prints the variables to set in another terminal.",
    )
    add_serve_arguments(parser)
    return parser


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve` to a command line."""
    add = parser.add_argument
    add("--port", type=int, default=0, help="port on loopback (default: any free port)")
    add(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="directory: settings.json and faults.json are read at the start, "
        "calls.json and snapshot.json are written at the end",
    )
    add(
        "--speed",
        type=float,
        metavar="X",
        help="how many times faster than real time (default 1); 0: no delays",
    )
    add(
        "--chaos",
        type=int,
        metavar="SEED",
        help="inject random faults of every kind, drawn from this seed",
    )
    add(
        "--machines",
        type=Path,
        metavar="DIR",
        help="directory of the machines' disks (default: a temporary directory)",
    )
    add(
        "--imitate-machines",
        dest="imitate",
        action="store_true",
        help="imitate the machines even where real ones can run",
    )


def serve_until_stopped(options: argparse.Namespace) -> int:
    """Serve; returns 0 after Ctrl-C.

    Raises:
        InvalidInput: an option or a file in the state directory is invalid.
    """
    settings = _settings(options)
    faults = _read_json(options.state_dir, "faults.json", [])
    if 0 < settings.speed < MIN_SPEED:
        raise InvalidInput(f"--speed {settings.speed:g}: must be 0, or at least {MIN_SPEED}")
    check_port(options.port)
    with stop_flag() as stop, Cleanup() as cleanup, ExitStack() as stack:
        disks = options.machines or cleanup.folder / "machines"
        try:
            environment = run_environment(
                disks, settings, port=options.port, imitate=options.imitate
            )
            running = stack.enter_context(environment)
            workspace = Workspace(cleanup.folder, find_helm())
            workspace.prepare(running)
        except OSError as error:
            raise start_error(error, options.port) from error
        except SetupError as error:
            raise InvalidInput(f"--machines: {error}") from error
        _add_faults(running.cloud, faults)
        _print(connection_instructions(running, workspace))
        while not stop.wait(0.5):
            pass
        _write_state(options.state_dir, running.cloud)
    _print("the emulated AWS has stopped", to=sys.stderr)
    return 0


def connection_instructions(running: Environment, workspace: Workspace) -> str:
    """Return the variables to set in another terminal, and commands to try there."""
    pairs = script_environment(running.cloud.url, running.cloud.settings.speed)
    pairs["KUBECONFIG"] = str(workspace.folder / "kubeconfig")
    ssh = f"ssh -F {running.machines.ssh_config.resolve()} -i {workspace.folder / 'key.pem'}"
    lines = [
        f"The emulated AWS listens on {running.cloud.url} (Ctrl-C stops it).",
        *(
            [f"The machines are imitated: {reason_for_inprocess_vms() or '--imitate-machines'}."]
            if running.imitated
            else []
        ),
        "",
        shell_commands(pairs, path=str(workspace.helm.parent)),
        "",
        "# then, in the folder of the scripts, with a configuration for this rehearsal:",
        f"python create_aws_infrastructure.py -y {workspace.config}",
        f"python configure_eks_cluster.py -y {workspace.config}",
        f"python whisk_helper.py -y {workspace.config} -n 20 --create "
        f"-j {workspace.folder / 'namenode.jar'}",
        f"{ssh} 127.0.8.233",
        "kubectl get nodes",
    ]
    return "\n".join(lines)


def _settings(options: argparse.Namespace) -> Settings:
    values = _read_json(options.state_dir, "settings.json", {})
    if not isinstance(values, dict):
        raise InvalidInput(f"{options.state_dir / 'settings.json'}: must be a JSON object")
    values.setdefault("lag", True)
    if options.speed is not None:
        values["speed"] = options.speed
    if options.chaos is not None:
        values["chaos"] = options.chaos
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(f"settings: {validation_message(error)}") from error


def _read_json(folder: Path | None, name: str, default: Any) -> Any:
    if folder is None:
        return default
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder / name}: {error}") from error


def _add_faults(cloud: RehearsalCloud, faults: Any) -> None:
    try:
        cloud.faults.add(*(faults if isinstance(faults, list) else [faults]))
    except ValidationError as error:
        raise InvalidInput(f"faults: {validation_message(error)}") from error


def _write_state(folder: Path | None, cloud: RehearsalCloud) -> None:
    if cloud.random_faults:
        _print(cloud.random_faults.summary(), to=sys.stderr)
    if folder is None:
        return
    calls = [asdict(call) for call in cloud.calls]
    resources = [asdict(resource) for resource in cloud.snapshot()]
    files: dict[str, Any] = {"calls.json": calls, "snapshot.json": resources}
    if cloud.random_faults:
        files["chaos.json"] = cloud.random_faults.report()
    for name, content in files.items():
        text = json.dumps(content, indent=1, default=str)
        try:
            (folder / name).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{folder / name}: {error.strerror or error}") from error


def _print(text: str, *, to: Any = None) -> None:
    stream = OutputStream(to or sys.stdout)
    stream.write(text + "\n")
    stream.flush()

"""Machines without SSH for unit tests: files in a dictionary, commands answered by a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import paramiko

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.engine.step import Found
from aws_setup.engine.wait import SystemClock
from aws_setup.ssh.errors import RemoteError
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool

Answer = Callable[[str, str], tuple[int, str]]
"""Command line and stdin -> exit code and output (stderr if the code is not 0)."""


def no_connection(_machine: Machine, _reconnect: bool) -> paramiko.Transport:
    """Fail the test: a fake machine never connects."""
    raise AssertionError("a fake machine has no SSH server")


class FakeMachine(Machine):
    """A machine whose commands are recorded and answered by a function."""

    def __init__(self, name: str, *, answer: Answer = lambda _command, _stdin: (0, "")) -> None:
        super().__init__(
            f"i-{name}",
            "203.0.113.1",
            connect=no_connection,
            clock=SystemClock(pace=0),
            name=name,
            private_ip=f"10.0.0.{sum(name.encode()) % 250}",
        )
        self.answer = answer
        self.files: dict[str, str] = {}
        self.commands: list[str] = []

    def run(
        self, command: str | Sequence[str], *, check: bool = True, **options: Any
    ) -> CommandResult:
        """Record the command and return the function's answer."""
        line = command if isinstance(command, str) else " ".join(command)
        self.commands.append(line)
        stdin = options.get("stdin", "")
        if line.startswith("rm -f "):
            self.files.pop(line.removeprefix("rm -f "), None)
        code, text = self.answer(line, stdin if isinstance(stdin, str) else stdin.decode())
        if code and check:
            raise RemoteError(self.name, line, code=code, output=text)
        return CommandResult(code, "" if code else text, text if code else "")

    def read(self, path: str, *, sudo: bool = False) -> str | None:
        """Return a file's text."""
        return self.files.get(path)

    def write(self, path: str, content: str | bytes, **_options: Any) -> bool:
        """Store a file's text; True when it differs from before."""
        text = content if isinstance(content, str) else content.decode()
        changed = self.files.get(path) != text
        self.files[path] = text
        return changed


class FakePool(MachinePool):
    """A pool of fake machines."""

    def __init__(self, config: Config, machines: Sequence[FakeMachine]) -> None:
        super().__init__(config, SystemClock(pace=0))
        self.fakes = {machine.id: machine for machine in machines}

    def machine(self, instance_id: str, address: str, **_options: Any) -> Machine:
        """Return the machine with this id."""
        return self.fakes[instance_id]


def fake_context(folder: Path, groups: dict[str, list[FakeMachine]], **keys: Any) -> Context:
    """Return a context in which each step has found its machines."""
    config = Config(
        ssh_keypair_name="key",
        ssh_key_path=str(folder / "key"),
        infrastructure_json_path=str(folder / "receipts"),
        **keys,
    )
    ctx = Context(
        config=config,
        aws=cast(Aws, SimpleNamespace(shared={})),
        clock=SystemClock(pace=0),
        inventory=cast(Inventory, SimpleNamespace()),
    )
    for step, machines in groups.items():
        instances = [
            {
                "id": machine.id,
                "name": machine.name,
                "public_ip": machine.address,
                "private_ip": machine.private_ip,
            }
            for machine in machines
        ]
        ctx.found[step] = Found(step, "running", {"instances": instances})
    return ctx

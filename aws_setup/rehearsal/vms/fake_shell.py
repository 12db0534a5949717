"""The shell of an in-process VM: files in a folder, and a few programs in Python.

For computers that cannot run real VMs (macOS, Windows), and for hundreds of VMs at once. Unknown
commands fail with exit code 127, as in a shell.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.software import client_keys, daemons
from aws_setup.software.clients import remote_files
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh import files, survey


@dataclass(frozen=True)
class CommandResult:
    """The exit code and output of a command."""

    code: int = 0
    out: bytes = b""
    err: bytes = b""


Program = Callable[["FakeShell", list[str], bytes], CommandResult]
"""Takes the machine, the arguments and the standard input."""


@dataclass
class FakeShell:
    """The shell of one VM: its disk, its address, and its programs by path."""

    disk: Disk
    private_ip: str
    ensemble: FakeZooKeeperEnsemble
    programs: dict[str, Program] = field(default_factory=dict)

    def run(self, line: str, stdin: bytes) -> CommandResult:
        """Run a command line as the login shell would."""
        words = shlex.split(line)
        if words[:3] == ["sudo", "-n", "--"]:
            words = words[3:]
        if words[:2] == ["sh", "-c"]:
            script, arguments = words[2], words[4:]
            known = SCRIPTS.get(script)
            return known(self, arguments, stdin) if known else _unknown(script)
        program = self.programs.get(words[0]) or PROGRAMS.get(words[0])
        return program(self, words[1:], stdin) if program else _unknown(words[0])

    def srvr(self) -> bytes | None:
        """Return ZooKeeper's answer to `srvr`; None when it is not running."""
        return self.ensemble.srvr(self)


NEW_ZNODES = ("/", "/zookeeper")
"""The znodes of an ensemble that has just been started."""


class FakeZooKeeperEnsemble:
    """ZooKeeper of all imitated VMs: the running servers, the leader, and the znodes."""

    def __init__(self) -> None:
        self.running: dict[str, FakeShell] = {}
        self.members: dict[str, FakeShell] = {}
        """The servers that were ever started, whose disks have the znodes."""
        self.servers: dict[str, list[str]] = {}
        """The members that each server has read from its zoo.cfg."""
        self.znodes: set[str] = set(NEW_ZNODES)
        self.lock = threading.Lock()

    def stop(self, machine: FakeShell) -> None:
        """Stop a VM's server, as a power cut does."""
        with self.lock:
            self.running.pop(machine.private_ip, None)

    def remove(self, machine: FakeShell) -> None:
        """Remove a VM with its disk; the znodes end with the last server's."""
        self.stop(machine)
        with self.lock:
            if self.members.get(machine.private_ip) is machine:
                del self.members[machine.private_ip]
                if not self.members:
                    self.znodes = set(NEW_ZNODES)

    def srvr(self, machine: FakeShell) -> bytes | None:
        """Return one server's answer: the highest running id leads a quorum, as after a start."""
        with self.lock:
            if machine.private_ip not in self.running:
                return None
            known = self.servers.get(machine.private_ip)
            servers = _ensemble_addresses(machine) if known is None else known
            up = [address for address in servers if address in self.running]
        if not servers:
            return b"Zxid: 0x1\nMode: standalone\n"
        if len(up) < len(servers) // 2 + 1:
            return b"This ZooKeeper instance is not currently serving requests\n"
        mode = "leader" if up[-1] == machine.private_ip else "follower"
        return f"Zxid: 0x100000001\nMode: {mode}\n".encode()


def _ensemble_addresses(machine: FakeShell) -> list[str]:
    lines = machine.disk.read(zk.ZOO_CFG).splitlines()
    return [line.split("=")[1].split(":")[0] for line in lines if line.startswith("server.")]


def _unknown(what: str) -> CommandResult:
    return CommandResult(127, err=f"{what.splitlines()[0]}: not found\n".encode())


def _file_only(script: Program, paths: slice) -> Program:
    """Return a script that looks at its paths first: what is there must be a file."""

    def checked(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
        for name in arguments[paths]:
            path = machine.disk.path(name)
            if path.exists() and not path.is_file():
                kind = "folder" if path.is_dir() else "named pipe"
                return CommandResult(files.NO_FILE, err=f"{name}\n{kind}\n".encode())
        return script(machine, arguments, stdin)

    return checked


_ALL, _FIRST = slice(None), slice(1)


def _read(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    path = machine.disk.path(arguments[0])
    return CommandResult(out=path.read_bytes()) if path.is_file() else CommandResult(files.ABSENT)


def _digest(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    path = machine.disk.path(arguments[0])
    if not path.is_file():
        return CommandResult(files.ABSENT)
    mode, owner = machine.disk.modes.get(arguments[0], ("644", "root:root"))
    user, _, group = owner.partition(":")
    return CommandResult(
        out=f"{_sha(path.read_bytes())}  -\n{mode} {user} {group or user}\n".encode()
    )


def _write(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    name, mode, owner, digest = arguments
    if _sha(stdin) != digest:
        return CommandResult(74, err=b"the content is truncated\n")
    path = machine.disk.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    _new_file(path, stdin).replace(path)
    machine.disk.modes[name] = (mode, owner or "root:root")
    return CommandResult()


def _new_file(path: Path, content: bytes) -> Path:
    """Write the content beside the file that it will replace."""
    new = path.with_name(f".{path.name}.lambda-fs-new")
    new.write_bytes(content)
    return new


def _facts(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    lines = []
    for name in arguments:
        path = machine.disk.path(name)
        if path.is_file():
            lines.append(f"{_sha(path.read_bytes())} {path.stat().st_mtime_ns / 1e9:.9f} {name}\n")
    return CommandResult(out="".join(lines).encode())


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _make_folders(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    for name in arguments:
        if not name.startswith("-"):
            machine.disk.path(name).mkdir(parents=True, exist_ok=True)
    return CommandResult()


def _zk_server(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    with machine.ensemble.lock:
        if arguments[0] == "start":
            if not machine.disk.exists(zk.ZOO_CFG):
                return CommandResult(1, err=b"Starting zookeeper ... FAILED TO START\n")
            machine.ensemble.running[machine.private_ip] = machine
            machine.ensemble.members[machine.private_ip] = machine
            # A server reads its configuration when it starts, and never again.
            machine.ensemble.servers[machine.private_ip] = _ensemble_addresses(machine)
            machine.disk.write(zk.PID_FILE, "1")
            return CommandResult(out=b"Starting zookeeper ... STARTED\n")
        if not machine.disk.exists(zk.PID_FILE):
            return CommandResult(out=b"Stopping zookeeper ... no zookeeper to stop\n")
        machine.ensemble.running.pop(machine.private_ip, None)
        machine.disk.path(zk.PID_FILE).unlink()
    return CommandResult(out=b"Stopping zookeeper ... STOPPED\n")


def _correct_pid(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    with machine.ensemble.lock:
        if machine.private_ip in machine.ensemble.running:
            machine.disk.write(zk.PID_FILE, "1")
        else:
            machine.disk.path(zk.PID_FILE).unlink(missing_ok=True)
    return CommandResult()


def _zk_client(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    with machine.ensemble.lock:
        for line in stdin.decode().splitlines():
            if line.startswith("create "):
                machine.ensemble.znodes.add(line.split()[1])
        return CommandResult(
            out="".join(f"{path}\n" for path in sorted(machine.ensemble.znodes)).encode()
        )


def _read_files(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    lines = []
    for name in arguments:
        path = machine.disk.path(name)
        if path.is_file():
            lines.append(f"{base64.b64encode(path.read_bytes()).decode() or '-'} {name}\n")
    return CommandResult(out="".join(lines).encode())


def _replace_file(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    name, new_digest, old_digest, suffix = arguments
    path, copy = machine.disk.path(name), machine.disk.path(name + suffix)
    current = _sha(path.read_bytes())
    if current == new_digest:
        return CommandResult()
    if current != old_digest:
        return CommandResult(remote_files.CHANGED)
    if _sha(stdin) != new_digest:
        return CommandResult(74, err=b"the content is truncated\n")
    made = not copy.exists()
    if made:
        shutil.copy2(path, copy)
    new = _new_file(path, stdin)
    shutil.copymode(path, new)
    new.replace(path)
    return CommandResult(out=b"kept\n" if made else b"")


def _survey(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    answers = (machine.run(line, b"") for line in arguments)
    lines = [base64.b64encode(b"%s %d" % (answer.out, answer.code)) for answer in answers]
    return CommandResult(out=b"".join(line + b"\n" for line in lines))


def _run(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    return machine.run(shlex.join(arguments), stdin)


def _srvr(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    answer = machine.srvr()
    return CommandResult(1) if answer is None else CommandResult(out=answer)


def _list(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    serving = b"Mode: " in (machine.srvr() or b"")
    return _zk_client(machine, arguments, b"") if serving else CommandResult(1)


def _generate_key(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    """Write a key that no program accepts: imitated VMs have no SSH client."""
    folder, comment = arguments
    private, public = (f"{folder}/{name}" for name in ("id_rsa", "id_rsa.pub"))
    pair = {private: f"{_IMITATED}{comment}\n", public: f"ssh-rsa {_public(comment)} {comment}\n"}
    if any(not machine.disk.exists(name) or machine.disk.read(name) != pair[name] for name in pair):
        kept = b"kept\n" if machine.disk.exists(private) else b""
        for name, text in pair.items():
            if machine.disk.exists(name):
                old = name.replace("id_rsa", "id_rsa.of-the-image")
                machine.disk.path(name).replace(machine.disk.path(old))
            machine.disk.write(name, text)
        return CommandResult(out=kept)
    return CommandResult()


_IMITATED = "an imitated private key of "


def _public(comment: str) -> str:
    return base64.b64encode(comment.encode()).decode()


def _list_keys(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    lines = []
    for name in (f"{arguments[0]}/{file}" for file in ("id_rsa", "id_rsa.of-the-image")):
        path = machine.disk.path(name)
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            imitated = text.startswith(_IMITATED)
            public = _public(text.removeprefix(_IMITATED).strip()) if imitated else "-"
            lines.append(f"{_sha(path.read_bytes())} {public} - {name}\n")
    return CommandResult(out="".join(lines).encode())


def _remove_files(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    for digest, name in zip(arguments[::2], arguments[1::2], strict=True):
        path = machine.disk.path(name)
        if path.is_file() and _sha(path.read_bytes()) == digest:
            path.unlink()
    return CommandResult()


def _remove(machine: FakeShell, arguments: list[str], stdin: bytes) -> CommandResult:
    for name in arguments:
        if not name.startswith("-"):
            machine.disk.path(name).unlink(missing_ok=True)
    return CommandResult()


SCRIPTS: Mapping[str, Program] = {
    client_keys.GENERATE_KEY: _generate_key,
    client_keys.LIST_KEYS: _list_keys,
    client_keys.REMOVE_FILES: _remove_files,
    survey.SURVEY: _survey,
    survey.RUN: _run,
    daemons.START: _run,
    zk.SRVR: _srvr,
    zk.LIST: _list,
    remote_files.READ: _file_only(_read_files, _ALL),
    remote_files.REPLACE: _file_only(_replace_file, _FIRST),
    files.READ: _file_only(_read, _FIRST),
    files.DIGEST: _file_only(_digest, _FIRST),
    files.WRITE: _file_only(_write, _FIRST),
    files.FACTS: _file_only(_facts, _ALL),
    zk.CORRECT_PID: _correct_pid,
}
PROGRAMS: Mapping[str, Program] = {
    "true": lambda *_: CommandResult(),
    "echo": lambda _, words, __: CommandResult(out=(" ".join(words) + "\n").encode()),
    "hostname": lambda machine, *_: CommandResult(out=f"{machine.private_ip} \n".encode()),
    "mkdir": _make_folders,
    "rm": _remove,
    zk.SERVER: _zk_server,
    zk.CLIENT: _zk_client,
}

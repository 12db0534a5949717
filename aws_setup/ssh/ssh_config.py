"""The user's OpenSSH configuration: host, port, user, keys and proxies of an address."""

from __future__ import annotations

import getpass
import glob
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aws_setup.config.paths import expanded
from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import TEXT_LIMIT, whole_number
from aws_setup.engine.safe_text import shorten
from aws_setup.errors import SetupError

if TYPE_CHECKING:
    import paramiko
else:
    from aws_setup.ssh import library as paramiko

USER = "ubuntu"
"""The user of the λFS AMIs."""

_INCLUDE = re.compile(r"^\s*include[\s=]+(\S.*)$", re.IGNORECASE)
_BLOCK = re.compile(r"^\s*(?:host|match)[\s=]", re.IGNORECASE)
_MAX_INCLUDE_DEPTH = 16
MAX_PORT = 65535
_JUMP = re.compile(r"^(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>[^:]+)(?::(?P<port>\d+))?$")


@dataclass(frozen=True)
class SshRoute:
    """How to reach an address: host, port, user, keys, and proxy command or jump hosts."""

    address: str
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    proxy_command: str = ""
    jumps: tuple[str, ...] = ()
    host_key_alias: str = ""
    known_hosts_files: tuple[Path, ...] = ()
    strict: bool = False
    """Whether the user has set that only known host keys are accepted."""
    is_jump_host: bool = False
    """Whether it is the way to a jump host, and not to a machine of λFS."""


class SshSettings:
    """One OpenSSH configuration file, read once; a missing file counts as empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = _with_includes(expanded(path), depth=0)
            # Without settings paramiko, which takes 80 ms to import, has nothing to look up.
            self._config = paramiko.SSHConfig.from_text(text) if text.strip() else None
        except _unusable_errors() as error:
            raise self._unusable(str(error)) from None

    def _unusable(self, why: str) -> SetupError:
        what = f"the OpenSSH configuration {self.path} cannot be used"
        return SetupError(what, why, "fix that file, or set ssh_config_path to another one")

    def _port(self, text: str, address: str) -> int:
        """Return a TCP port; raises SetupError for any other number or text."""
        port = whole_number(text)
        if port is None or not 1 <= port <= MAX_PORT:
            given = shorten(text, 40)
            raise self._unusable(f"the port of {address}: {given!r} is none from 1 to {MAX_PORT}")
        return port

    def route(
        self, address: str, *, user: str = "", port: int = 0, default_user: str = USER
    ) -> SshRoute:
        """Return the route to an address; `user` and `port` override the file."""
        try:
            found = self._config.lookup(address) if self._config else {}
        except _unusable_errors() as error:
            raise self._unusable(f"the settings of {address}: {error}") from None
        own_port = self._port(found.get("port", "22"), address)
        proxy = found.get("proxycommand") or ""
        jumps = found.get("proxyjump", "")
        return SshRoute(
            address=address,
            host=found.get("hostname", address),
            port=port or own_port,
            user=user or found.get("user", default_user),
            identity_files=tuple(expanded(name) for name in found.get("identityfile", ())),
            proxy_command="" if proxy.lower() == "none" else proxy,
            host_key_alias=found.get("hostkeyalias", ""),
            known_hosts_files=tuple(map(Path, _known_hosts_files(found))),
            strict=found.get("stricthostkeychecking", "").lower() in {"yes", "true"},
            jumps=() if jumps.lower() in {"", "none"} else tuple(jumps.split(",")),
        )

    def jump(self, text: str) -> SshRoute:
        """Return the route to one hop of a ProxyJump: [user@]host[:port].

        The default user is the one of this computer, as in ssh_config(5): it is no machine of λFS.
        """
        match = _JUMP.match(text.strip())
        if not match:
            raise SetupError(
                f"cannot parse ProxyJump {text!r}",
                f"it is set in {self.path}",
                "write it as user@host:port",
            )
        port = self._port(match["port"], match["host"]) if match["port"] else 0
        user = match["user"] or ""
        found = self.route(match["host"], user=user, port=port, default_user=_own_name())
        return replace(found, is_jump_host=True)


def _own_name() -> str:
    """Return the user's name on this computer; USER where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (ImportError, LookupError, OSError):
        return USER


def _known_hosts_files(found: Mapping[str, str]) -> list[str]:
    """Return the user's and the system's files of host keys, as in ssh_config(5)."""
    user = found.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
    system = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
    return shlex.split(user) + shlex.split(found.get("globalknownhostsfile", system))


def _with_includes(path: Path, *, depth: int) -> str:
    """Return the file's text with each Include replaced by the files that it names, as in ssh."""
    if depth > _MAX_INCLUDE_DEPTH:
        raise OSError(f"Include is nested deeper than {_MAX_INCLUDE_DEPTH} files")
    try:
        if path.stat().st_size > TEXT_LIMIT:
            raise OSError(f"{path} is longer than {TEXT_LIMIT // 1024**2} MB")
        lines = read_file(path).decode("utf-8").splitlines()
    except FileNotFoundError:
        return ""
    text, block = [], "Host *"
    for line in lines:
        match = _INCLUDE.match(line)
        if not match:
            block = line if _BLOCK.match(line) else block
            text.append(line)
            continue
        for pattern in shlex.split(match[1].rstrip(), comments=True):
            full = expanded("~/.ssh") / expanded(pattern)
            for name in sorted(glob.glob(str(full))):  # noqa: PTH207 -- pattern may be absolute
                text.append(_with_includes(Path(name), depth=depth + 1))
        text.append(block)  # what follows belongs to it again, and not to an included Host
    return "\n".join(text)


def _unusable_errors() -> tuple[type[Exception], ...]:
    """Return what paramiko raises for a configuration.

    `Match exec` needs a package that is not installed.
    """
    return (paramiko.SSHException, ImportError, LookupError, OSError, TypeError, ValueError)

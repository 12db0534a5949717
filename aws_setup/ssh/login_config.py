"""The OpenSSH configuration of a deployment's machines as text: `ssh -F FILE lambda-fs-client`.

Every keyword is one of ssh_config(5), https://man.openbsd.org/ssh_config.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from aws_setup.errors import SetupError
from aws_setup.ssh.ssh_config import SshRoute

_HEAD = """\
# Logging in to the machines of {deployment}. Rewritten by every run of
# create_aws_infrastructure.py, and removed by its destroy.
#   ssh -F {file} NAME
"""

_FOOT = """
# Ends the last host: what follows an Include of this file is for every host.
Host *
"""

_NOT_EXPRESSIBLE = re.compile(r"[\x00-\x1f\x7f]|\$\{")
"""ssh ends a value at a line's end, and replaces ${NAME}, for which it has no escape."""


@dataclass(frozen=True)
class LoginHost:
    """One `Host` of the configuration.

    `names` are what the user may call it. `host_key_alias` is its name in `known_hosts`. With
    `strict` only a host key in there is accepted; else a first one is, and a changed one refused.
    `jump` names another host that leads to it; without one the route's own proxies do.
    """

    names: tuple[str, ...]
    route: SshRoute
    keys: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    host_key_alias: str = ""
    strict: bool = True
    jump: str = ""

    def text(self) -> str:
        """Return the host's lines.

        Raises:
            SetupError: a path has characters that OpenSSH cannot read in a configuration.
        """
        route = self.route
        pairs = [("HostName", _percent(route.host)), ("User", _quoted(route.user))]
        if route.port != 22:
            pairs.append(("Port", str(route.port)))
        pairs += [("IdentityFile", quoted_path(key)) for key in dict.fromkeys(self.keys)]
        pairs.append(("IdentitiesOnly", "yes"))
        if self.known_hosts:
            pairs.append(("UserKnownHostsFile", " ".join(map(quoted_path, self.known_hosts))))
        if self.host_key_alias:
            pairs.append(("HostKeyAlias", self.host_key_alias))
        pairs.append(("StrictHostKeyChecking", "yes" if self.strict else "accept-new"))
        if self.jump:
            pairs.append(("ProxyJump", self.jump))
        elif route.proxy_command:
            pairs.append(("ProxyCommand", _percent(route.proxy_command.replace("%%", "%"))))
        lines = "".join(f"  {keyword} {value}\n" for keyword, value in pairs)
        return f"Host {' '.join(self.names)}\n{lines}"


def login_config(deployment: str, file: Path, hosts: Sequence[LoginHost]) -> str:
    """Return the configuration file's text.

    Raises:
        SetupError: a path has characters that OpenSSH cannot read in a configuration.
    """
    head = _HEAD.format(deployment=deployment, file=shown_path(file))
    return "\n".join([head, *(host.text() for host in hosts)]) + _FOOT


def include_line(file: Path) -> str:
    """Return the line for ~/.ssh/config; ssh takes its argument as a pattern of glob(7)."""
    absolute = Path(os.path.abspath(file))  # noqa: PTH100 -- a link of the user stays one
    pattern = glob.escape(absolute.as_posix().replace("\\", "\\\\"))
    return f"Include {_quoted(pattern)}"


def quoted_path(path: PurePath) -> str:
    """Return a path as a value: percent signs are tokens there, and a backslash escapes.

    Windows' paths are written with slashes, which its OpenSSH takes.

    Raises:
        SetupError: it has characters that OpenSSH cannot read in a configuration.
    """
    text = path.as_posix()
    if _NOT_EXPRESSIBLE.search(text):
        raise SetupError(
            f"{text!r} cannot be written in an OpenSSH configuration",
            "ssh has no way to write its control characters or ${",
            "move it to a folder with another name",
        )
    return _quoted(_percent(text))


def shown_path(path: Path) -> str:
    """Return a path as the user would type it: from the working directory, where it is below."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 -- a link of the user stays one
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if re.search(r"[\s\"'\\#=*?\[]", text) else text


def _percent(text: str) -> str:
    return text.replace("%", "%%")

"""Windows and macOS: no name that only POSIX has is used without a guard."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest

from aws_setup.engine.private_files import append_private, write_private
from aws_setup.openwhisk.local_program import own_session
from aws_setup.preflight.key_pair import windows_remark
from aws_setup.ssh.connection import _need_proxy_command
from aws_setup.ssh.errors import Unreachable
from aws_setup.ssh.login_config import quoted_path, shell_word
from aws_setup.ssh.ssh_config import SshRoute
from tests.test_layers import PACKAGE, ROOT, modules

MODULES = {
    "crypt", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios",
    "tty",
}  # fmt: skip
NAMES = {
    "os": {
        "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fchmod", "fchown", "fork",
        "forkpty", "getegid", "geteuid", "getgid", "getpgid", "getuid", "initgroups", "killpg",
        "mkfifo", "mknod", "nice", "posix_spawn", "setsid", "setuid", "uname", "wait", "waitpid",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP",
        "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "pause", "setitimer", "sigwait",
    },
    "socket": {"AF_UNIX", "SCM_RIGHTS", "socketpair"},
    "select": {"epoll", "kqueue", "poll"},
}  # fmt: skip
"""What Python documents as available on Unix only."""

OPTIONS = {"preexec_fn", "process_group", "start_new_session", "pass_fds", "dir_fd"}
GUARDS = ("os.name", "sys.platform", "hasattr(")


def posix_only(source: str) -> Iterator[str]:
    """Yield every use of a POSIX-only name that no condition about the platform encloses."""
    tree = ast.parse(source)
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, guarded = pending.pop()
        if isinstance(node, ast.If | ast.IfExp):
            guarded = guarded or any(guard in ast.unparse(node.test) for guard in GUARDS)
        if not guarded:
            yield from _uses(node)
        pending += [(child, guarded) for child in ast.iter_child_nodes(node)]


def _uses(node: ast.AST) -> Iterator[str]:
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Import):
        yield from (f"{line}: import {a.name}" for a in node.names if a.name in MODULES)
    elif isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        if node.module in MODULES or names & NAMES.get(node.module or "", set()):
            yield f"{line}: from {node.module} import {', '.join(names)}"
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.attr in NAMES.get(node.value.id, ()):
            yield f"{line}: {node.value.id}.{node.attr}"
    elif isinstance(node, ast.keyword) and node.arg in OPTIONS:
        yield f"{line}: {node.arg}="
    elif isinstance(node, ast.Constant) and re.match(r"/tmp(/|$)", str(node.value)):
        yield f"{line}: {node.value!r}"


@pytest.mark.parametrize("path", [*modules(PACKAGE), *sorted(ROOT.glob("*.py"))], ids=str)
def test_no_module_uses_what_only_posix_has(path: Path) -> None:
    assert not list(posix_only(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "from os import fork",
        "import os\nos.getuid()",
        "import signal\nsignal.signal(signal.SIGHUP, f)",
        "run(start_new_session=True)",
        "open('/tmp/x')",
        "import os\nif debug:\n    os.killpg(1, 2)",
    ],
)
def test_the_test_finds_each_kind(source: str) -> None:
    assert list(posix_only(source))


def test_a_guard_is_accepted() -> None:
    assert not list(posix_only("if hasattr(os, 'fchmod'):\n    os.fchmod(1, 2)"))
    assert not list(posix_only("x = os.getuid() if os.name == 'posix' else 0"))


def test_ctrl_c_does_not_reach_helm_on_either_system() -> None:
    assert own_session(windows=True) == {"creationflags": 0x200}
    assert own_session(windows=False) == {"start_new_session": True}


def test_paths_of_windows_in_ssh_and_in_the_shell() -> None:
    path = PureWindowsPath(r"C:\Users\A B\key.pem")
    assert quoted_path(path) == '"C:/Users/A B/key.pem"'
    assert shell_word(str(path), windows=True) == r'"C:\Users\A B\key.pem"'
    assert shell_word(r"C:\k.pem", windows=True) == r"C:\k.pem"
    assert shell_word("a b", windows=False) == "'a b'"


def test_the_key_file_on_windows_is_told_in_its_own_words() -> None:
    assert 'icacls "C:\\k.pem" /inheritance:r' in windows_remark(r"C:\k.pem", windows=True)
    assert windows_remark("k.pem", windows=False) == ""


def test_a_proxy_command_on_windows_is_refused_with_the_alternative() -> None:
    route = SshRoute("203.0.113.1", "vm", 22, "ubuntu", proxy_command="nc vm 22")
    _need_proxy_command(route, windows=False)
    with pytest.raises(Unreachable, match="Windows") as caught:
        _need_proxy_command(route, windows=True)
    assert "ProxyJump" in caught.value.problems[0].hint


def test_private_files_have_the_same_bytes_everywhere(tmp_path: Path) -> None:
    write_private(tmp_path / "a", "one\ntwo\n")
    append_private(tmp_path / "a", "three\n")
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\nthree\n"

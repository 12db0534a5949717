"""Windows and macOS: no name that only POSIX has is used without a guard."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest

from aws_setup.config import Config
from aws_setup.engine import private_files
from aws_setup.engine.private_files import append_private, write_private
from aws_setup.engine.wording import shell_word
from aws_setup.openwhisk.local_program import end_session, own_session
from aws_setup.preflight.key_pair import read_key, windows_remark
from aws_setup.ssh.errors import Unreachable
from aws_setup.ssh.login_config import quoted_path
from aws_setup.ssh.proxy_command import _need_proxy_command
from aws_setup.ssh.ssh_config import SshRoute
from tests.test_layers import PACKAGE, ROOT, modules

MODULES = {
    "crypt", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios",
    "tty", "zoneinfo",
}  # fmt: skip
NAMES = {
    "os": {
        "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fchmod", "fchown", "fork",
        "forkpty", "getegid", "geteuid", "getgid", "getpgid", "getuid", "initgroups", "killpg",
        "getloadavg", "mkfifo", "mknod", "nice", "posix_spawn", "register_at_fork",
        "sched_getaffinity", "setsid", "setuid", "statvfs", "sync", "uname", "wait", "waitpid",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP",
        "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "pause", "pthread_kill",
        "pthread_sigmask", "set_wakeup_fd", "setitimer", "siginterrupt", "sigwait",
    },
    "time": {"tzset"},
    "socket": {"AF_UNIX", "SCM_RIGHTS", "socketpair"},
    "select": {"epoll", "kqueue", "poll"},
}  # fmt: skip
"""What Python documents as available on Unix only, and zoneinfo, which needs tzdata elsewhere."""

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


PRODUCT = [
    path for path in modules(PACKAGE) if "rehearsal" not in path.relative_to(PACKAGE).parts
] + sorted(ROOT.glob("*.py"))

SHELL_QUOTING = {
    "ssh/exchange.py",
    "engine/wording.py",
    "ssh/survey.py",
    "software/zookeeper/config.py",
}
"""Modules that may quote for a POSIX shell: a machine's, or this computer's where it is one."""

STARTS = re.compile(r"(subprocess|local_program)\.")


def system_dependent(source: str) -> Iterator[str]:
    """Yield every call whose result depends on the system's encoding, newline or shell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            for why in (*_file_options(node), *_program_options(node)):
                yield f"{node.lineno}: {ast.unparse(node)[:80]}: {why}"


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def _constants(call: ast.Call) -> list[str]:
    return [str(item.value) for item in call.args if isinstance(item, ast.Constant)]


def _file_options(call: ast.Call) -> Iterator[str]:
    name, constants = _name(call), _constants(call)
    modes = [text for text in constants if re.fullmatch("[rwax]t?[+]?", text)]
    writes = name == "write_text" or (name in {"open", "fdopen"} and modes not in ([], ["r"]))
    reads = (name == "read_text" and not call.args) or (name == "open" and modes == ["r"])
    options = {keyword.arg for keyword in call.keywords}
    if (reads or writes) and "encoding" not in options:
        yield "the system's encoding"
    if writes and "newline" not in options:
        yield r"\r\n on Windows"
    if name in {"symlink_to", "hardlink_to", "symlink", "link"}:
        yield "needs a privilege on Windows"
    if name == "strftime" and any(re.search("%[-_]|%[ceDFhklPrRsTxX]", it) for it in constants):
        yield "another format elsewhere"


def _program_options(call: ast.Call) -> Iterator[str]:
    if not STARTS.match(ast.unparse(call.func)):
        return
    options = {keyword.arg for keyword in call.keywords}
    if options & {"text", "universal_newlines"} and "encoding" not in options:
        yield "the system's encoding"
    if "shell" in options:
        yield "cmd on Windows"
    words = call.args[0].elts if call.args and isinstance(call.args[0], ast.List) else []
    if words and isinstance(words[0], ast.Constant):
        yield "Windows looks for a program in the current folder first"


def test_no_call_depends_on_the_systems_encoding_newline_or_shell() -> None:
    for path in PRODUCT:
        source = path.read_text(encoding="utf-8")
        assert not list(system_dependent(source)), path
        if not path.as_posix().endswith(tuple(SHELL_QUOTING)):
            assert not re.search(r"shlex\.(quote|join)", source), path


@pytest.mark.parametrize(
    "source",
    [
        "path.read_text()",
        "path.write_text(text, encoding='utf-8')",
        "path.write_text(text, newline='')",
        "open(path, 'r')",
        "os.fdopen(handle, 'w', encoding='utf-8')",
        "subprocess.run(command, text=True)",
        "subprocess.run(command, shell=True)",
        "local_program.run(['git', 'fetch'])",
        "new.symlink_to(old)",
        "moment.strftime('%-d %b')",
    ],
)
def test_the_second_test_finds_each_kind(source: str) -> None:
    assert list(system_dependent(source))


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


def test_the_fix_of_a_key_file_on_windows_is_a_command_for_cmd_and_powershell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("USERNAME", "Ada L")
    remark = windows_remark(r"C:\k.pem", windows=True)
    assert 'icacls "C:\\k.pem" /inheritance:r /grant:r "Ada L:R"' in remark
    assert "%" not in remark
    assert windows_remark("k.pem", windows=False) == ""


def test_a_key_that_powershell_wrote_is_named(tmp_path: Path) -> None:
    """`aws ec2 create-key-pair … > key.pem` of Windows PowerShell writes UTF-16."""
    path = tmp_path / "key.pem"
    path.write_bytes("-----BEGIN RSA PRIVATE KEY-----\r\n".encode("utf-16"))
    _, (finding,) = read_key(path)
    assert "UTF-16" in finding.hint
    assert "-Encoding ascii" in finding.hint


@pytest.mark.parametrize("name", ["con", "aux", "nul", "com1", "lpt9"])
def test_a_deployment_is_not_called_like_a_device_of_windows(name: str) -> None:
    with pytest.raises(ValueError, match="Windows reserves"):
        Config(ssh_keypair_name="k", ssh_key_path="k", deployment_name=name)
    for other in (f"{name}-1", f"a{name}", f"{name}x"):
        Config(ssh_keypair_name="k", ssh_key_path="k", deployment_name=other)


def test_a_file_that_another_program_reads_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to replace an open file; POSIX never does, and so does not repeat it."""
    attempts: list[Path] = []
    really = Path.replace

    def replace(self: Path, target: Path) -> Path:
        attempts.append(self)
        if len(attempts) < 3:
            raise PermissionError(13, "The process cannot access the file")
        return really(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(private_files, "PAUSES", (0.0,) * 3)
    path = tmp_path / "new" / "receipt.json"
    monkeypatch.setattr(private_files, "WINDOWS", False)
    with pytest.raises(PermissionError):
        write_private(path, "old")
    assert not list(path.parent.iterdir())
    attempts.clear()
    monkeypatch.setattr(private_files, "WINDOWS", True)
    write_private(path, "new")
    assert (path.read_text(), len(attempts)) == ("new", 3)


TASKKILL = """#!{python}
import os, signal, sys
assert sys.argv[1:4] == ["/F", "/T", "/PID"], sys.argv
os.killpg(int(sys.argv[4]), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has the real one")
def test_what_a_program_started_ends_with_it_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "taskkill"
    program.write_text(TASKKILL.format(python=sys.executable))
    program.chmod(0o700)
    child = (
        "import subprocess as s, sys; s.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", child], stdout=subprocess.PIPE, start_new_session=True
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    end_session(process, windows=True)
    output, _ = process.communicate()  # it ends when nobody has the pipe open any more
    assert output == b""
    assert process.returncode


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

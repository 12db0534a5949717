"""Private keys, known hosts and the OpenSSH configuration as files."""

from __future__ import annotations

import base64
import errno
import getpass
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from aws_setup.errors import SetupError
from aws_setup.ssh.keys import KeyRing, fingerprint, inspect_key
from aws_setup.ssh.known_hosts import HostKey, KnownHosts, keys_in_console
from aws_setup.ssh.ssh_config import SshSettings
from tests.support.machines import make_key


def ssh_keygen(*words: str) -> str:
    return subprocess.run(["ssh-keygen", *words], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("passphrase", ["", "secret words"])
def test_rsa_keys_of_every_form_load(tmp_path: Path, form: str, passphrase: str) -> None:
    path = make_key(tmp_path / "key", passphrase=passphrase)
    ssh_keygen("-q", "-p", "-m", form, "-P", passphrase, "-N", passphrase, "-f", str(path))
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return passphrase

    key_ring = KeyRing(path, ask=ask)
    key_ring.unlock()
    for _ in range(3):
        (key,) = key_ring.keys_to_offer()
        assert key.get_name() == "ssh-rsa"
    assert len(asked) == (1 if passphrase else 0), "a passphrase is asked for once"
    assert inspect_key(path).locked == bool(passphrase)


def fault(path: Path, **more: object) -> SetupError:
    with pytest.raises(SetupError) as caught:
        KeyRing(path, **more).unlock()  # type: ignore[arg-type] # only `ask` is set
    assert caught.value.problems[0].hint
    return caught.value


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_other_kinds_are_refused_with_the_reason(tmp_path: Path, kind: str) -> None:
    error = fault(make_key(tmp_path / "key", kind=kind))
    assert kind.upper() in str(error)
    assert "RSA" in error.problems[0].why


def test_a_locked_key_without_a_terminal(tmp_path: Path) -> None:
    error = fault(make_key(tmp_path / "key", passphrase="secret"))
    assert "ssh-add" in error.problems[0].hint


def test_a_wrong_passphrase(tmp_path: Path) -> None:
    path = make_key(tmp_path / "key", passphrase="secret")
    assert "passphrase" in str(fault(path, ask=lambda _: "other"))


def test_a_missing_key(tmp_path: Path) -> None:
    assert "No such file" in str(fault(tmp_path / "none"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("ssh-rsa AAAA me@here\n", "public key"),
        ("PuTTY-User-Key-File-3: ssh-rsa\n", "PEM or OpenSSH"),
        ("", "PEM or OpenSSH"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "head"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "loaded"),
    ],
)
def test_what_is_no_private_key(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    assert why in str(fault(path))


@contextmanager
def ssh_agent(folder: Path, *keys: Path) -> Iterator[None]:
    """Run an SSH agent that has some keys."""
    socket = folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)])
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSH_AUTH_SOCK", str(socket))
            while not socket.exists():
                time.sleep(0.01)
            for key in keys:
                subprocess.run(["ssh-add", "-q", str(key)], check=True)
            yield
    finally:
        agent.terminate()
        agent.wait()


def test_an_agents_key_needs_no_passphrase(tmp_path: Path) -> None:
    path = make_key(tmp_path / "key")
    with ssh_agent(tmp_path, path):
        ssh_keygen("-q", "-p", "-P", "", "-N", "now locked", "-f", str(path))
        KeyRing(path).check()


@pytest.mark.parametrize("private", ["beside", "of the file's name", "elsewhere"])
def test_a_public_key_as_identity_file_chooses_the_agents_key(tmp_path: Path, private: str) -> None:
    """So that it comes before the agent's other keys, of which sshd allows few."""
    others = [make_key(tmp_path / f"other{index}", kind="ed25519") for index in range(6)]
    chosen = make_key(tmp_path / "chosen", kind="ed25519")
    public = inspect_key(chosen).public
    with ssh_agent(tmp_path, *others, chosen):
        if private != "beside":
            chosen.unlink()
        named = chosen if private == "of the file's name" else tmp_path / "chosen.pub"
        offered = list(KeyRing(make_key(tmp_path / "own")).keys_to_offer((named,)))
    assert offered[1].asbytes() == public
    assert len(offered) == 5


HEADER = b"openssh-key-v1\0" + b"".join(
    struct.pack(">I", len(part)) + part for part in (b"none", b"none", b"")
)
"""The beginning of a key file; its public key and what follows is added."""


def _of_a_security_key() -> bytes:
    kind = b"sk-ssh-ed25519@openssh.com"
    public = struct.pack(">I", len(kind)) + kind
    body = HEADER + struct.pack(">II", 1, len(public)) + public
    text = base64.encodebytes(body).decode()
    name = "OPENSSH PRIVATE KEY"
    return f"-----BEGIN {name}-----\n{text}-----END {name}-----\n".encode()


@pytest.mark.parametrize(
    "content",
    [
        b"ssh-ed25519 AAAA me@here\n",
        b"",
        b"\xff\x00",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        _of_a_security_key(),
    ],
)
def test_an_identity_file_that_cannot_be_used_is_skipped(tmp_path: Path, content: bytes) -> None:
    """As ssh does; the configured key is another matter."""
    (tmp_path / "bad").write_bytes(content)
    own, good = make_key(tmp_path / "own"), make_key(tmp_path / "good", kind="ed25519")
    extra = (tmp_path / "bad", tmp_path / "none", tmp_path, good)
    offered = [key.asbytes() for key in KeyRing(own).keys_to_offer(extra)]
    assert offered == [inspect_key(own).public, inspect_key(good).public]
    with pytest.raises(SetupError):
        list(KeyRing(tmp_path / "bad").keys_to_offer())


def test_an_identity_file_in_a_folder_that_may_not_be_read_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    own = make_key(tmp_path / "own")
    monkeypatch.setattr(Path, "is_file", denied)
    assert len(list(KeyRing(own).keys_to_offer((tmp_path / "secret" / "key",)))) == 1


@pytest.mark.parametrize("error", [UnicodeDecodeError("utf-8", b"\xe4", 0, 1, "x"), struct.error()])
def test_an_agent_that_is_not_understood_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """As one with a key whose comment is not UTF-8."""

    def broken() -> None:
        raise error

    monkeypatch.setattr(paramiko, "Agent", broken)
    assert len(list(KeyRing(make_key(tmp_path / "own")).keys_to_offer())) == 1


def test_fingerprints_are_those_of_openssh(tmp_path: Path) -> None:
    path = make_key(tmp_path / "key")
    assert fingerprint(inspect_key(path).public) in ssh_keygen("-l", "-f", str(path))


def test_known_hosts_are_openssh_s_format(tmp_path: Path) -> None:
    public = inspect_key(make_key(tmp_path / "key", kind="ed25519")).public
    known = KnownHosts(tmp_path / "folder" / "known")
    known.add("i-0", [HostKey("ssh-ed25519", public)])
    known.add("i-0", [HostKey("ssh-ed25519", public)])
    assert len(known.path.read_text().splitlines()) == 1
    assert fingerprint(public) in ssh_keygen("-l", "-F", "i-0", "-f", str(known.path))
    assert known.keys("i-1") == []


def test_a_line_cut_short_does_no_harm(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known")
    known.path.write_text("i-0 ssh-ed25519 AAA\ni-0 ssh-ed\n\n# a remark\n")
    assert known.keys("i-0") == []


def test_the_last_boot_on_the_console_counts(tmp_path: Path) -> None:
    publics = [
        make_key(tmp_path / f"key{index}", kind="ed25519").with_suffix(".pub").read_text()
        for index in range(2)
    ]
    blocks = [
        f"[  10.1] ci-info: x\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n{public.strip()}\r\n"
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI root@ip\r\n"
        "-----END SSH HOST KEY KEYS-----\r\n"
        for public in publics
    ]
    found = keys_in_console("".join(blocks))
    assert [key.algorithm for key in found] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]
    assert found[0].blob == inspect_key(tmp_path / "key1").public
    assert keys_in_console("nothing yet") == []


def test_a_route_honours_the_users_configuration(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host 10.1.*\n  User alice\n  ProxyJump bob@gate:2222,inner\n")
    (tmp_path / "config").write_text(
        f"Include {tmp_path}/more\n"
        "Host 10.2.0.1\n  HostName real.example\n  Port 2200\n  IdentityFile ~/other\n"
        "Host 10.3.0.1\n  ProxyCommand nc %h %p\n"
    )
    settings = SshSettings(tmp_path / "config")
    jumped = settings.route("10.1.0.1")
    assert (jumped.user, jumped.jumps) == ("alice", ("bob@gate:2222", "inner"))
    gate = settings.jump("bob@gate:2222")
    assert (gate.user, gate.host, gate.port) == ("bob", "gate", 2222)
    assert settings.jump("inner").user == getpass.getuser(), "as in ssh_config(5)"
    named = settings.route("10.2.0.1")
    assert (named.host, named.port, named.user) == ("real.example", 2200, "ubuntu")
    assert named.identity_files == (Path("~/other").expanduser(),)
    assert settings.route("10.3.0.1").proxy_command == "nc 10.3.0.1 22"
    assert settings.route("10.4.0.1").host == "10.4.0.1"


def test_no_configuration_is_an_empty_one(tmp_path: Path) -> None:
    assert SshSettings(tmp_path / "none").route("10.0.0.1").port == 22


@pytest.mark.parametrize("text", ["Host\n  Port\n", "Match nonsense\n"])
def test_a_broken_configuration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SetupError, match=str(path)):
        SshSettings(path)


@pytest.mark.parametrize("port", ["0", "65536", "9" * 5002])
def test_what_is_no_port_is_named(tmp_path: Path, port: str) -> None:
    """Python reads no number of more than 4300 digits, and a socket has no port above 65535."""
    path = tmp_path / "config"
    path.write_text(f"Host a\n  Port {port}\n")
    with pytest.raises(SetupError, match=str(path)):
        SshSettings(path).route("a")
    with pytest.raises(SetupError, match=str(path)):
        SshSettings(path).jump(f"gate:{port}")


def test_a_jump_that_is_not_understood(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="ProxyJump"):
        SshSettings(tmp_path / "none").jump("a:b:c")

"""Host keys: what confirms them, what is waited for, what is refused, what is offered."""

from __future__ import annotations

import base64
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.ssh.connection import (
    SshContext,
    _HostKeyNames,
    _strong,
    _transport,
    _verify_host_key,
)
from aws_setup.ssh.errors import HostKeyError, Unreachable
from aws_setup.ssh.keys import KeyRing
from aws_setup.ssh.known_hosts import HostKey, KnownHosts
from aws_setup.ssh.ssh_config import SshRoute, SshSettings
from aws_setup.ssh.user_known_hosts import user_keys
from tests.support.clock import RecordingClock
from tests.support.machines import (
    VmEnvironment,
    needs_machines,
    public_ip,
    vm_environment,
)

pytestmark = pytest.mark.kind("C9")

BLOB = base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519key").decode()
KEY = HostKey("ssh-ed25519", base64.b64decode(BLOB))


@pytest.mark.parametrize(
    ("alias", "hint", "owner"),
    [
        ("i-0a1b2c", "get-console-output --instance-id i-0a1b2c", "/etc/ssh/ssh_host_*.pub"),
        ("203.0.113.9", "ask the administrator of that host", "what its administrator says"),
        ("i-mac.example", "ask the administrator of that host", "what its administrator says"),
        ("[bastion]:22", "ask the administrator of that host", "what its administrator says"),
    ],
)
def test_only_an_instance_has_a_console_with_host_keys(
    tmp_path: Path, alias: str, hint: str, owner: str
) -> None:
    """Of zk_node_public_IPs and of ssh://ADDRESS only the address is known."""
    context = SshContext(
        settings=lambda: SshSettings(tmp_path / "none"),
        key_ring=KeyRing(tmp_path / "key"),
        known_hosts=KnownHosts(tmp_path / "known"),
        on_first_use=lambda *_: None,
        require_host_keys=True,
    )
    shown = SimpleNamespace(get_name=lambda: KEY.algorithm, asbytes=lambda: KEY.blob)
    transport = cast(Any, SimpleNamespace(get_remote_server_key=lambda: shown))
    route = SshRoute("203.0.113.9", "203.0.113.9", 22, "ubuntu")
    other = HostKey("ssh-rsa", KEY.blob)
    with pytest.raises(HostKeyError) as changed:
        _verify_host_key(context, transport, route, _HostKeyNames(alias, [other]))
    assert hint in changed.value.problems[0].hint
    with pytest.raises(Unreachable) as unconfirmed:
        _verify_host_key(context, transport, route, _HostKeyNames(alias, []))
    hint = unconfirmed.value.problems[0].hint
    assert owner in hint
    assert f"then add `{alias} {KEY.line}` to {tmp_path / 'known'}" in hint
    assert ("copy " in hint) == alias.startswith("i-0"), "a console has no keys after a stop"


def test_nothing_with_cbc_md5_or_sha_1_is_offered() -> None:
    here, there = socket.socketpair()
    with here, there:
        transport = _transport(here)
        options = transport.get_security_options()
        offered = [*options.ciphers, *options.digests, *options.kex, *options.key_types]
        transport.close()
    assert offered
    for name in offered:
        assert not any(weak in name for weak in ("cbc", "md5", "sha1", "group1-"))
        assert name not in {"ssh-rsa", "ssh-dss"}
    old = ["aes128-cbc", "hmac-md5-96", "hmac-sha1-etm@openssh.com", "ssh-rsa", "ssh-dss"]
    old += ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "arcfour256"]
    assert _strong([*old, "aes256-ctr", "hmac-sha2-256"]) == ("aes256-ctr", "hmac-sha2-256")


@pytest.mark.parametrize(
    ("names", "port", "known"),
    [
        ("bastion.example", 22, True),
        ("other,BASTION.example", 22, True),
        ("*.example", 22, True),
        ("bastion.exampl?", 22, True),
        ("*.example,!bastion.example", 22, False),
        ("[bastion.example]:2222", 2222, True),
        ("[bastion.example]:2222", 22, False),
        ("bastion.example", 2222, False),
        ("b[a]stion.example", 22, False),
        ("|1|broken", 22, False),
        ("# bastion.example", 22, False),
    ],
)
@pytest.mark.kind("B7")
def test_names_are_compared_as_in_openssh(
    tmp_path: Path, names: str, port: int, known: bool
) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"{names} ssh-ed25519 {BLOB} a comment\n")
    found = user_keys([path, tmp_path / "none"], "bastion.example", port)
    assert found.known == ((KEY,) if known else ())


@pytest.mark.kind("B7")
def test_hashes_and_markers_are_those_of_openssh(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    public = tmp_path / "key"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(public)]
    subprocess.run(keygen, check=True)
    algorithm, blob = public.with_suffix(".pub").read_text().split()[:2]
    path.write_text(f"bastion {algorithm} {blob}\n[bastion]:2222 {algorithm} {blob}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert "bastion" not in path.read_text()
    assert len(user_keys([path], "Bastion", 22).known) == 1
    assert len(user_keys([path], "bastion", 2222).known) == 1
    assert user_keys([path], "other", 22).known == ()
    path.write_text(f"@revoked * ssh-ed25519 {BLOB}\n@cert-authority * ssh-ed25519 {BLOB}\n")
    found = user_keys([path], "bastion", 22)
    assert (found.known, found.revoked) == ((), (KEY,))


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("hostkeys")) as made:
        made.launch(2)
        yield made


@pytest.fixture
def receipts(tmp_path: Path) -> dict[str, Any]:
    return {"infrastructure_json_path": str(tmp_path / "receipts")}


@needs_machines
def test_a_new_machine_is_trusted_only_after_its_console_had_time(
    env: VmEnvironment, receipts: dict[str, Any]
) -> None:
    pool, clock = env.pool(**receipts), RecordingClock()
    complete = env.vm_pool.console("i-0")
    # EC2 returns what was printed so far: the block, or a key of it, may have no end.
    begun = complete[: complete.upper().index("KEY KEYS") + 20]
    outputs = ["", "booting", begun, complete]
    pool.use(clock=clock, console=lambda _: outputs.pop(0))
    pool.mark_new(["i-0"])
    pool.wait_for_ssh([pool.machine("i-0", public_ip(0))])
    assert not pool.first_use
    assert not outputs
    pool.use(clock=clock, console=lambda _: "never any")
    pool.mark_new(["i-1"])
    before = clock.now()
    pool.wait_for_ssh([pool.machine("i-1", public_ip(1))])
    assert clock.now() - before >= 90
    assert list(pool.first_use) == ["i-1"]
    pool.close()


@needs_machines
def test_a_block_without_a_usable_key_is_refused(
    env: VmEnvironment, receipts: dict[str, Any]
) -> None:
    pool = env.pool(**receipts)
    block = "-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa ?? x\n-----END SSH HOST KEY KEYS-----\n"
    pool.use(clock=pool.clock, console=lambda _: block)
    with pytest.raises(Unreachable, match="none of them can be read"):
        pool.machine("i-0", public_ip(0)).connect()
    assert not pool.known_hosts.path.exists()
    pool.close()


@needs_machines
def test_with_require_host_keys_nothing_is_trusted_on_first_use(
    env: VmEnvironment, receipts: dict[str, Any]
) -> None:
    pool = env.pool(require_host_keys=True, **receipts)
    with pytest.raises(Unreachable, match="require_host_keys") as caught:
        pool.machine("i-0", public_ip(0)).connect()
    hint = caught.value.problems[0].hint
    assert not pool.known_hosts.path.exists()
    pool.known_hosts.path.parent.mkdir(parents=True)
    pool.known_hosts.path.write_text(hint.split("`")[1] + "\n")
    assert pool.machine("i-0", public_ip(0)).run(["true"]).code == 0
    pool.close()


@needs_machines
def test_the_users_own_strict_host_key_checking_holds_here_too(
    env: VmEnvironment, receipts: dict[str, Any], tmp_path: Path
) -> None:
    settings = tmp_path / "config"
    routes = env.vm_pool.ssh_config.read_text()
    settings.write_text(f"Host *\n  StrictHostKeyChecking yes\n{routes}")
    pool = env.pool(ssh_config_path=str(settings), **receipts)
    with pytest.raises(Unreachable, match="has StrictHostKeyChecking set"):
        pool.machine("i-0", public_ip(0)).connect()
    assert not pool.known_hosts.path.exists()
    pool.use(clock=pool.clock, console=env.vm_pool.console)
    assert pool.machine("i-0", public_ip(0)).run(["true"]).code == 0
    pool.close()


@needs_machines
def test_a_hop_is_looked_up_in_the_users_own_known_hosts(
    env: VmEnvironment, receipts: dict[str, Any], tmp_path: Path
) -> None:
    port, own = env.vm_pool.port("i-0"), tmp_path / "own"
    lines = f"Host jump\n  HostName 127.0.0.1\n  Port {port}\n  User ubuntu\n"
    lines += f"  UserKnownHostsFile {own}\n"
    lines += "Host 203.0.113.10\n  HostName 10.0.8.233\n  ProxyJump jump\n"
    settings = tmp_path / "config"
    settings.write_text(lines)
    keys = {"ssh_config_path": str(settings), **receipts}
    own.write_text(f"[127.0.0.1]:{port} ssh-ed25519 {BLOB}\n")
    with pytest.raises(HostKeyError) as caught:
        env.machine(**keys).connect()
    assert "administrator of that host" in caught.value.problems[0].hint
    assert "console" not in caught.value.problems[0].hint, "it may be anywhere"
    scanned = subprocess.run(
        ["ssh-keyscan", "-p", str(port), "127.0.0.1"], capture_output=True, text=True, check=True
    ).stdout
    own.write_text("".join(f"@revoked {line}\n" for line in scanned.splitlines() if line[0] != "#"))
    with pytest.raises(Unreachable, match="@revoked"):
        env.machine(**keys).connect()
    own.write_text(scanned)
    machine = env.machine(**keys)
    assert machine.run(["true"]).code == 0
    machine.close()

"""The OpenSSH configuration of a deployment's machines: real ssh reads it, and connects with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.config.paths import known_hosts_path, ssh_config_path
from aws_setup.engine.step import Found
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError
from aws_setup.infrastructure.ssh_login import login_command, update_login_file
from aws_setup.infrastructure.summary import summary_lines
from aws_setup.ssh.login_config import include_line
from aws_setup.ssh.ssh_config import SshSettings
from tests.support.machines import (
    ADDRESSES,
    VmEnvironment,
    needs_machines,
    public_ip,
    vm_environment,
)

GROUPS = {
    "ndb manager": ["ndb-manager-node"],
    "ndb data nodes 1": ["ndb-datanode-type1-0", "ndb-datanode-type1-1"],
    "ndb data nodes 2": ["ndb-datanode-type2-0", "ndb-datanode-type2-1"],
    "zookeeper": [f"lambdafs-zookeeper-{index}" for index in range(3)],
    "lambda-fs client": ["lambda-fs-client-driver"],
    "hopsfs client": ["hops-fs-client-driver"],
}
HOSTS = [
    "lambda-fs-client", "hopsfs-client", "ndb-manager", "ndb-data-1", "ndb-data-2", "ndb-data-3",
    "ndb-data-4", "zookeeper-0", "zookeeper-1", "zookeeper-2",
]  # fmt: skip


def context(folder: Path, *, private: bool = False, **keys: Any) -> Context:
    """Return the context of a run that found every machine.

    With `private` only the client has an address outside of the VPC.
    """
    defaults: dict[str, Any] = {
        "ssh_keypair_name": "key",
        "ssh_key_path": str(folder / "key"),
        "ssh_config_path": str(folder / "no such file"),
        "infrastructure_json_path": str(folder / "receipts"),
        "num_ndb_datanodes": 4,
    }
    inventory = cast(Inventory, SimpleNamespace(of_step=lambda *_, **__: []))
    ctx = Context(
        config=Config(**defaults | keys),
        aws=cast(Aws, SimpleNamespace(shared={})),
        clock=SystemClock(pace=0),
        inventory=inventory,
    )
    number = 0
    for step, names in GROUPS.items():
        machines = []
        for name in names:
            number += 1
            public = "" if private and step != "lambda-fs client" else f"203.0.113.{number}"
            machines.append(machine(name, number, public))
        ctx.found[step] = Found(step, "running", {"instances": machines})
    return ctx


def machine(name: str, number: int, public: str) -> dict[str, str | None]:
    """Return a machine as its step describes it."""
    private = f"10.0.0.{number}"
    return {"id": f"i-{number}", "name": name, "private_ip": private, "public_ip": public or None}


def asked(file: Path, host: str) -> dict[str, list[str]]:
    """Return what OpenSSH makes of a file for a host: keyword -> values."""
    done = subprocess.run(
        ["ssh", "-T", "-G", "-F", str(file), host], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


def written(ctx: Context) -> Path:
    """Update the file of a context, and return its path."""
    update_login_file(ctx)
    return ssh_config_path(ctx.config)


def test_every_machine_has_a_short_name_by_its_role(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    file = written(ctx)
    assert file.stat().st_mode & 0o777 == 0o600
    for host in HOSTS:
        short, long = asked(file, host), asked(file, f"{host}.lambda-fs")
        assert short["hostname"] == long["hostname"]
        assert short["hostname"][0].startswith("203.0.113.")
        assert short["user"] == ["ubuntu"]
        assert short["identityfile"] == [str(tmp_path / "key")]
        assert short["identitiesonly"] == ["yes"]
        assert short["userknownhostsfile"] == [str(known_hosts_path(ctx.config))]
        assert short["hostkeyalias"][0].startswith("i-")
        assert short["stricthostkeychecking"] == ["accept-new"]
        assert "proxyjump" not in short
    assert asked(file, "lambda-fs-client")["hostname"] == ["203.0.113.9"]
    assert asked(file, "ndb-data-3")["hostname"] == ["203.0.113.4"]


def test_a_known_or_required_host_key_is_the_only_one_accepted(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    known = known_hosts_path(ctx.config)
    known.parent.mkdir()
    known.write_text("i-9 ssh-ed25519 AAAA\n")
    assert asked(written(ctx), "lambda-fs-client")["stricthostkeychecking"] == ["true"]
    assert asked(written(ctx), "zookeeper-0")["stricthostkeychecking"] == ["accept-new"]
    required = written(context(tmp_path, require_host_keys=True))
    assert asked(required, "zookeeper-0")["stricthostkeychecking"] == ["true"]


@pytest.mark.parametrize("name", ["a b", "100%h", 'say "x"', "back\\slash", "#1", "it's", "[ab]*"])
def test_paths_that_ssh_would_split_or_replace(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    ctx = context(folder)
    file = written(ctx)
    user = tmp_path / "user"
    user.write_text(f"{include_line(file)}\nUser somebody\n")
    for path in (file, user):
        found = asked(path, "zookeeper-0")
        # ssh -G prints this value, and not the next, before it replaces the tokens.
        assert found["identityfile"] == [str(folder / "key").replace("%", "%%")]
        assert found["userknownhostsfile"] == [str(known_hosts_path(ctx.config))]
        assert found["user"] == ["ubuntu"]
    assert asked(user, "elsewhere")["user"] == ["somebody"]


@pytest.mark.parametrize("name", ["a\nb", "${HOME}"])
def test_a_path_that_ssh_cannot_read_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="OpenSSH") as caught:
        written(context(tmp_path, ssh_key_path=str(tmp_path / name)))
    assert "\n" not in str(caught.value)


def test_machines_without_public_address_are_reached_through_the_client(tmp_path: Path) -> None:
    file = written(context(tmp_path, private=True))
    found = asked(file, "zookeeper-1")
    assert found["hostname"] == ["10.0.0.7"]
    assert found["proxyjump"] == ["lambda-fs-client.lambda-fs"]
    assert asked(file, found["proxyjump"][0])["hostname"] == ["203.0.113.9"]
    assert "proxyjump" not in asked(file, "lambda-fs-client")


def test_the_users_own_way_to_an_address_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "config"
    own.write_text(
        "Host 203.0.113.*\n  ProxyJump bob@gate:2222\n"
        "Host 10.0.0.*\n  ProxyCommand nc 100%% %h %p\n"
        "Host gate\n  HostName gate.example\n  IdentityFile /k/gate\n"
    )
    file = written(context(tmp_path, private=True, ssh_config_path=str(own)))
    through = asked(file, "lambda-fs-client")["proxyjump"]
    gate = asked(file, through[0])
    assert gate["hostname"] == ["gate.example"]
    assert (gate["user"], gate["port"]) == (["bob"], ["2222"])
    assert gate["identityfile"] == [str(tmp_path / "key"), "/k/gate"]
    command = asked(file, "zookeeper-0")["proxycommand"]
    assert command[0].endswith("10.0.0.6 22")


def test_an_include_leaves_the_rest_of_the_users_file_for_every_host(tmp_path: Path) -> None:
    file = written(context(tmp_path))
    own = tmp_path / "config"
    own.write_text(f"Host 10.9.*\n  Port 99\n{include_line(file)}\n  User alice\n")
    settings = SshSettings(own)
    assert settings.route("10.9.0.1").user == "alice"
    assert settings.route("10.8.0.1").user == "ubuntu"
    own.write_text(f"{include_line(file)}\nUser alice\n")
    assert SshSettings(own).route("10.8.0.1").user == "alice"


def test_names_that_are_not_the_groups_are_ids(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    names = ("lambdafs-zookeeper-0", "lambdafs-zookeeper-0", "", "mine")
    machines = [machine(name, 40 + n, f"198.51.100.{n}") for n, name in enumerate(names)]
    ctx.found["zookeeper"] = Found("zookeeper", "running", {"instances": machines})
    file = written(ctx)
    for host, address in (("zookeeper-0", 0), ("zookeeper-i-41", 1), ("zookeeper-i-43", 3)):
        assert asked(file, host)["hostname"] == [f"198.51.100.{address}"]


def test_the_file_follows_the_machines_and_goes_with_the_last(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    file = written(ctx)
    ctx.found["zookeeper"] = Found(
        "zookeeper",
        "running",
        {"instances": [machine("lambdafs-zookeeper-0", 6, "198.51.100.77")]},
    )
    assert asked(written(ctx), "zookeeper-0")["hostname"] == ["198.51.100.77"]
    assert "zookeeper-1" not in file.read_text()
    update_login_file(ctx, ["zookeeper"])
    assert "zookeeper" not in file.read_text().partition("Host ")[2]
    update_login_file(ctx, list(GROUPS))
    update_login_file(ctx, list(GROUPS))
    assert not file.exists()


def test_a_link_in_the_files_place_is_replaced(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    target = tmp_path / "precious"
    target.write_text("mine")
    file = ssh_config_path(ctx.config)
    file.parent.mkdir()
    file.symlink_to(target)
    assert not written(ctx).is_symlink()
    assert target.read_text() == "mine"


def test_a_folder_in_the_files_place_is_named_with_the_fix(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    ssh_config_path(ctx.config).mkdir(parents=True)
    with pytest.raises(SetupError, match="cannot be written"):
        written(ctx)


def test_the_summary_fits_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ctx = context(tmp_path, private=True)
    assert summary_lines(ctx) == []
    written(ctx)
    lines = summary_lines(ctx)
    assert all(len(line) <= 80 for line in lines if "Include" not in line)
    text = "\n".join(lines)
    assert "ssh -F receipts/lambda-fs.ssh_config lambda-fs-client" in text
    assert [line.split()[0] for line in lines[2:12]] == HOSTS
    assert include_line(ssh_config_path(ctx.config)) in text


def test_a_computer_without_the_file_is_told_key_and_address(tmp_path: Path) -> None:
    config = context(tmp_path / "a b").config
    command = login_command(config, "lambda-fs-client", address="203.0.113.9")
    assert command == f"ssh -i '{tmp_path}/a b/key' ubuntu@203.0.113.9"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("log in")) as made:
        made.launch(1)
        yield made


@needs_machines
@pytest.mark.timeout(60)
def test_ssh_connects_to_a_real_machine_by_its_short_name(env: VmEnvironment) -> None:
    ctx = context(env.folder)
    ctx.config = env.config()
    client = machine("lambda-fs-client-driver", 0, public_ip(0))
    ctx.found = {"lambda-fs client": Found("i-0", "running", {"instances": [client]})}
    pool = env.pool()
    try:
        pool.machine("i-0", public_ip(0)).connect()
    finally:
        pool.close()
    file = written(ctx)
    assert asked(file, "lambda-fs-client")["stricthostkeychecking"] == ["true"]
    done = subprocess.run(
        ["ssh", "-F", str(file), "-o", "BatchMode=yes", "lambda-fs-client", "hostname"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.stdout.strip() == f"ip-{ADDRESSES[0].replace('.', '-')}", done.stderr

"""Switching copy_operator_key on and off: who logs in where, and who holds the operator's key."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action
from aws_setup.infrastructure.vm_groups import CLIENTS
from aws_setup.rehearsal.vms.namespace_vms import missing_requirement
from aws_setup.software.cluster_ssh_keys import ClusterSshKeys
from tests.support import ndb
from tests.support.ndb import MANAGER, VMS, NdbEnvironment, ndb_environment, run

pytestmark = pytest.mark.skipif(
    missing_requirement() != "", reason=missing_requirement() or "machines run here"
)

SSH = "/home/ubuntu/.ssh"
LOGIN = ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", MANAGER, "hostname"]


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[NdbEnvironment]:
    """Machines whose operator's key is in the PEM format of EC2's key pairs."""
    with ndb_environment(tmp_path, (VMS[0], *ndb.CLIENTS)) as made:
        change_format(made.key, "-m", "PEM")
        yield made


def change_format(key: Path, *options: str, passphrase: str = "") -> None:
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, *options, "-f", str(key)]
    subprocess.run(command, check=True)


def link(clients: NdbEnvironment, *, copy: bool, key: Path | None = None) -> Row:
    """Run the step; `key` is the operator's private key where it is not the one of the login."""
    ctx, pool = clients.context(copy_operator_key=copy)
    if key:
        ctx = replace(ctx, config=ctx.config.model_copy(update={"ssh_key_path": str(key)}))
    try:
        step = ClusterSshKeys(pool, clients=CLIENTS, needs=("ndb manager", *CLIENTS))
        return run(ctx, [step])[step.name]
    finally:
        pool.close()


def switch(clients: NdbEnvironment, *, copy: bool) -> Row:
    """Create with a setting: a client then logs in with its own key, and nothing is left to do."""
    row = link(clients, copy=copy)
    _, pool = clients.context()
    try:
        client = pool.machine("i-3a", clients.public["i-3a"])
        assert client.run(LOGIN).stdout.strip() == "ip-10-0-6-227"
    finally:
        pool.close()
    assert link(clients, copy=copy).action is Action.EXISTS
    return row


def holders(clients: NdbEnvironment, text: str) -> list[str]:
    """Return the files of the first client that contain a text."""
    found = clients.disk(1).path(SSH).iterdir()
    return sorted(file.name for file in found if text in file.read_text())


def secret_of(clients: NdbEnvironment) -> str:
    """Return a line of the operator's private key that no other key has."""
    return clients.key.read_text().splitlines()[-3]


@pytest.mark.parametrize("form", ["PEM", "RFC4716"])
def test_each_switch_leaves_a_login_and_no_key_of_the_operator(
    clients: NdbEnvironment, form: str
) -> None:
    """RFC4716 is ssh-keygen's name of OpenSSH's own format, which Java programs cannot read."""
    secret = secret_of(clients)
    change_format(clients.key, "-m", form)
    own = secret_of(clients)
    switch(clients, copy=False)
    assert holders(clients, secret) == []
    assert switch(clients, copy=True).action is Action.CREATE
    assert holders(clients, secret) == ["id_rsa"], "as PEM"
    switch(clients, copy=False)
    assert holders(clients, secret) == holders(clients, own) == []
    assert holders(clients, "BEGIN RSA PRIVATE KEY") == ["id_rsa"]
    assert any("removing your private key" in note for note in clients.notes)


def test_a_key_that_was_copied_first_is_removed(clients: NdbEnvironment) -> None:
    for name in ("id_rsa", "id_rsa.pub"):
        clients.disk(1).write(f"{SSH}/{name}", "ssh-rsa PUBLIC of-the-image\n", mode=0o600)
    switch(clients, copy=True)
    switch(clients, copy=False)
    assert holders(clients, secret_of(clients)) == []


def test_what_an_earlier_version_left_is_seen_and_removed(clients: NdbEnvironment) -> None:
    """It kept the generated public key beside a copy, and renamed the copy later."""
    switch(clients, copy=False)
    secret, ssh = secret_of(clients), clients.disk(1).path(SSH)
    for name in ("id_rsa", "id_rsa.of-the-image", ".id_rsa.lambda-fs-Ab3dEf9h"):
        shutil.copy(clients.key, ssh / name)
    assert switch(clients, copy=True).action is Action.CREATE
    shutil.copy(clients.key, ssh / "id_rsa.of-the-image")
    row = switch(clients, copy=False)
    assert holders(clients, secret) == []
    shutil.copy(clients.key, ssh / "id_rsa.of-the-image")
    row = switch(clients, copy=False)
    assert row.action is Action.UPDATE
    assert row.found
    assert "lambda-fs-client-driver" in str(row.found.drift)
    assert holders(clients, secret) == []


def test_a_key_with_a_passphrase_is_replaced_and_removed_too(clients: NdbEnvironment) -> None:
    switch(clients, copy=False)
    locked = clients.key.with_name("locked")
    shutil.copy(clients.key, locked)
    change_format(locked, passphrase="secret")
    secret = locked.read_text().splitlines()[-3]
    link(clients, copy=True, key=locked)
    assert holders(clients, secret) == ["id_rsa"]
    assert not clients.disk(1).exists(f"{SSH}/id_rsa.pub")
    shutil.copy(locked, clients.disk(1).path(f"{SSH}/id_rsa.of-the-image"))
    link(clients, copy=False, key=locked)
    assert holders(clients, secret) == []
    switch(clients, copy=False)


def test_the_operators_key_in_another_format_is_removed(clients: NdbEnvironment) -> None:
    other = clients.disk(1).path(f"{SSH}/id_rsa.of-the-image")
    shutil.copy(clients.key, other)
    change_format(other, "-m", "PKCS8")
    switch(clients, copy=False)
    assert holders(clients, "PRIVATE KEY") == ["id_rsa"]

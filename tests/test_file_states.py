"""Every file that is read, in each state that a file can have: a value, or an error with a fix."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.aws.price_store import Listed, PriceStore
from aws_setup.config import Config
from aws_setup.config.loader import load_config
from aws_setup.config.lock_file import read_lock
from aws_setup.config.paths import (
    events_path,
    namenodes_path,
    ndb_password_path,
    receipt_path,
    tls_pair_path,
)
from aws_setup.eks.kubeconfig import load, rewrite
from aws_setup.engine.history import read_events
from aws_setup.engine.receipt import read_costs
from aws_setup.errors import Refused, SetupError
from aws_setup.kube.user_kubeconfig import open_kubeconfig
from aws_setup.namenodes.jar import read_jar
from aws_setup.openwhisk import certificate, certificate_steps, namenode_image
from aws_setup.openwhisk.credentials_file import missing_host, read
from aws_setup.openwhisk.user_values import user_values
from aws_setup.preflight.key_pair import read_key
from aws_setup.software import cluster_ssh_keys
from aws_setup.software.clients.login import stored_password
from aws_setup.software.clients.namenode_record import read_record
from aws_setup.software.sql import scripts
from aws_setup.ssh import user_known_hosts
from aws_setup.ssh.keys import KeyRing, inspect_key
from aws_setup.ssh.known_hosts import KnownHosts
from aws_setup.ssh.ssh_config import SshSettings

pytestmark = pytest.mark.kind("C7")

TOO_LONG = 17
"""MiB, more than any of these files may have."""

CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "NUL": b"\0" * 1000,
    "byte order mark": b"\xef\xbb\xbfa: b\n",
    "UTF-16": "a: b\n".encode("utf-16"),
    "Latin-1": b"a: \xe9\n-----BEGIN RSA PRIVATE KEY-----\n",
    "deep JSON": b"[" * 100_000,
    "deep YAML": b"a:\n" + b"".join(b" " * level + b"a:\n" for level in range(1, 500)),
    "null": b"null",
    "list": b"[1, 2]",
    "text": b'"x"',
    "number": b"1",
    "wrong types": b'{"whisk": [], "clusters": {}, "users": 1, "runtimes": {"a": [1]}}',
    "broken PEM": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
}
SPECIAL = ("named pipe", "socket", "endless device", "null device")
STATES = (*CONTENTS, "too long", "missing", "folder", "loop of links", "not readable", *SPECIAL)


def config(folder: Path, **keys: Any) -> Config:
    receipt = str(folder / "x.json")
    base = {"ssh_keypair_name": "k", "ssh_key_path": "/k.pem", "infrastructure_json_path": receipt}
    return Config(**(base | keys))


def as_context(**keys: Any) -> Any:
    return SimpleNamespace(config=config(Path("/"), **keys))


def change(path: Path) -> None:
    rewrite(path, load(path) | {"x": 1}, note=lambda _: None, copy=True)


def sql_scripts(path: Path) -> None:
    for name in scripts.ORDER:
        (path.parent / name).symlink_to(path)
    scripts.load(str(path.parent))


def chart_values(path: Path) -> None:
    namenode_image._manifest(path.parent, {}, image="a/b:c", memory=None)


def runtimes(path: Path) -> None:
    namenode_image._manifest(
        path.parent, {"whisk": {"runtimes": path.name}}, image="a/b:c", memory=None
    )


def wskprops(path: Path) -> None:
    environment = {"WSK_CONFIG_FILE": str(path)}
    missing_host(environment, path)
    read(environment, path)


def events(path: Path) -> None:
    """Read the event log as the scripts do, which only looks at a file."""
    if path.is_file():
        with suppress(PermissionError):
            read_events(path)


def user_pair(path: Path) -> None:
    certificate.load_user_pair(path, path, now=datetime.now(UTC))


def kept_prices(path: Path) -> None:
    store = PriceStore(path)
    assert store.read("us-east-1", ["nat"]) == {}
    store.add("us-east-1", {"nat": Listed(0.045, "2026-11-01")})


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "configuration": ("config.yaml", load_config),
    "lock file": ("x.lock.yaml", read_lock),
    "receipt": (receipt_path(config(Path())).name, read_costs),
    "kubeconfig": ("config", load),
    "changed kubeconfig": ("config", change),
    "client's kubeconfig": ("config", lambda path: open_kubeconfig(str(path), None)),
    "own values": ("f", lambda path: user_values(config(path, openwhisk_values=str(path)))),
    "chart's values": ("values.yaml", chart_values),
    "runtimes": ("f", runtimes),
    "certificate": ("f", user_pair),
    "stored certificate": (
        tls_pair_path(config(Path())).name,
        lambda path: certificate_steps._file_pair(config(path.parent)),
    ),
    "stored password": (
        ndb_password_path(config(Path())).name,
        lambda path: stored_password(config(path.parent)),
    ),
    "operator's key": (
        "f",
        lambda path: cluster_ssh_keys._operator_key(as_context(ssh_key_path=str(path))),
    ),
    "key pair": ("f", read_key),
    "private key": ("f", inspect_key),
    "offered keys": ("f", lambda path: list(KeyRing(path).keys_to_offer())),
    "known_hosts": ("f", lambda path: KnownHosts(path).keys("i-1")),
    "user's known_hosts": ("f", lambda path: user_known_hosts.user_keys([path], "h", 22)),
    "ssh_config": ("f", lambda path: SshSettings(path).route("a")),
    "jar": ("f", lambda path: read_jar(path, source="x", main_class="a.B")),
    "SQL scripts": ("f", sql_scripts),
    "event log": (events_path(config(Path())).name, events),
    "record of NameNodes": (
        namenodes_path(config(Path())).name,
        lambda path: read_record(config(path.parent)),
    ),
    "wsk's file": ("f", wskprops),
    "kept prices": ("x.prices", kept_prices),
}


def bind(path: Path) -> None:
    """Make a socket; its path may be longer than an address can be."""
    with (
        socket.socket(socket.AF_UNIX) as server,
        TemporaryDirectory(prefix="socket-", dir="/tmp") as short,
    ):
        server.bind(f"{short}/s")
        Path(short, "s").rename(path)


def put(path: Path, state: str) -> None:
    if state == "folder":
        path.mkdir()
    elif state == "loop of links":
        path.symlink_to(path)
    elif state == "too long":
        with path.open("wb") as file:
            file.writelines(repeat(b"x: y # x" * (1 << 17), TOO_LONG))
    elif state == "not readable":
        path.write_text("a: b\n", encoding="utf-8")
        path.chmod(0)
    elif state == "named pipe":
        os.mkfifo(path)
    elif state == "socket":
        bind(path)
    elif state == "endless device":
        path.symlink_to("/dev/zero")
    elif state == "null device":
        path.symlink_to(os.devnull)
    elif state != "missing":
        path.write_bytes(CONTENTS[state])


@pytest.mark.parametrize("name", READERS)
def test_a_file_in_any_state_is_a_value_or_an_error_with_a_fix(name: str, tmp_path: Path) -> None:
    file, use = READERS[name]
    for number, state in enumerate(STATES):
        if state == "not readable" and os.geteuid() == 0:
            continue  # root may read everything
        folder = tmp_path / str(number)
        folder.mkdir()
        put(folder / file, state)
        try:
            use(folder / file)
        except SetupError as error:
            assert all(problem.what and problem.hint for problem in error.problems), state


@pytest.mark.parametrize("state", ["named pipe", "socket", "endless device"])
def test_what_is_no_file_is_called_so(state: str, tmp_path: Path) -> None:
    put(tmp_path / "config.yaml", state)
    with pytest.raises(Refused, match=r"it is a (named pipe|socket|device), not a file"):
        load_config(tmp_path / "config.yaml")


def test_a_path_of_an_unknown_user_is_a_missing_file(tmp_path: Path) -> None:
    path = Path("~no-such-user-here/f")
    for name in ("configuration", "lock file", "private key", "wsk's file", "ssh_config"):
        try:
            READERS[name][1](path)
        except SetupError as error:
            assert "no-such-user-here" in str(error), name


def test_the_users_own_kubeconfig_keeps_what_it_contains(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes("clusters: []\nx: é\n".encode("utf-16"))
    change(path)
    assert load(path)["x"] == 1
    (copy,) = tmp_path.glob("config.before-*")
    assert "é" in copy.read_text(encoding="utf-8")

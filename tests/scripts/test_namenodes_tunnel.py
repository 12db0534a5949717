"""--tunnel on the command line: which tunnel is opened, and with which key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from aws_setup.namenodes.connections import Connections
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from tests.support.openwhisk import openwhisk
from whisk_helper import main


@dataclass
class FakeTunnel:
    """A tunnel to the stand-in; it records the requested addresses."""

    port: int
    addresses: list[tuple[str, int]] = field(default_factory=list)

    @contextmanager
    def forward(self, host: str = "", port: int = 0) -> Iterator[int]:
        self.addresses.append((host, port))
        yield self.port

    def auth(self) -> str:
        return AUTH


@pytest.fixture
def tunnel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeTunnel]:
    monkeypatch.chdir(tmp_path)
    whisk = OpenWhiskServer()
    with openwhisk(whisk):
        fake = FakeTunnel(urlsplit(whisk.url).port or 0)
        monkeypatch.setattr(Connections, "in_cluster", fake)
        monkeypatch.setattr(Connections, "machine", lambda _, address: fake)
        yield fake


def listed(*arguments: str) -> Any:
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments", [["--list", "--tunnel"], ["--tunnel", "--list"], ["--tunnel", "cluster", "--list"]]
)
def test_through_the_cluster_with_the_clusters_key_whatever_wsk_has(
    tunnel: FakeTunnel, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISK_APIHOST", "http://another")
    monkeypatch.setenv("WHISK_AUTH", "another:key")
    printed = listed(*arguments)
    assert printed["apihost_from"] == "--tunnel cluster"
    assert printed["actions"] == []


def test_through_the_client_vm_to_the_load_balancer_s_address(tunnel: FakeTunnel) -> None:
    printed = listed(
        "--list", "--tunnel", "vm", "--apihost", "http://internal.elb:80", "--auth", AUTH
    )
    assert printed["apihost"] == "http://internal.elb:80"
    assert tunnel.addresses == [("internal.elb", 80)]
    listed("--list", "--tunnel", "vm", "--apihost", "http://internal.elb", "--auth", AUTH)
    assert tunnel.addresses[-1] == ("internal.elb", 80)


def test_without_tunnel_none_is_opened(tunnel: FakeTunnel) -> None:
    nowhere = ["--apihost", "http://127.0.0.1:9", "--auth", "a:b", "--timeout", "1"]
    done = CliRunner().invoke(main, ["--list", *nowhere])
    assert done.exit_code == 1
    assert tunnel.addresses == []

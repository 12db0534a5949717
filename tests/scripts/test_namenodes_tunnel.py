"""--tunnel on the command line: which way is taken, and with which key."""

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
class Way:
    """A way that ends at the stand-in; it notes where it was asked to lead."""

    port: int
    asked: list[tuple[str, int]] = field(default_factory=list)

    @contextmanager
    def forward(self, host: str = "", port: int = 0) -> Iterator[int]:
        self.asked.append((host, port))
        yield self.port

    def auth(self) -> str:
        return AUTH


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Way]:
    monkeypatch.chdir(tmp_path)
    whisk = OpenWhiskServer()
    with openwhisk(whisk):
        made = Way(urlsplit(whisk.url).port or 0)
        monkeypatch.setattr(Connections, "in_cluster", made)
        monkeypatch.setattr(Connections, "machine", lambda _, address: made)
        yield made


def listed(*arguments: str) -> Any:
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments", [["--list", "--tunnel"], ["--tunnel", "--list"], ["--tunnel", "cluster", "--list"]]
)
def test_through_the_cluster_with_its_own_key_whatever_wsk_knows(
    way: Way, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISK_APIHOST", "http://another")
    monkeypatch.setenv("WHISK_AUTH", "another:key")
    told = listed(*arguments)
    assert told["apihost_from"] == "--tunnel cluster"
    assert told["actions"] == []


def test_through_the_client_vm_to_the_load_balancer_s_address(way: Way) -> None:
    told = listed("--list", "--tunnel", "vm", "--apihost", "http://internal.elb:80", "--auth", AUTH)
    assert told["apihost"] == "http://internal.elb:80"
    assert way.asked == [("internal.elb", 80)]
    listed("--list", "--tunnel", "vm", "--apihost", "http://internal.elb", "--auth", AUTH)
    assert way.asked[-1] == ("internal.elb", 80)


def test_without_a_tunnel_no_way_is_opened(way: Way) -> None:
    nowhere = ["--apihost", "http://127.0.0.1:9", "--auth", "a:b", "--timeout", "1"]
    done = CliRunner().invoke(main, ["--list", *nowhere])
    assert done.exit_code == 1
    assert way.asked == []

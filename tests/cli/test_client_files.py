"""What whisk_helper.py stores for the clients, and when it brings their files to it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.cli import client_files
from aws_setup.cli.client_files import ClientsResult, configure_clients
from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.namenodes.selection import Selection
from aws_setup.software.clients.namenode_record import NameNodeRecord, read_record, write_record


@pytest.mark.parametrize(
    ("record", "runs"),
    [
        (None, 1),
        (NameNodeRecord(deployments=2), 0),
        (NameNodeRecord(deployments=2, pending=True), 1),
        (NameNodeRecord(deployments=3), 1),
        (NameNodeRecord("mine", deployments=2), 1),
        (NameNodeRecord(deployments=2, api_host="https://other"), 1),
    ],
)
def test_the_clients_are_brought_to_the_defaults_too_unless_a_run_has_done_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: NameNodeRecord | None, runs: int
) -> None:
    """Without a record the clients may call what another computer has deployed."""
    config = Config(
        ssh_keypair_name="key",
        ssh_key_path=str(tmp_path),
        infrastructure_json_path=str(tmp_path),
        num_namenode_deployments=2,
    )
    if record:
        write_record(config, record)
    endpoint = SimpleNamespace(inside="https://elb", auth="a:b")
    session: Any = SimpleNamespace(
        connections=SimpleNamespace(config=config), endpoint=endpoint, client=None
    )
    began: list[Config] = []

    def step(_session: Any, config: Config, _clock: Any) -> ClientsResult:
        began.append(config)
        return ClientsResult()

    monkeypatch.setattr(client_files, "_run_step", step)
    names = ["namenode0", "namenode1"]
    for _ in range(2):
        configure_clients(session, Selection("namenode"), names, clock=SystemClock(pace=0))
    assert len(began) == runs, "the second run has nothing to do"
    assert read_record(config).deployments == 2
    assert not read_record(config).pending

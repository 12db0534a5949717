"""A sample of the cliffs of every command and every kind; `python -m tests.trust` tries all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from aws_setup.rehearsal.vms.fake_shell import SCRIPTS
from aws_setup.software import client_keys, daemons
from aws_setup.software.clients import remote_files
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh import files, survey
from tests.trust.cliffs import READ, Kind
from tests.trust.groups import Plan, cliffs
from tests.trust.results import read, table
from tests.trust.taps import OTHER_WRITES, SSH_WRITES, command_name

SAMPLE = {"create": 3, "extend": 6, "destroy": 1}
"""Command -> how many of its cliffs are tried here: the cheap one has one of each kind."""

LATER = {"configure": 1, "register": 1, "update": 1, "pause": 1, "resume": 1}
"""The same of the commands that need a cluster, or end its machines."""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


def test_each_script_on_machines_changes_something_or_is_known_to_read() -> None:
    reads = {survey.SURVEY, survey.RUN, zk.SRVR, zk.LIST, remote_files.READ}
    reads |= {files.READ, files.DIGEST, files.FACTS, client_keys.LIST_KEYS}
    named_as_what_it_starts = {daemons.START}
    known = {*SSH_WRITES, *OTHER_WRITES, *named_as_what_it_starts}
    assert known == set(SCRIPTS) - reads


@pytest.mark.parametrize(
    ("script", "reads"),
    [
        (zk.client_script([]), True),
        (zk.client_script(["/lambda-fs"]), False),
        ("deleteall /lambda-fs\nls -R /\n", False),
        ('set /lambda-fs ""\n', False),
    ],
    ids=["lists", "creates", "deletes", "sets"],
)
def test_a_client_of_zookeeper_reads_only_if_all_that_it_is_sent_lists(
    script: str, reads: bool
) -> None:
    name = command_name(f"{zk.CLIENT} -server 127.0.0.1:2181", script.encode())
    assert name.startswith(READ) is reads


@linux_only
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "commands"),
    [(SAMPLE, tuple(SAMPLE)), (LATER, ("create", *LATER))],
    ids=["machines", "cluster"],
)
def test_a_sample_of_all_commands_survives(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    number: Mapping[str, int],
    commands: tuple[str, ...],
) -> None:
    results = tmp_path / "results.jsonl"
    plan = Plan(tuple(number), commands, seed=3, sample=number)
    assert cliffs(plan, results) == 0, capfd.readouterr().out
    tried = read(results)
    assert {item.row for item in tried} == set(number)
    assert number is LATER or {item.column for item in tried} == set(Kind)
    reached = [item for item in tried if item.survived]
    assert len(reached) >= 0.8 * len(tried), table(tried)

"""A sample of the cliffs of every command and every kind; `python -m tests.trust` tries all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aws_setup.rehearsal.vms.fake_shell import SCRIPTS
from aws_setup.software.clients import remote_files
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh import files, survey
from tests.trust.cliffs import OTHER_WRITES, SSH_WRITES, Kind
from tests.trust.groups import Plan, cliffs
from tests.trust.results import read, table

SAMPLE = {"create": 3, "extend": 6, "destroy": 1}
"""Command -> how many of its cliffs are tried here: the cheap one has one of each kind.

Those of configure and of the NameNodes are killed in tests/scripts/test_configure_crash.py and
tests/scripts/test_namenodes_interrupt.py.
"""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


def test_each_script_on_machines_changes_something_or_is_known_to_read() -> None:
    reads = {survey.SURVEY, survey.RUN, zk.SRVR, zk.LIST, remote_files.READ}
    reads |= {files.READ, files.DIGEST, files.FACTS}
    assert {*SSH_WRITES, *OTHER_WRITES} == set(SCRIPTS) - reads


@linux_only
@pytest.mark.timeout(600)
def test_a_sample_of_all_commands_survives(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.jsonl"
    plan = Plan(tuple(SAMPLE), tuple(SAMPLE), seed=3, sample=SAMPLE)
    assert cliffs(plan, results) == 0, capfd.readouterr().out
    tried = read(results)
    assert {item.row for item in tried} == set(SAMPLE)
    assert {item.column for item in tried} == set(Kind)
    reached = [item for item in tried if item.survived]
    assert len(reached) >= 0.8 * len(tried), table(tried)

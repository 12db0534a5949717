"""What a switch asks for and another key prevents: one line that the user sees in every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

NO_VMS = {
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "create_eks_cluster": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
}
POPULATE = {"populate_mysql_ndb_tables": True}
START = {"start_ndb_cluster": True}
FORMAT = {"format_filesystem": True}


def warned(folder: Path, *arguments: str) -> list[str]:
    """Return the lines of a run's plain output that say that a feature is skipped."""
    ended = run(SCRIPT, folder, *arguments)
    words = ("skipped", "not started:")
    return [
        line
        for line in ended.stderr.splitlines()
        if line.startswith("warning: ") and any(word in line for word in words)
    ]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            START | POPULATE | FORMAT,
            "ndb tables and the formatting are skipped: ndb_sql_scripts_dir, the folder with the "
            "SQL scripts of HopsFS and λFS, is not set",
        ),
        (
            START | POPULATE,
            "ndb tables are skipped: ndb_sql_scripts_dir, the folder with the SQL scripts of "
            "HopsFS and λFS, is not set",
        ),
        (
            NO_VMS | START | POPULATE | FORMAT,
            "MySQL NDB is skipped: create_ndb_cluster is False, so start_ndb_cluster, "
            "populate_mysql_ndb_tables, format_filesystem has no effect",
        ),
        (
            POPULATE,
            "MySQL NDB is not started: start_ndb_cluster is False, so populate_mysql_ndb_tables "
            "has no effect",
        ),
        (
            NO_VMS | {"start_zookeeper_cluster": True},
            "ZooKeeper is skipped: create_zookeeper_vms is False and zk_node_public_IPs is empty, "
            "so start_zookeeper_cluster has no effect",
        ),
    ],
)
def test_plan_and_create_say_it_in_one_line(
    cloud: RehearsalCloud, tmp_path: Path, keys: dict[str, Any], line: str
) -> None:
    folder = prepare(tmp_path / "work", **keys)
    assert warned(folder, "plan") == [f"warning: {line}"]
    # Without a terminal create goes as far as the question, which comes after the plan.
    assert warned(folder, "create") == [f"warning: {line}"]


def test_a_run_that_has_nothing_to_do_warns_again(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", **NO_VMS, **START)
    first = warned(folder, "create", "--yes")
    assert len(first) == 1
    assert "MySQL NDB is skipped" in first[0]
    again = run(SCRIPT, folder, "create", "--yes")
    assert "Nothing to do" in again.stdout
    assert first[0] in again.stderr
    warnings = run(SCRIPT, folder, "create", "--yes", "--json").document["warnings"]
    assert "MySQL NDB is skipped" in [problem["what"] for problem in warnings]
    assert warned(folder, "create", "--yes", "--only", "vpc") == []


def test_with_the_switches_off_there_is_no_warning(cloud: RehearsalCloud, tmp_path: Path) -> None:
    assert warned(prepare(tmp_path / "work", **NO_VMS), "plan") == []


def test_the_plans_line_of_a_skipped_step_says_so(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", **START, **POPULATE)
    lines = run(SCRIPT, folder, "plan").stdout.splitlines()
    (line,) = [line for line in lines if "ndb tables" in line]
    assert line.startswith("= skipped  ndb tables")
    assert "ndb_sql_scripts_dir" in line


@pytest.mark.parametrize(
    ("typed", "code"), [("lambda-fs ", 0), ("y", 2), ("", 2), ("Lambda-FS", 2)]
)
def test_reformat_requires_the_deployments_name(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return typed

    monkeypatch.setattr("aws_setup.cli.aws_commands.prompt_function", lambda: answer)
    folder = prepare(tmp_path / "work", **NO_VMS)
    before = len(cloud.calls.writes())
    ended = run(SCRIPT, folder, "create", "--yes", "--reformat")
    assert ended.exit_code == code, ended.stderr
    question = 'Type "lambda-fs" to reformat the file systems, which DESTROYS ALL DATA'
    assert asked == [question]
    assert (len(cloud.calls.writes()) > before) == (code == 0)
    assert ("cancelled; nothing was changed" in ended.stderr) == (code == 2)

"""README, help texts and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.cli.app import script_command
from aws_setup.cli.script import Script
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", [create_aws_infrastructure.SCRIPT, configure_eks_cluster.SCRIPT])
def test_the_readme_shows_the_help(script: Script) -> None:
    command = script_command(script, folder=ROOT)
    shown = CliRunner().invoke(command, ["--help"], terminal_width=80).stdout
    begin = f"<!-- help of {script.name} -->\n```\n"
    block = README.split(begin)[1].split("```\n<!-- end of help -->")[0]
    assert block == shown
    assert max(map(len, shown.splitlines())) <= 80


def test_every_link_of_the_readme_has_a_target() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    section = README.split("## Test it")[1]
    command = section.split("```sh\n")[1].split("\n```")[0]
    for part in command.split(" && "):
        assert part in script, part


def test_every_requirement_has_a_range_and_a_reason() -> None:
    for name in ("requirements.txt", "requirements-rehearsal.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.match(r"^[\w\[\],-]+[>=]=.+#\s*\S", line), line


README_FILE = Path(__file__).resolve().parents[2] / "README.md"


def test_the_plan_of_the_readme(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run(SCRIPT, prepare(tmp_path / "work"), "plan")
    assert ended.exit_code == 0, ended.stderr
    printed = "\n".join(line.rstrip() for line in ended.stdout.strip().splitlines())
    shown = (
        README_FILE.read_text(encoding="utf-8").split("<!-- plan -->\n```\n")[1].split("\n```")[0]
    )
    assert shown == printed

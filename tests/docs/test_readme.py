"""README, the documentation's pages, help texts and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

import configure_eks_cluster
import create_aws_infrastructure
import whisk_helper
from aws_setup.cli.app import script_command
from aws_setup.cli.script import Script
from aws_setup.config import Config
from aws_setup.config.profiles import PROFILES
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.docs.cost_table import STOPPED, hourly
from tests.docs.documents import DOCUMENTS
from tests.support.scripts import prepare, run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def command_of(script: Script) -> tuple[str, Command]:
    """Return a script's file name and its command."""
    return script.name, script_command(script, folder=ROOT)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        command_of(create_aws_infrastructure.SCRIPT),
        command_of(configure_eks_cluster.SCRIPT),
        ("whisk_helper.py", whisk_helper.main),
    ],
)
def test_the_documentation_shows_the_help(name: str, command: Command) -> None:
    shown = CliRunner().invoke(command, ["--help"], terminal_width=80).stdout
    begin = f"<!-- help of {name} -->\n```\n"
    block = COMMANDS.split(begin)[1].split("```\n<!-- end of help -->")[0]
    assert block == shown
    assert max(map(len, shown.splitlines())) <= 80


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_has_a_target(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_list_of_the_documentation() -> None:
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in DOCUMENTS if path.parent.name == "docs"]
    assert [page for page in pages if page != "README.md" and f"]({page})" not in listed] == []


def test_the_readme_is_read_in_two_minutes() -> None:
    """At some 300 words a minute, beside commands, pictures and tables."""
    text = re.sub(r"^\|.*$", "", README, flags=re.MULTILINE)
    prose = re.sub(r"```.*?```|!\[.*?\]\(.*?\)|\]\(.*?\)", "", text, flags=re.DOTALL)
    assert 400 < len(prose.split()) <= 700


def test_the_readme_says_what_the_profiles_cost() -> None:
    for profile, keys in PROFILES.items():
        named = {"profile": profile, "ssh_keypair_name": "k", "ssh_key_path": "k"}
        config = Config.model_validate({**keys, **named})
        [row] = re.findall(rf"^\| `{profile}`.*$", README, re.MULTILINE)
        prices = hourly(config), 24 * hourly(config), hourly(config, without=STOPPED)
        assert "| ${:.2f} | ${:.0f} | ${:.2f} |".format(*prices) in row
        assert f"| {config.num_namenode_deployments} |" in row


def test_ci_runs_the_documented_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    section = (ROOT / "docs" / "developing.md").read_text("utf-8").split("## Test it")[1]
    command = section.split("```sh\n")[1].split("\n```")[0]
    for part in command.split(" && "):
        assert part in script, part


def test_every_requirement_has_a_range_and_a_reason() -> None:
    for name in ("requirements.txt", "requirements-rehearsal.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.match(r"^[\w\[\],-]+[>=]=.+#\s*\S", line), line


def test_the_plan_of_the_documentation(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run(SCRIPT, prepare(tmp_path / "work"), "plan")
    assert ended.exit_code == 0, ended.stderr
    printed = "\n".join(line.rstrip() for line in ended.stdout.strip().splitlines())
    page = (ROOT / "docs" / "create.md").read_text(encoding="utf-8")
    assert page.split("<!-- plan -->\n```\n")[1].split("\n```")[0] == printed

"""README, help texts and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from aws_setup.cli import script_command
from create_aws_infrastructure import SCRIPT

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_the_help() -> None:
    command = script_command(SCRIPT, beside=ROOT)
    shown = CliRunner().invoke(command, ["--help"], terminal_width=80).stdout
    begin = "<!-- help of create_aws_infrastructure.py -->\n```\n"
    block = README.split(begin)[1].split("```\n<!-- end of help -->")[0]
    assert block == shown


def test_every_link_of_the_readme_leads_somewhere() -> None:
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
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.match(r"^[\w\[\],-]+>=.+#\s*\S", line), line

"""--version, and what the shell completes: a real bash, and click's protocol of zsh and fish."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aws_setup import __version__
from aws_setup.cli.step_names import only_names
from aws_setup.verify.table import CHECKS
from tests.cli.test_startup import SCRIPTS, SLOW, imported
from tests.docs import step_names

ROOT = Path(__file__).resolve().parents[2]
CREATE = "create_aws_infrastructure.py"

BASH = """
{source}
while IFS= read -r script; do
  function=$(complete -p "$script" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
  COMP_WORDS=(); COMPREPLY=()
  while IFS= read -r word; do
    [ "$word" = END ] && break
    COMP_WORDS+=("$word")
  done
  COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
  "$function" "./$script" 2>/dev/null < /dev/null
  printf '%s\\n' "${{COMPREPLY[@]}}" END
done
"""
"""Completes one line after the other: a script, the words, and END; answers end with END."""


def documented_loop() -> str:
    """Return the commands with which docs/commands.md turns completion on."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    return re.split(r"```sh\n(?=shell=bash)", text)[1].split("```")[0]


def in_shell(folder: Path) -> dict[str, str]:
    """Return the environment of a user whose virtual environment is active."""
    # A link to the interpreter would not be in the virtual environment, and have other packages.
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}


BASH_LINES: dict[tuple[str, ...], list[str]] = {
    (CREATE, "pl"): ["plan"],
    (CREATE, "--reg"): ["--region"],
    (CREATE, "create", "--only", "ndb\\ da"): [
        "ndb\\ data\\ nodes\\ 1",
        "ndb\\ data\\ nodes\\ 2",
    ],
    (CREATE, "create", "--only", '"ndb m'): ["ndb manager", "ndb management server"],
    (CREATE, "--only", "vpc", "destroy", "--only", "known"): ["known\\ hosts"],
    ("configure_eks_cluster.py", "--upd"): ["--update-chart"],
    ("whisk_helper.py", "--sy"): ["--sync"],
}
"""A script and the words of a line -> what bash inserts for the last word."""


@pytest.fixture(scope="module")
def inserted(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], list[str]]:
    """What one bash, as docs/commands.md sets it up, inserts for each of the lines."""
    asked = [(line[0], f"./{line[0]}", *line[1:], "END") for line in BASH_LINES]
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(source=documented_loop())],
        cwd=ROOT,
        env=in_shell(tmp_path_factory.mktemp("bash")),
        input="".join(f"{word}\n" for line in asked for word in line),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [answer.splitlines() for answer in done.stdout.split("END\n")[:-1]]
    return dict(zip(BASH_LINES, answers, strict=True))


def asked(folder: Path, shell: str, script: str, *words: str) -> str:
    """Return click's answer to a shell."""
    variable = f"_{script.replace('.', '_').upper()}_COMPLETE"
    environ = in_shell(folder) | {
        variable: f"{shell}_complete",
        "COMP_WORDS": " ".join((script, *words)) if shell == "zsh" else "\n".join((script, *words)),
        "COMP_CWORD": str(len(words)) if shell == "zsh" else words[-1],
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / script)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FISH = """
for pair in create_aws_infrastructure configure_eks_cluster whisk_helper
    set name _(string upper $pair)_PY_COMPLETE
    env $name=fish_source ./$pair.py | source
end
for line in $argv
    complete -C $line
    echo END
end
"""

ZSH = """PS1=; autoload -U compinit; compinit -u -D; {source}
preexec() {{ print -r -- "$MARK$1$MARK"; exit 0 }}
"""


FISH_LINES: dict[str, list[str]] = {
    f"./{CREATE} pl": ["plan"],
    f"./{CREATE} create --only ndb\\ da": ["ndb data nodes 1", "ndb data nodes 2"],
    "./configure_eks_cluster.py --upd": ["--update-chart"],
    "./whisk_helper.py --tunnel cl": ["cluster"],
    f"{ROOT}/{CREATE} sta": ["status"],
}
"""A line -> what fish offers for its end."""


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What one real fish offers for the end of each of the lines, without descriptions."""
    done = subprocess.run(
        ["fish", "--no-config", "-c", FISH, *FISH_LINES],
        cwd=ROOT,
        env=in_shell(tmp_path_factory.mktemp("fish")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    answers = [answer.splitlines() for answer in done.stdout.split("END\n")[:-1]]
    found = [[offer.split("\t")[0] for offer in answer] for answer in answers]
    return dict(zip(FISH_LINES, found, strict=True))


def zsh(folder: Path, line: str) -> str:
    """Return the line that a real zsh has after the tabulator, as it would run it."""
    keyboard, terminal = os.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"],
        cwd=ROOT,
        env=in_shell(folder) | {"TERM": "dumb", "MARK": "@@"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    setup = ZSH.format(source="; ".join(documented_loop().splitlines()[1:]).replace("do;", "do"))
    os.write(keyboard, f"shell=zsh; {setup}{line}\t\n".encode())
    printed = bytearray()
    with contextlib.suppress(OSError):  # Linux reports a closed terminal as an error
        while chunk := os.read(keyboard, 65536):
            printed += chunk
    os.close(keyboard)
    process.wait()
    found = re.findall(r"@@(.+?)@@", printed.decode().replace("\r\n", ""))
    assert found, printed.decode()
    return str(found[-1])


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize("line", FISH_LINES)
def test_a_real_fish_completes(offered: dict[str, list[str]], line: str) -> None:
    assert offered[line] == FISH_LINES[line]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        (f"./{CREATE} pl", "plan"),
        (f"./{CREATE} destroy --only know", "--only known\\ hosts"),
        ("./configure_eks_cluster.py --upd", "--update-chart"),
        ("./whisk_helper.py --sy", "--sync"),
    ],
)
def test_a_real_zsh_completes(tmp_path: Path, line: str, completed: str) -> None:
    assert zsh(tmp_path, line).strip().endswith(completed)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_called_by_its_path(script: str) -> None:
    path = ROOT / script
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_version_is_one_and_imports_click_alone(tmp_path: Path, script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{script} {__version__}\n")
    _, packages = imported(tmp_path, script, "--version")
    assert not packages & SLOW


@pytest.mark.parametrize("line", BASH_LINES, ids=" ".join)
def test_bash_completes_verbs_options_and_steps(
    inserted: dict[tuple[str, ...], list[str]], line: tuple[str, ...]
) -> None:
    assert inserted[line] == BASH_LINES[line]


@pytest.mark.parametrize(
    ("script", "words", "wanted"),
    [
        (CREATE, ("de",), "destroy"),
        (CREATE, ("--on",), "--only"),
        (CREATE, ("create", "--only", "sec"), "security group"),
        ("configure_eks_cluster.py", ("--only", "oidc"), "oidc provider"),
        ("configure_eks_cluster.py", ("destroy", "--only", "left"), "left by the cluster"),
        ("whisk_helper.py", ("--sy",), "--sync"),
        ("whisk_helper.py", ("--tunnel", "cl"), "cluster"),
    ],
)
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_complete_the_same(
    tmp_path: Path, shell: str, script: str, words: tuple[str, ...], wanted: str
) -> None:
    assert wanted in asked(tmp_path, shell, script, *words)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completing_imports_click_alone(
    tmp_path: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.cli import test_startup

    listing = "import os\nos.environ.update({values!r})\n"
    values = {
        "_CREATE_AWS_INFRASTRUCTURE_PY_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": f"{CREATE}\n--only\nndb",
        "COMP_CWORD": "ndb" if shell == "fish" else "2",
    }
    monkeypatch.setattr(
        test_startup, "LISTING", listing.format(values=values) + test_startup.LISTING
    )
    code, packages = imported(tmp_path, CREATE)
    assert code == 0
    assert "click" in packages
    assert not packages & SLOW


def test_each_verb_has_its_own_names() -> None:
    assert step_names.PATH.read_text(encoding="utf-8") == step_names.step_names_text()
    assert "known hosts" in only_names(CREATE, "destroy")
    assert "known hosts" not in only_names(CREATE, "create") + only_names(CREATE, "plan")
    assert only_names(CREATE, "verify") == tuple(check.name for check in CHECKS)
    assert only_names("configure_eks_cluster.py", "") != only_names(CREATE, "")
    assert only_names("whisk_helper.py", "") == ()

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
function=$(complete -p {script} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
mapfile -t COMP_WORDS <<< '{words}'; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$function ./{script} 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


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


def bash(folder: Path, *words: str, script: str = CREATE) -> list[str]:
    """Return what bash inserts for the last of some words ; docs/commands.md turns it on."""
    program = BASH.format(source=documented_loop(), script=script, words="\n".join(words))
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        cwd=ROOT,
        env=in_shell(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


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
complete -C $argv[1]
"""

ZSH = """PS1=; autoload -U compinit; compinit -u -D; {source}
preexec() {{ print -r -- "$MARK$1$MARK"; exit 0 }}
"""


def fish(folder: Path, line: str) -> list[str]:
    """Return what a real fish offers for the end of a line, without descriptions."""
    done = subprocess.run(
        ["fish", "--no-config", "-c", FISH, line],
        cwd=ROOT,
        env=in_shell(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return [offer.split("\t")[0] for offer in done.stdout.splitlines()]


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
@pytest.mark.parametrize(
    ("line", "offers"),
    [
        (f"./{CREATE} pl", ["plan"]),
        (f"./{CREATE} create --only ndb\\ da", ["ndb data nodes 1", "ndb data nodes 2"]),
        ("./configure_eks_cluster.py --upd", ["--update-chart"]),
        ("./whisk_helper.py --tunnel cl", ["cluster"]),
        (f"{ROOT}/{CREATE} sta", ["status"]),
    ],
)
def test_a_real_fish_completes(tmp_path: Path, line: str, offers: list[str]) -> None:
    assert fish(tmp_path, line) == offers


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


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("pl",), ["plan"]),
        (("--reg",), ["--region"]),
        (("create", "--only", "ndb\\ da"), ["ndb\\ data\\ nodes\\ 1", "ndb\\ data\\ nodes\\ 2"]),
        (("create", "--only", '"ndb m'), ["ndb manager", "ndb management server"]),
        (("--only", "vpc", "destroy", "--only", "known"), ["known\\ hosts"]),
    ],
)
def test_bash_completes_verbs_options_and_steps(
    tmp_path: Path, words: tuple[str, ...], wanted: list[str]
) -> None:
    assert bash(tmp_path, f"./{CREATE}", *words) == wanted


@pytest.mark.parametrize(
    ("script", "words", "wanted"),
    [
        ("configure_eks_cluster.py", ("--upd",), ["--update-chart"]),
        ("whisk_helper.py", ("--sy",), ["--sync"]),
    ],
)
def test_bash_completes_the_other_scripts(
    tmp_path: Path, script: str, words: tuple[str, ...], wanted: list[str]
) -> None:
    assert bash(tmp_path, f"./{script}", *words, script=script) == wanted


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

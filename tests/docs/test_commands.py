"""Every command of README.md and docs/*.md is run in a rehearsal, or parsed where it cannot be."""

from __future__ import annotations

import argparse
import importlib
import inspect
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

import configure_eks_cluster
import create_aws_infrastructure
import whisk_helper
from aws_setup.cli import doctor
from aws_setup.cli.app import script_command
from aws_setup.config import Config
from aws_setup.config.profiles import PROFILES
from aws_setup.openwhisk.summary import next_command
from tests import regenerate_docs
from tests.docs.documents import DOCUMENTS, ROOT, SCRIPTS, Command, commands, spans
from tests.docs.test_infrastructure_manual import check_commands
from tests.support.kube import tool
from tests.support.script_runs import Zygote
from tests.trust.world import World, world

BY_HAND = {"infrastructure.md", "configure.md"}
"""Documents of commands of other programs, with tests of their own (test_…_manual.py)."""

ELSEWHERE: Mapping[str, str] = {
    "python3": "installs into an environment; .ci/run does the same",
    "pip": "installs into an environment; .ci/run does the same, and a test compares them",
    ".": "activates an environment",
    "git": "from GitHub, where no test goes",
    "chmod": "of a key file that was just downloaded",
    "pytest": "runs the tests",
    "cd": "on a VM",
    "export": "on a VM: for java",
    "java": "on a VM: the emulated ones have no Hadoop",
    "sudo": "on a VM: the emulated ones have no NDB; tests/software runs the real programs",
    "/usr/local/bin/ndb_mgm": "on a VM: the emulated ones have no NDB",
}
"""Program -> why its commands are not run here."""

NOT_RUN: Mapping[str, str] = {
    "plan --region us-west-2 --copy-amis": "refused beside the first: scripts/test_copy_amis.py",
    "create --region us-west-2 --copy-amis": "refused beside the first: scripts/test_copy_amis.py",
    "verify": "imitated VMs have no NDB, and no pod reaches it: verify/test_broken_links.py",
}
"""Arguments of the scripts -> why these are parsed and not run."""

FAILS: Mapping[str, str] = {
    "verify --quick": "2 failed",
    "-n 20 --verify --invoke": "Unable to connect with connect string",
}
"""Arguments -> what is printed where they end with 1: the emulated VMs have no NDB."""

SETTINGS: Mapping[str, Any] = {"num_namenode_deployments": 20, "num_openwhisk_invoker_vms": 8}
"""As many NameNodes as the documents name, and invokers for them."""

REPLACED: Mapping[str, str] = {"ssh://": "namenode.jar"}
"""Word -> another one: the emulated VMs have no SFTP, and so no jar."""

ORDER = (
    "README.md",
    "access.md",
    "permissions.md",
    "create.md",
    "report.md",
    "configure.md",
    "whisk.md",
    "costs.md",
    "evaluation.md",
    "lambdafs.md",
    "ssh.md",
    "change.md",
    "lockfile.md",
    "operators.md",
)
"""The order in which a deployment's life needs the documents; all others follow."""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its runs")


def in_order() -> list[Command]:
    """Return the commands of all documents, each once, and those that delete at the end."""
    place = {name: index for index, name in enumerate(ORDER)}
    documents = [path for path in DOCUMENTS if path.name not in BY_HAND]
    documents.sort(key=lambda path: place.get(path.name, len(ORDER)))
    every = {command.words: command for path in documents for command in commands(path)}
    ends = [command for command in every.values() if "destroy" in command.words]
    ends.sort(key=lambda command: command.words == ("python", SCRIPTS[0], "destroy"))
    return [command for command in every.values() if command not in ends] + ends


def parse_script(command: Command) -> None:
    """Parse a command of a script, or of doctor; click raises what it refuses."""
    scripts: Mapping[str, Callable[[], click.Command]] = {
        SCRIPTS[0]: lambda: script_command(create_aws_infrastructure.SCRIPT, folder=ROOT),
        SCRIPTS[1]: lambda: script_command(configure_eks_cluster.SCRIPT, folder=ROOT),
        SCRIPTS[2]: lambda: whisk_helper.main,
        "aws_setup": lambda: doctor.main,
    }
    words = ["1" if word == "NUMBER" else word for word in command.arguments]
    scripts[command.program]().make_context(command.program, words)


MAINS: Mapping[str, str] = {
    "aws_setup.rehearsal": "aws_setup.rehearsal.cli",
    "tests.trust": "tests.trust.__main__",
    "tests.regenerate_docs": "tests.regenerate_docs",
    "benchmarks": "benchmarks.__main__",
    "benchmarks.makespan": "benchmarks.makespan",
    "benchmarks.peers": "benchmarks.peers",
    "benchmarks.scale": "benchmarks.scale",
    "benchmarks.setting_up": "benchmarks.setting_up",
    "benchmarks.ssh_scale": "benchmarks.ssh_scale",
    "benchmarks.whisk": "benchmarks.whisk",
    "benchmarks.work": "benchmarks.work",
}
"""Program -> the module whose `main` parses its arguments with argparse."""


class Parsed(Exception):
    """The arguments are valid."""


def parse_module(command: Command, patch: pytest.MonkeyPatch) -> None:
    """Parse a command of a module of this project, and end before it does anything."""
    words = list(command.arguments)
    if command.program not in MAINS:
        path = ROOT / f"{command.program.replace('.', '/')}.py"
        assert path.exists() or path.with_suffix("").is_dir(), command
        return
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        parse(parser, args, namespace)
        raise Parsed

    patch.setattr(argparse.ArgumentParser, "parse_args", stop)
    patch.setattr(sys, "argv", [command.program, *words])
    with pytest.raises(Parsed):
        module: Any = importlib.import_module(MAINS[command.program])
        module.main(*([words] if inspect.signature(module.main).parameters else []))
    patch.undo()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_one_that_its_program_parses(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = document.read_text(encoding="utf-8")
    if document.name in BY_HAND:
        found = list(spans(document))
    else:
        check_commands(text)
        found = [*commands(document), *spans(document)]
    for command in found:
        if command.program in (*SCRIPTS, "aws_setup"):
            parse_script(command)
        elif command.program.split(".")[0] in ("aws_setup", "tests", "benchmarks"):
            parse_module(command, monkeypatch)
        else:
            known = {*ELSEWHERE, "aws", "ssh", "scp", "cp"}
            assert command.program in known, f"{command}: run it, or give the reason"


def test_the_command_after_configure_says_how_many_namenodes_and_which_jar() -> None:
    """A laptop has no jar at the default path, and no number of them is the default."""
    named = {"ssh_keypair_name": "k", "ssh_key_path": "k", "profile": "smoke"}
    words = shlex.split(next_command(Config.model_validate({**PROFILES["smoke"], **named})))
    parse_script(Command("", tuple(words)))
    assert {"-n", "2", "-j", "ssh://"} <= set(words)


@linux_only
@pytest.mark.timeout(600)
def test_every_command_runs_in_the_rehearsal(tmp_path: Path) -> None:
    tool("helm")
    with world(Zygote(), tmp_path / "laptop", **SETTINGS) as laptop:
        shutil.copy(ROOT / "sample_config_aws.yaml", laptop.folder)
        (laptop.folder / "second.jar").rename(laptop.folder / "new.jar")
        failures = [text for command in in_order() for text in act(laptop, command)]
    assert not failures, "\n\n".join(failures)


def act(laptop: World, command: Command) -> list[str]:
    """Run a command as its reader does; return what is wrong with it, else nothing."""
    words = [REPLACED.get(word, word) for word in command.arguments]
    if "--from" in words and "namenode.jar" in words:
        words[-1] = "new.jar"  # which was the last one before the lock file was copied
    if command.program in SCRIPTS and " ".join(words) not in NOT_RUN:
        return run_script(laptop, command, words)
    if command.program == "aws_setup":
        code = laptop.run("aws_setup", *words)
        return [f"{command}: exit code {code}\n{laptop.output}"] if code else []
    if command.program == "cp":
        config = (laptop.folder / "config_aws.yaml").read_text()
        shutil.copy(laptop.folder / words[0], laptop.folder / words[1])
        if words[1] == "config_aws.yaml":
            # What the reader sets in the copy, as for this world.
            (laptop.folder / words[1]).write_text(config)
    elif command.program in ("ssh", "scp"):
        return log_in(laptop, command)
    elif command.program == "tests.regenerate_docs":
        paths = [str(laptop.folder / word) if "." in word else word for word in words]
        assert regenerate_docs.main(paths) == 0, command
    return []


def run_script(laptop: World, command: Command, words: list[str]) -> list[str]:
    """Run a script with consent, as there is no terminal."""
    if "--create" in words:
        everything = ("--delete", "-n", "20", "--yes")
        laptop.run("whisk_helper", *everything)
    code = laptop.run(command.program.removesuffix(".py"), *words, "--yes")
    laptop.settle()
    if command.output:
        shutil.copy(laptop.folder / "run.out", laptop.folder / command.output)
    expected = FAILS.get(" ".join(words))
    if expected and code == 1 and expected in laptop.output:
        return []
    return [f"{command}: exit code {code}\n{laptop.output}"] if code or expected else []


def log_in(laptop: World, command: Command) -> list[str]:
    """Ask OpenSSH which host a command of ssh or scp would connect to."""
    [host] = {word.partition(":")[0] for word in command.arguments if word.startswith("lambda-fs-")}
    file = laptop.folder / command.arguments[command.arguments.index("-F") + 1]
    done = subprocess.run(
        ["ssh", "-G", "-F", str(file), host], capture_output=True, text=True, check=False
    )
    named = [line for line in done.stdout.splitlines() if line == f"hostname {host}"]
    return [f"{command}: {done.stderr or 'no such host'}"] if done.returncode or named else []

"""A canary in every secret, and the whole story: it is nowhere but in files of its owner alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.vms.fake_shell import CommandResult, FakeShell
from tests.support.kube import tool
from tests.support.script_runs import Zygote
from tests.trust import story
from tests.trust.canaries import VARIABLES, Seen, stand_in, text_of
from tests.trust.cliffs import Cliff, Kind
from tests.trust.world import world

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.kind("C1")
@pytest.mark.timeout(600)
def test_no_secret_leaves_its_files_in_the_whole_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm = stand_in(tmp_path / "bin", tool("helm"))
    plain = FakeShell.run
    commands: list[str] = []

    def run(self: FakeShell, line: str, stdin: bytes) -> CommandResult:
        commands.append(line)
        return plain(self, line, stdin)

    monkeypatch.setattr(FakeShell, "run", run)
    with world(Zygote(), tmp_path / "work") as made:
        path = f"{helm}{os.pathsep}{made.variables['PATH']}"
        made.variables = {**made.variables, **VARIABLES, "PATH": path}
        # The emulated cluster knows this secret key, too: it checks the signature of each token.
        hooks: Any = made.environment.hooks
        hooks._secrets = (*hooks._secrets, VARIABLES["AWS_SECRET_ACCESS_KEY"])
        seen = Seen(made.folder, made.environment, helm, commands)
        outputs = tmp_path / "work" / "outputs"
        outputs.mkdir(mode=0o700)
        denied = Cliff("create", "aws ec2.CreateNatGateway", 1, Kind.DENIED)
        for number, (phase, cliff) in enumerate(
            [(story.PHASES["create"], denied), *((phase, None) for phase in story.STORY)]
        ):
            words = ("-v",) if phase.name in ("create", "configure") else ()
            code = story.act(
                made, story.Phase(phase.name, phase.script, phase.words + words), cliff
            )
            assert bool(code) is bool(cliff), made.output
            for ending in ("out", "err"):
                shutil.copy(made.folder / f"run.{ending}", outputs / f"{number}.{ending}")
            if phase.name == "register":
                wrong = made.run("whisk_helper", "--list", "-v", WHISK_AUTH="u:canary-whisk-auth")
                assert wrong, made.output
                assert "canary-whisk-auth" not in made.output
            assert seen.leaks() == [], phase.name
        assert {"key.pem", "lambda-fs.tls.pem", "token 0", "OpenWhisk guest"} <= seen.secrets.keys()
        modes = {line.split()[0] for line in text_of(helm / "modes").splitlines()}
        assert modes == {"600"}, "what helm is given is readable for its owner only"
        assert "HOME=" in text_of(helm / "seen"), "helm was seen"
        assert commands


SECRET = "canary-ndb-password"
PLACES = {
    "output": "outputs/1.err",
    "log": "infrastructure_json/lambda-fs.log",
    "event log": "infrastructure_json/lambda-fs.events.jsonl",
    "receipt": "infrastructure_json/lambda-fs.json",
    "lock file": "infrastructure_json/lambda-fs.lock.yaml",
    "page": "infrastructure_json/lambda-fs.html",
}
"""What may hold no secret, and an example of it."""


@pytest.fixture
def clean(tmp_path: Path) -> Seen:
    """Return what runs without a leak have left: no secret, and one in a file that is for it."""
    helm = stand_in(tmp_path / "bin", Path("/bin/true"))
    work = tmp_path / "work"
    for path in [*PLACES.values(), "infrastructure_json/lambda-fs.whisk"]:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text("nothing")
        (work / path).chmod(0o600)
    (work / "infrastructure_json/lambda-fs.whisk").write_text(f"AUTH={SECRET}")
    seen = Seen(work, None, helm, ["hostname"])
    _run_helm(seen)
    assert seen.leaks() == []
    return seen


def _run_helm(seen: Seen, *words: str, **variables: str) -> None:
    command = [str(seen.helm / "helm"), "list", *words]
    subprocess.run(command, env={"PATH": os.environ["PATH"], **variables}, check=True)


@linux_only
@pytest.mark.kind("C1")
@pytest.mark.parametrize("place", PLACES)
def test_a_planted_secret_is_found_in_a_file(clean: Seen, place: str) -> None:
    path = clean.folder / PLACES[place]
    path.write_text(f"… password={SECRET} …")
    assert clean.leaks() == [f"LAMBDA_FS_NDB_PASSWORD in {path}"]


@linux_only
@pytest.mark.kind("C1")
def test_a_planted_secret_is_found_in_environment_process_list_and_readable_files(
    clean: Seen,
) -> None:
    seen = clean.helm / "seen"
    plain = seen.read_text()
    _run_helm(clean, LAMBDA_FS_NDB_PASSWORD=SECRET)
    assert clean.leaks() == [f"LAMBDA_FS_NDB_PASSWORD in {seen}"], "the environment of a child"
    seen.write_text(plain)
    _run_helm(clean, "--set", f"password={SECRET}")
    assert clean.leaks() == [f"LAMBDA_FS_NDB_PASSWORD in {seen}"], "the process list"
    seen.write_text(plain)
    clean.commands.append(f"mysql --password={SECRET}")
    assert clean.leaks() == ["LAMBDA_FS_NDB_PASSWORD in commands on machines"]
    clean.commands.pop()
    held = clean.folder / "infrastructure_json/lambda-fs.whisk"
    held.chmod(0o644)
    assert clean.leaks() == [f"{held} has mode 644"], "a readable file"
    held.chmod(0o600)
    assert clean.leaks() == []

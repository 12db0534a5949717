"""A canary in every secret: it is nowhere but in files of its owner alone, and is not shown."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.kube import tool
from tests.support.script_runs import Zygote
from tests.trust import story
from tests.trust.canaries import Search
from tests.trust.cliffs import Cliff, Kind
from tests.trust.world import world

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its world")


@linux_only
@pytest.mark.kind("C1")
@pytest.mark.timeout(600)
def test_no_secret_leaves_its_files(tmp_path: Path) -> None:
    """What is shown with -v, too; tests/trust/test_cliffs.py searches after the other commands."""
    tool("helm")
    with world(Zygote(), tmp_path / "work") as made:
        denied = Cliff("create", "aws ec2.CreateNatGateway", 1, Kind.DENIED)
        names = ("create", "create", "configure", "register", "destroy")
        for phase, cliffs in zip(
            map(story.PHASES.__getitem__, names), ((denied,), *4 * ((),)), strict=True
        ):
            # Each run is searched at its end.
            code = story.act(
                made, story.Phase(phase.name, phase.script, (*phase.words, "-v")), *cliffs
            )
            assert bool(code) is bool(cliffs), made.output
            if phase.name == "register":
                wrong = made.run("whisk_helper", "--list", "-v", WHISK_AUTH="u:canary-whisk-auth")
                assert wrong, made.output
        search = made.search
    assert {"key.pem", "lambda-fs.tls.pem", "lambda-fs.wskprops"} <= search.holders
    assert any(name.startswith("lambda-fs-") for name in search.holders), "files that helm is given"
    assert search.processes, "helm was looked at"


SECRET = "canary-ndb-password"
PLACES = {
    "output": "run.err",
    "log": "infrastructure_json/lambda-fs.log",
    "event log": "infrastructure_json/lambda-fs.events.jsonl",
    "receipt": "infrastructure_json/lambda-fs.json",
    "lock file": "infrastructure_json/lambda-fs.lock.yaml",
    "page": "infrastructure_json/lambda-fs.html",
    "home": "home/.kube/cache/http/0123",
}
"""What may hold no secret, and an example of it."""

HELD = "infrastructure_json/lambda-fs.wskprops"
KEY = "MIIEowIBAAKCAQEA1234567890"


@pytest.fixture
def clean(tmp_path: Path) -> Search:
    """Return what runs without a leak have left: no secret, and some in files that are for them."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    temporary.mkdir()
    for path in [*PLACES.values(), HELD, "key.pem"]:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text("nothing")
        (work / path).chmod(0o600)
    (work / HELD).write_text(f"AUTH={SECRET}")
    (work / "key.pem").write_text(f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END\n")
    search = Search(work, temporary)
    search.see("a command on a machine", b"hostname")
    assert search.leaks() == []
    return search


@linux_only
@pytest.mark.kind("C1")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"… password={SECRET} …", SECRET),
        (f"… {KEY} …", "key.pem"),
        (base64.b64encode(f"key: {KEY}".encode()).decode(), "key.pem"),
        (base64.b64encode(f"x:{SECRET}".encode()).decode(), "canary in base64"),
    ],
)
def test_a_planted_secret_is_found_in_a_file(
    clean: Search, place: str, text: str, named: str
) -> None:
    path = clean.folder / PLACES[place]
    path.write_text(text)
    assert clean.leaks() == [f"{named} in {path}"]
    assert clean.leaks() == [f"{named} in {path}"], "it is still there"


@linux_only
@pytest.mark.kind("C1")
def test_a_planted_secret_is_found_in_a_file_that_others_may_read(clean: Search) -> None:
    held = clean.folder / HELD
    held.chmod(0o640)
    assert clean.leaks() == [f"{held} has mode 640"]
    held.chmod(0o600)
    assert clean.leaks() == []
    path = clean.temporary / "values.yaml"
    path.write_text(SECRET)
    assert clean.leaks() == [f"{SECRET} in {path}"], "no temporary file of a run"


@linux_only
@pytest.mark.kind("C1")
def test_a_planted_secret_is_found_in_what_is_sent(clean: Search) -> None:
    clean.see("the request ec2.RunInstances", b"UserData=" + base64.b64encode(b"canary-aws-secret"))
    clean.see("a command on a machine", f"mysql --password={SECRET}".encode())
    assert clean.leaks() == [
        "canary in base64 in the request ec2.RunInstances",
        f"{SECRET} in a command on a machine",
    ]
    assert clean.leaks() == []


@linux_only
@pytest.mark.kind("C1")
@pytest.mark.parametrize(
    ("words", "variables", "place"),
    [
        ((f"--set=password={SECRET}",), {}, "cmdline"),
        ((), {"LAMBDA_FS_NDB_PASSWORD": SECRET}, "environ"),
    ],
)
def test_a_planted_secret_is_found_in_a_process(
    clean: Search, words: tuple[str, ...], variables: dict[str, str], place: str
) -> None:
    reading, writing = os.pipe()
    # It prints a byte when it is there, and ends when its input does.
    command = ["sh", "-c", "echo; read end", "helm", *words]
    with subprocess.Popen(
        command,
        stdin=reading,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **variables},
    ) as process:
        os.close(reading)
        assert process.stdout
        process.stdout.read(1)
        clean.look()
        os.close(writing)
    assert clean.leaks() == [f"{SECRET} in the {place} of a process"]


def test_a_key_in_a_form_is_found_where_it_does_not_belong(clean: Search) -> None:
    """A form encodes + and /, which most lines of a key have."""
    key = clean.folder / "infrastructure_json" / "lambda-fs.tls.pem"
    line = "MIIEow+BAAKCAQ/A1234567890"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{line}\n-----END\n")
    key.chmod(0o600)
    assert clean.leaks() == []
    form = urlencode({"Action": "x", "PrivateKey": key.read_text()}).encode()
    clean.see("the request iam.UploadServerCertificate", form)
    assert clean.leaks() == []
    clean.see("the request ssm.PutParameter", form)
    assert clean.leaks() == ["lambda-fs.tls.pem in the request ssm.PutParameter"]

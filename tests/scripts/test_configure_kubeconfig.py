"""The user's kubeconfig in complete runs: which file, what is kept, what is refused."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.eks.kubeconfig import BACKUP
from aws_setup.kube.eks_token import PREFIX
from aws_setup.openwhisk.certificate import self_signed
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.aws import client
from tests.support.cluster import Lab, lab, private

pytestmark = pytest.mark.timeout(240)

EXISTING = """\
# written by hand
apiVersion: v1
kind: Config
clusters: [{name: existing, cluster: {server: "https://existing"}}]
users: [{name: existing, user: {token: t}}]
contexts: [{name: existing, context: {cluster: existing, user: existing}}]
current-context: existing
"""


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def configure(zoo: Lab, *words: str, code: int = 0) -> Any:
    """Run only the steps up to the entry in the kubeconfig."""
    return zoo.run("configure", "--only", "kubeconfig", *words, code=code)


def names(path: Path) -> list[str]:
    """Return the contexts of a kubeconfig, the last part of each name."""
    document = yaml.safe_load(path.read_text())
    return [item["name"].rpartition("/")[2] for item in document["contexts"]]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two files of KUBECONFIG, of which only the second exists."""
    both = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, both)))
    both[1].write_text(EXISTING)
    return both


def test_the_existing_file_of_a_list_is_written_and_backed_up(
    zoo: Lab, listed: tuple[Path, Path]
) -> None:
    absent, file = listed
    configure(zoo)
    assert not absent.exists()
    assert names(file) == ["existing", "zoo"]
    assert yaml.safe_load(file.read_text())["current-context"] == "existing"
    kept = file.with_name(file.name + BACKUP)
    assert kept.read_text() == EXISTING
    assert private(file)
    assert private(kept)
    assert {step["action"] for step in configure(zoo)["steps"]} == {"exists"}
    configure(zoo, "--set-context")
    assert yaml.safe_load(file.read_text())["current-context"].endswith(":cluster/zoo")
    assert kept.read_text() == EXISTING


def test_destroy_removes_the_entry_and_keeps_the_rest(zoo: Lab, listed: tuple[Path, Path]) -> None:
    _, file = listed
    configure(zoo, "--set-context")
    zoo.run("destroy")
    remaining = yaml.safe_load(file.read_text())
    assert remaining == yaml.safe_load(EXISTING) | {"current-context": ""}
    assert file.with_name(file.name + BACKUP).read_text() == EXISTING


@pytest.mark.parametrize("text", ["{unclosed", "clusters: text\n", "- a list\n"])
def test_a_malformed_file_refuses_the_run_and_is_not_modified(
    zoo: Lab, listed: tuple[Path, Path], text: str
) -> None:
    _, file = listed
    file.write_text(text)
    problems = zoo.run("configure", code=2)["problems"]
    assert str(file) in problems[0]["what"]
    assert "write_kubeconfig" in problems[0]["hint"]
    assert file.read_text() == text
    assert [path.name for path in file.parent.glob("second*")] == ["second"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert zoo.writes() == 0
    zoo.save(write_kubeconfig=False)
    zoo.run("configure", "--only", "cluster access")
    assert zoo.run("destroy")["leftovers"] == []
    assert file.read_text() == text


@pytest.mark.kind("B6")
def test_a_kubeconfig_that_cannot_be_made_is_refused_before_anything_is_made(zoo: Lab) -> None:
    (zoo.folder / "file").write_text("x")
    zoo.save(kubeconfig_file=str(zoo.folder / "file" / "config"))
    problems = zoo.run("configure", code=2)["problems"]
    assert any("kubeconfig_file" in problem["hint"] for problem in problems), problems
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert zoo.writes() == 0


def test_a_kubeconfig_that_is_none_is_refused_once_and_named_by_destroy(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = zoo.folder / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv("KUBECONFIG", str(pipe))
    (problem,) = configure(zoo, code=2)["problems"]
    assert problem["why"] == "it is a named pipe, not a file"
    (warning,) = zoo.run("destroy")["warnings"]
    assert str(pipe) in warning["what"]
    assert warning["hint"].startswith("correct the file, and remove the entry arn:aws:eks:")


def test_a_changed_entry_is_corrected(zoo: Lab, listed: tuple[Path, Path]) -> None:
    _, file = listed
    configure(zoo)
    document = yaml.safe_load(file.read_text())
    right = document["clusters"][-1]["cluster"]["server"]
    document["clusters"][-1]["cluster"]["server"] = "https://other.example.com"
    file.write_text(yaml.safe_dump(document))
    (changed,) = [s for s in configure(zoo)["steps"] if s["action"] != "exists"]
    assert changed["name"] == "kubeconfig"
    assert yaml.safe_load(file.read_text())["clusters"][-1]["cluster"]["server"] == right


def test_what_the_user_added_to_the_entry_stays_and_what_is_overwritten_is_copied(
    zoo: Lab, listed: tuple[Path, Path]
) -> None:
    _, file = listed
    configure(zoo)
    document = yaml.safe_load(file.read_text())
    document["contexts"][-1]["context"]["namespace"] = "dev"
    env = [{"name": "AWS_PROFILE", "value": "mine"}]
    document["users"][-1]["user"]["exec"]["env"] = env
    mine = "# keep me\n" + yaml.safe_dump(document)
    file.write_text(mine)
    assert {step["action"] for step in configure(zoo)["steps"]} == {"exists"}
    assert file.read_text() == mine
    other = mine.replace(zoo.api.url, "https://old.example.com")
    file.write_text(other)
    configure(zoo)
    now = file.read_text()
    assert "# keep me" in now
    assert yaml.safe_load(now) == document
    assert file.with_name(f"{file.name}{BACKUP}.1").read_text() == other
    zoo.run("destroy")
    assert "# keep me" in file.read_text()
    assert names(file) == ["existing"]
    assert file.with_name(f"{file.name}{BACKUP}.2").read_text() == now


def test_a_kubeconfig_that_points_to_another_cluster_is_refused(zoo: Lab) -> None:
    path = zoo.folder / "user.kubeconfig"
    certificate = self_signed("other", [], days=90, now=datetime.now(UTC)).certificate
    authority = base64.b64encode(certificate.encode()).decode()
    with KubeApiServer() as other:
        document = other.kubeconfig(token=f"{PREFIX}any")
        document["clusters"][0]["cluster"]["certificate-authority-data"] = authority
        path.write_text(yaml.safe_dump(document))
        zoo.save(kubeconfig_path=str(path))
        for verb in ("configure", "plan", "destroy"):
            problems = zoo.run(verb, code=2)["problems"]
            assert all("another cluster" in problem["what"] for problem in problems)
            assert "kube_context" in problems[-1]["hint"]
        assert other.requests == []
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []


def test_a_tunnel_to_the_cluster_is_not_another_cluster(zoo: Lab) -> None:
    path = zoo.folder / "user.kubeconfig"
    document = zoo.api.kubeconfig(token=f"{PREFIX}any")
    server = document["clusters"][0]["cluster"]["server"]
    document["clusters"][0]["cluster"]["server"] = server.replace("127.0.0.1", "localhost")
    assert document["clusters"][0]["cluster"]["server"] != server
    path.write_text(yaml.safe_dump(document))
    zoo.save(kubeconfig_path=str(path))
    zoo.run("configure", "--only", "gp3 storage class")
    assert zoo.api.state.get("storageclasses", "gp3") is not None

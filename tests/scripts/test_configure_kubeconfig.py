"""The user's own kubeconfig in whole runs: which file, what stays, what is refused."""

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

THEIRS = """\
# written by hand
apiVersion: v1
kind: Config
clusters: [{name: theirs, cluster: {server: "https://theirs"}}]
users: [{name: theirs, user: {token: t}}]
contexts: [{name: theirs, context: {cluster: theirs, user: theirs}}]
current-context: theirs
"""


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def configure(zoo: Lab, *words: str, code: int = 0) -> Any:
    """Run only what leads to the entry in the kubeconfig."""
    return zoo.run("configure", "--only", "kubeconfig", *words, code=code)


def names(path: Path) -> list[str]:
    """Return the contexts of a kubeconfig, ours by its cluster's name alone."""
    document = yaml.safe_load(path.read_text())
    return [one["name"].rpartition("/")[2] for one in document["contexts"]]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two files of KUBECONFIG, of which only the second exists."""
    both = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, both)))
    both[1].write_text(THEIRS)
    return both


def test_of_a_list_the_file_that_exists_is_written_and_kept_beside_it(
    zoo: Lab, listed: tuple[Path, Path]
) -> None:
    absent, theirs = listed
    configure(zoo)
    assert not absent.exists()
    assert names(theirs) == ["theirs", "zoo"]
    assert yaml.safe_load(theirs.read_text())["current-context"] == "theirs"
    kept = theirs.with_name(theirs.name + BACKUP)
    assert kept.read_text() == THEIRS
    assert private(theirs)
    assert private(kept)
    assert {step["action"] for step in configure(zoo)["steps"]} == {"exists"}
    configure(zoo, "--set-context")
    assert yaml.safe_load(theirs.read_text())["current-context"].endswith(":cluster/zoo")
    assert kept.read_text() == THEIRS


def test_destroy_takes_the_entry_out_and_leaves_the_rest(
    zoo: Lab, listed: tuple[Path, Path]
) -> None:
    _, theirs = listed
    configure(zoo, "--set-context")
    zoo.run("destroy")
    left = yaml.safe_load(theirs.read_text())
    assert left == yaml.safe_load(THEIRS) | {"current-context": ""}
    assert theirs.with_name(theirs.name + BACKUP).read_text() == THEIRS


@pytest.mark.parametrize("text", ["{unclosed", "clusters: text\n", "- a list\n"])
def test_a_broken_file_refuses_the_run_and_is_left_alone(
    zoo: Lab, listed: tuple[Path, Path], text: str
) -> None:
    _, theirs = listed
    theirs.write_text(text)
    problems = zoo.run("configure", code=2)["problems"]
    assert str(theirs) in problems[0]["what"]
    assert "write_kubeconfig" in problems[0]["hint"]
    assert theirs.read_text() == text
    assert [path.name for path in theirs.parent.glob("second*")] == ["second"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert zoo.writes() == 0
    zoo.save(write_kubeconfig=False)
    zoo.run("configure", "--only", "cluster access")
    assert zoo.run("destroy")["leftovers"] == []
    assert theirs.read_text() == text


def test_an_entry_that_somebody_changed_is_put_right(zoo: Lab, listed: tuple[Path, Path]) -> None:
    _, theirs = listed
    configure(zoo)
    document = yaml.safe_load(theirs.read_text())
    right = document["clusters"][-1]["cluster"]["server"]
    document["clusters"][-1]["cluster"]["server"] = "https://gone.example.com"
    theirs.write_text(yaml.safe_dump(document))
    (changed,) = [s for s in configure(zoo)["steps"] if s["action"] != "exists"]
    assert changed["name"] == "kubeconfig"
    assert yaml.safe_load(theirs.read_text())["clusters"][-1]["cluster"]["server"] == right


def test_a_kubeconfig_that_leads_to_another_cluster_is_refused(zoo: Lab) -> None:
    mine = zoo.folder / "mine.kubeconfig"
    theirs = self_signed("theirs", [], days=90, now=datetime.now(UTC)).certificate
    authority = base64.b64encode(theirs.encode()).decode()
    with KubeApiServer() as other:
        document = other.kubeconfig(token=f"{PREFIX}any")
        document["clusters"][0]["cluster"]["certificate-authority-data"] = authority
        mine.write_text(yaml.safe_dump(document))
        zoo.save(kubeconfig_path=str(mine))
        for verb in ("configure", "plan", "destroy"):
            problems = zoo.run(verb, code=2)["problems"]
            assert all("another cluster" in problem["what"] for problem in problems)
            assert "kube_context" in problems[-1]["hint"]
        assert other.requests == []
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []


def test_a_tunnel_to_the_cluster_is_none(zoo: Lab) -> None:
    mine = zoo.folder / "mine.kubeconfig"
    document = zoo.api.kubeconfig(token=f"{PREFIX}any")
    server = document["clusters"][0]["cluster"]["server"]
    document["clusters"][0]["cluster"]["server"] = server.replace("127.0.0.1", "localhost")
    assert document["clusters"][0]["cluster"]["server"] != server
    mine.write_text(yaml.safe_dump(document))
    zoo.save(kubeconfig_path=str(mine))
    zoo.run("configure", "--only", "gp3 storage class")
    assert zoo.api.state.get("storageclasses", "gp3") is not None

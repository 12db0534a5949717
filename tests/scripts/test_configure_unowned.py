"""OpenWhisk of another deployment, in a cluster of the configured name: destroy skips it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.openwhisk.secrets import of_release
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def test_a_deployment_of_another_name_deletes_nothing_of_this_ones_cluster(zoo: Lab) -> None:
    zoo.run("configure")
    before = {item.id for item in zoo.cloud.snapshot()}
    kinds = ("secrets", "deployments", "services", "persistentvolumeclaims")
    objects = {kind: zoo.objects(kind) for kind in kinds}
    zoo.save(deployment_name="other")
    result = zoo.run("destroy")
    assert result["leftovers"] == []
    assert {item.id for item in zoo.cloud.snapshot()} == before
    assert {kind: zoo.objects(kind) for kind in kinds} == objects
    assert "skipping core-nodes core-nodes" in {one["what"] for one in result["warnings"]}


def test_an_owned_namespace_stays_while_it_contains_another_release(zoo: Lab) -> None:
    zoo.run("configure")
    namespace = "openwhisk"
    labels = {"owner": "helm", "name": "theirs"}
    metadata = {"name": "sh.helm.release.v1.theirs.v1", "namespace": namespace, "labels": labels}
    zoo.api.state.put("secrets", {"metadata": metadata, "data": {}})
    assert zoo.run("destroy")["leftovers"] == []
    assert metadata["name"] in zoo.objects("secrets")
    assert namespace in zoo.objects("namespaces", "")
    assert "owdev-lambda-fs" not in zoo.objects("secrets")


@pytest.mark.parametrize("plural", ["services", "deployments"])
def test_an_owned_namespace_stays_while_something_of_others_runs_in_it(
    zoo: Lab, plural: str
) -> None:
    """Kubernetes deletes everything in a namespace with it."""
    zoo.run("configure")
    metadata = {"name": "theirs", "namespace": "openwhisk", "labels": {"app": "theirs"}}
    zoo.api.state.put(plural, {"metadata": metadata, "spec": {}})
    assert zoo.run("destroy")["leftovers"] == []
    assert zoo.objects(plural) == ["theirs"], "ours are deleted"
    assert "openwhisk" in zoo.objects("namespaces", "")


@pytest.mark.parametrize(
    ("name", "label", "owned"),
    [
        ("owdev-couchdb-pvc", "owdev", True),
        ("data-owdev-kafka-0", "", True),
        ("owdev-kafka-pvc", "", True),
        ("data-owdev2-couchdb-0", "", False),
        ("my-owdevelopment", "", False),
        ("data-owdev-of-another-0", "another", False),
    ],
)
def test_claims_of_a_release_with_a_similar_name_are_not_deleted(
    name: str, label: str, owned: bool
) -> None:
    metadata = {"name": name, "labels": {"release": label} if label else None}
    assert of_release({"metadata": metadata}, "owdev") is owned

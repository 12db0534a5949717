"""The third script and the configuration in the jar: compared, set in a copy, recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.openwhisk.invocation import IdleNameNode
from aws_setup.rehearsal.openwhisk.namenode import read_configuration
from aws_setup.rehearsal.openwhisk.namenode_image import PUBLISHED, ContainerImages
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from create_aws_infrastructure import SCRIPT
from tests.namenodes.test_jar_configuration import AUTHORS_SITE, BOTH, jar
from tests.support.openwhisk import MAIN, openwhisk
from tests.support.scripts import prepare, run
from whisk_helper import main

CLASS = MAIN.replace(".", "/") + ".class"
VMS_ONLY = {"create_eks_cluster": False, "create_autoscaling_groups": False}
LOGIN = {"ndb_user": "user", "ndb_password": "top-secret", "ndb_database": "vanilla_hopsfs"}


@dataclass
class Deployment:
    """A folder with a configuration, the VMs in the emulated AWS, and an OpenWhisk."""

    folder: Path
    whisk: OpenWhiskServer

    def helper(
        self, *arguments: str, code: int = 0, last: tuple[str, ...] = ("--memory", "20000")
    ) -> Result:
        """Run the third script with the jar; `last` are the options after the others."""
        file = str(self.folder / "config_aws.yaml")
        options = ["-y", file, "-j", str(self.jar), "-c", "4"]
        result = CliRunner().invoke(main, [*arguments, *options, *last])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    @property
    def jar(self) -> Path:
        """The jar of -j."""
        return self.folder / "nn.jar"

    def write_jar(self, **files: bytes) -> None:
        """Write the jar with the main class and these files."""
        self.jar.write_bytes(jar(**{CLASS: b"\xca\xfe"}, **files))

    def note(self, name: str) -> Any:
        """Return this project's annotation of an action."""
        notes = self.whisk.store.actions[name]["annotations"]
        return next(item["value"] for item in notes if item["key"] == "lambda-fs")


@pytest.fixture
def deployment(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    folder = prepare(tmp_path / "work", **VMS_ONLY, **LOGIN)
    assert run(SCRIPT, folder, "create", "--yes").exit_code == 0
    with openwhisk() as whisk:
        monkeypatch.setenv("WHISK_APIHOST", whisk.url)
        monkeypatch.setenv("WHISK_AUTH", AUTH)
        monkeypatch.chdir(folder)
        yield Deployment(folder, whisk)


def test_what_does_not_fit_is_named_and_uploaded_as_it_is(deployment: Deployment) -> None:
    deployment.write_jar(**BOTH)
    result = deployment.helper("-n", "3", "--create")
    endpoint = f"{deployment.whisk.url}/api/v1/web/guest/default/namenode"
    for text in (
        f"namenode, not {endpoint}",
        "serverless.deployments.max is 8, not 3",
        "serverless.zookeepers.hosts is 10.1.1.1:2181, not "
        "10.0.8.233:2181,10.0.4.113:2181,10.0.14.89:2181",
        "serverless.deployments.baseline is 20, not 3",
        "(ndb-config.properties in the jar: not read)",
        "--configure-jar",
    ):
        assert text in result.stderr
    assert "secret" not in result.output
    assert deployment.note("namenode0")["jar_sha256"] == sha256(deployment.jar)
    assert "original_sha256" not in deployment.note("namenode0")


def test_a_configured_copy_is_recorded_and_unchanged_is_not_sent_again(
    deployment: Deployment,
) -> None:
    deployment.write_jar(**BOTH)
    options = ["-n", "3", "--configure-jar"]
    document = json.loads(deployment.helper(*options, "--create", "--json").stdout)
    shown = document["jar_configuration"]
    assert shown["configured"]
    assert {entry["property"] for entry in shown["differences"]} >= {"serverless.endpoint"}
    assert "secret" not in json.dumps(document)
    note = deployment.note("namenode2")
    assert note["original_sha256"] == shown["original_sha256"] == sha256(deployment.jar)
    assert note["jar_sha256"] == shown["sha256"] == deployment.whisk.store.code["namenode2"]
    assert note["jar_sha256"] != note["original_sha256"]
    assert "Nothing to do" in deployment.helper(*options, "--update").stdout
    assert deployment.whisk.requests["PUT"] == 3
    deployment.helper(*options, "--verify")
    limits = ["-n", "3", "--limits-only"]
    deployment.helper(*limits, "--force")
    assert deployment.note("namenode1")["original_sha256"] == note["original_sha256"]
    deployment.helper("-n", "3", "--verify", code=1)


def test_more_deployments_are_another_configuration(deployment: Deployment) -> None:
    deployment.write_jar(**BOTH)
    deployment.helper("-n", "2", "--create", "--configure-jar")
    planned = deployment.helper("-n", "4", "--sync", "--configure-jar", "--plan").stdout
    assert "2 create, 2 update" in planned


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"hdfs-site.xml": b"<configuration>"}, "hdfs-site.xml cannot be edited"),
        ({"hdfs-site.xml": AUTHORS_SITE.decode().encode("utf-16")}, "UTF-16"),
        ({"META-INF/A.SF": b""}, "is signed"),
        ({"hdfs-site.xml": AUTHORS_SITE, "META-INF/A.RSA": b""}, "is signed"),
    ],
)
def test_a_jar_that_cannot_be_configured_is_refused_and_nothing_changed(
    deployment: Deployment, files: dict[str, bytes], why: str
) -> None:
    deployment.write_jar(**files)
    before = deployment.jar.read_bytes()
    result = deployment.helper("-n", "2", "--create", "--configure-jar", code=2)
    assert why in result.stderr
    assert "nn.jar" in result.stderr
    assert deployment.whisk.requests["PUT"] == 0
    assert deployment.jar.read_bytes() == before


def test_without_the_option_a_jar_that_cannot_be_read_is_a_warning(deployment: Deployment) -> None:
    deployment.write_jar(**{"hdfs-site.xml": b"<configuration>"})
    result = deployment.helper("-n", "1", "--create")
    assert "was not compared with this deployment" in result.stderr
    assert deployment.whisk.requests["PUT"] == 1


def test_another_memory_than_that_of_the_containers_kept_warm_is_a_warning(
    deployment: Deployment,
) -> None:
    deployment.write_jar()
    assert "keeps containers" not in deployment.helper("-n", "1", "--create").stderr
    said = deployment.helper("-n", "1", "--update", "--memory", "30000", last=()).stderr
    assert "--memory 30000 is not openwhisk_action_memory, 20000" in said
    assert "set openwhisk_action_memory: 30000 and run python configure_eks_cluster.py" in said


def test_a_memory_below_the_heap_of_the_image_is_a_warning_with_the_fix(
    deployment: Deployment,
) -> None:
    deployment.write_jar()
    for words in (("--create",), ("--update",), ("--update", "--limits-only")):
        said = deployment.helper("-n", "1", *words, "--memory", "4000", last=()).stderr
        assert "the NameNodes' JVM needs 7500 MB, and --memory gives each 4000" in said
        assert "set --memory to at least 7500, or namenode_image" in " ".join(said.split())
    enough = deployment.helper("-n", "1", "--update", "--memory", "7500", last=()).stderr
    assert "JVM" not in enough


def test_more_namenodes_than_ndb_has_node_ids_for_are_a_warning(deployment: Deployment) -> None:
    deployment.write_jar()
    assert "node ids" not in deployment.helper("-n", "249", "--create", "--plan").stderr
    said = " ".join(deployment.helper("-n", "250", "--create", "--plan").stderr.split())
    assert "-n 250: MySQL NDB has node ids for 249 only" in said
    assert "choose a smaller -n" in said


def test_what_the_image_must_have_is_said_when_the_jar_is_sent(deployment: Deployment) -> None:
    deployment.write_jar()
    said = " ".join(deployment.helper("-n", "2", "--create").stderr.split())
    assert said.count("which must have serverless.endpoint=http://") == 1
    assert "serverless.deployments.max=2" in said
    assert "--configure-jar uploads a copy with such a file" in said
    assert "ndb-config.properties is always that of the NameNodes' image: it must have" in said
    assert "must have" not in deployment.helper("-n", "2", "--update").stderr


def test_a_jar_without_configuration_gets_the_one_of_this_deployment(
    deployment: Deployment,
) -> None:
    deployment.whisk.namenodes = lambda _: IdleNameNode()
    deployment.write_jar()
    options = ["-n", "2", "--configure-jar"]
    said = " ".join(deployment.helper(*options, "--create").stderr.split())
    assert "differs from it in hdfs-site.xml: serverless.endpoint, " in said
    assert "which must have serverless.endpoint" not in said
    image = ContainerImages().files[PUBLISHED]
    site, ndb = read_configuration(deployment.whisk.store.files_of("namenode1"), image)
    assert site["serverless.endpoint"].startswith(deployment.whisk.url)
    assert site["serverless.deployments.max"] == "2"
    assert ndb["io.hops.metadata.ndb.mysqlserver.host"] == "10.0.6.227"
    assert "Nothing to do" in deployment.helper(*options, "--update").stdout


def sha256(path: Path) -> str:
    """Return a file's hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

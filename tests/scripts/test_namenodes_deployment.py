"""The third script after the second: OpenWhisk by the credentials file, or in the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from aws_setup.config import load_config
from aws_setup.config.paths import namenodes_path
from aws_setup.kube.objects import decode_secret
from aws_setup.namenodes.selection import Selection
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.cluster import Lab, lab
from tests.support.openwhisk import make_jar
from whisk_helper import main


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as started:
        yield started


def helper(zoo: Lab, *arguments: str) -> Any:
    """Run the third script with the zoo's configuration; return its JSON document."""
    where = ["-y", str(zoo.folder / "config_aws.yaml"), "--json"]
    done = CliRunner().invoke(main, [*arguments, *where])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def behind_the_service(zoo: Lab) -> None:
    """Give the public Service the one port on which the stand-in listens, in plain http."""
    service = zoo.api.state.require("services", "owdev-public", "openwhisk")
    service["spec"]["ports"] = [{"name": "http", "port": urlsplit(zoo.whisk.url).port}]
    service["metadata"]["annotations"] = {}
    zoo.api.state.put("services", service)


def test_host_and_key_come_from_the_file_and_without_it_from_the_cluster(
    zoo: Lab, tmp_path: Path
) -> None:
    zoo.run("configure")
    keys = zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")
    zoo.whisk.auth = decode_secret(keys)["guest"]
    jar = str(make_jar(tmp_path / "nn.jar"))
    options = ["-n", "3", "--memory", "20000", "-c", "4", "-j", jar]
    printed = helper(zoo, *options, "--create")
    file = zoo.folder / "infrastructure_json" / "lambda-fs.wskprops"
    assert printed["apihost_from"] == str(file)
    assert len(zoo.whisk.store.actions) == 3
    file.unlink()
    behind_the_service(zoo)
    printed = helper(zoo, *options, "--verify")
    assert printed["apihost_from"] == "the EKS cluster zoo"
    assert printed["problems"] == []


def test_the_number_prefix_and_namespace_are_stored_for_the_clients(
    zoo: Lab, tmp_path: Path
) -> None:
    zoo.run("configure")
    keys = zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")
    zoo.whisk.auth = decode_secret(keys)["guest"]
    jar = str(make_jar(tmp_path / "nn.jar"))
    record = namenodes_path(load_config(zoo.folder / "config_aws.yaml"))
    printed = helper(zoo, "-n", "3", "-j", jar, "--create", "--plan")
    assert not record.exists()
    printed = helper(zoo, "-n", "3", "-j", jar, "--create")
    assert printed["warnings"] == []
    stored = json.loads(record.read_text())
    assert stored["deployments"] == 3
    assert (stored["prefix"], stored["namespace"]) == ("namenode", "guest")
    zoo.whisk.system_auth = "a:b"
    helper(zoo, "-n", "2", "-p", "mine", "-j", jar, "--sync", "--auth", "a:b")
    stored = json.loads(record.read_text())
    assert stored["deployments"] == 2
    assert (stored["prefix"], stored["namespace"]) == ("mine", "whisk.system")
    zoo.run("destroy")
    assert not record.exists()


@pytest.mark.parametrize(
    ("names", "number"),
    [([], 0), (["n1"], 0), (["n0"], 1), (["n0", "n1", "n3", "m2"], 2)],
)
def test_the_number_of_deployments_has_no_gap(names: list[str], number: int) -> None:
    assert Selection("n").deployments(names) == number

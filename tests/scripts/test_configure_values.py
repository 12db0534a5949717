"""What the release is made from, in whole runs: chart, image tag, memory, the user's values."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.openwhisk.test_chart import Repository
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with lab(cloud, tmp_path / "laptop", monkeypatch, whole=True) as made:
        yield made


def container(zoo: Lab) -> Any:
    """Return the invoker's container."""
    held = zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")
    return held["spec"]["template"]["spec"]["containers"][0]


def environment(zoo: Lab) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container(zoo)["env"]}


def test_memory_and_tag_reach_the_invoker_and_the_users_values_go_last(zoo: Lab) -> None:
    zoo.save(openwhisk_invoker_image_tag="mine", openwhisk_action_memory=25_000)
    zoo.run("configure")
    assert container(zoo)["image"].endswith(":mine")
    memory = "CONFIG_whisk_containerPool_userMemory"
    assert environment(zoo)[memory] == "25221m"
    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert config["whisk_action_memory_max"] == "45000m"

    own = zoo.folder / "own.yaml"
    theirs = {"whisk": {"containerPool": {"userMemory": "90000m"}}, "invoker": {"imageTag": "last"}}
    own.write_text(yaml.safe_dump(theirs))
    zoo.save(openwhisk_values=str(own), openwhisk_action_memory=60_000)
    told = steps_of(zoo.run("configure"))
    assert told["openwhisk release"]["action"] == "update"
    assert environment(zoo)[memory] == "90000m"
    assert container(zoo)["image"].endswith(":last")
    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert config["whisk_action_memory_max"] == "60000m"
    assert config["whisk_api_host_name"] != "somebody-else.example.com"


def test_a_name_node_that_fits_on_no_node_is_refused(zoo: Lab) -> None:
    zoo.save(openwhisk_action_memory=26_000)
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert "26000 MB does not fit" in problem["what"]
    assert "r5.xlarge has an estimated 25221 MB" in problem["why"]
    assert "openwhisk_invoker_instance_type" in problem["hint"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    zoo.save(openwhisk_action_memory=20_000)
    warned = zoo.run("plan")["warnings"]
    assert any("keeps warm" in one["what"] for one in warned)
    zoo.save(openwhisk_invoker_instance_type="r5.4xlarge")
    assert not any("keeps warm" in one["what"] for one in zoo.run("plan")["warnings"])


def test_a_chart_from_git_stays_at_its_commit_until_its_update_is_asked_for(
    zoo: Lab, tmp_path: Path
) -> None:
    made = Repository(tmp_path / "charts")
    made.path.mkdir()
    made.git("init", "--quiet", "--initial-branch", "aws")
    shutil.copytree(zoo.folder / "chart", made.path / "helm" / "openwhisk")
    first = commit(made, image="rehearsal/part:1")
    zoo.save(openwhisk_chart=made.url)
    zoo.run("configure")
    assert image(zoo).endswith("part:1")

    second = commit(made, image="rehearsal/part:2")
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    zoo.save(openwhisk_invoker_image_tag="other")
    zoo.run("configure")
    assert f"aws is now at {second[:10]}" in zoo.said
    assert f"the release stays at {first[:10]}" in zoo.said
    assert "--update-chart" in zoo.said
    assert image(zoo).endswith("part:1")

    (drift,) = steps_of(zoo.run("plan", "--update-chart"))["openwhisk release"]["drift"]
    assert drift["what"] == "chart"
    zoo.run("configure", "--update-chart")
    assert image(zoo).endswith("part:2")
    made.path.rename(tmp_path / "offline")
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def commit(made: Repository, *, image: str) -> str:
    """Commit a chart with another image for its parts."""
    values = made.path / "helm" / "openwhisk" / "values.yaml"
    lines = values.read_text().splitlines()
    lines = [f"image: {image}" if line.startswith("image: ") else line for line in lines]
    values.write_text("\n".join(lines) + "\n")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", image)
    return made.git("rev-parse", "HEAD")


def image(zoo: Lab) -> str:
    held = zoo.api.state.require("deployments", "owdev-redis", "openwhisk")
    return str(held["spec"]["template"]["spec"]["containers"][0]["image"])

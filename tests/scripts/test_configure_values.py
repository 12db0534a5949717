"""What the release is created from, in complete runs: chart, image tag, memory, values."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.openwhisk.container_pool import ContainerPool, Invoker
from tests.openwhisk.test_chart import Repository
from tests.scripts.test_configure import release_of, steps_of
from tests.scripts.test_configure_keeps_actions import run_helm
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def container(zoo: Lab) -> Any:
    """Return the invoker's container."""
    invoker = zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")
    return invoker["spec"]["template"]["spec"]["containers"][0]


def environment(zoo: Lab) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in container(zoo)["env"]}


def test_memory_and_tag_are_set_on_the_invoker_and_the_users_values_override_them(zoo: Lab) -> None:
    zoo.save(openwhisk_invoker_image_tag="mine", openwhisk_action_memory=25_000)
    zoo.run("configure")
    assert container(zoo)["image"].endswith(":mine")
    memory = "CONFIG_whisk_containerPool_userMemory"
    assert environment(zoo)[memory] == "25221m"
    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert config["whisk_action_memory_max"] == "45000m"

    file = zoo.folder / "own.yaml"
    values = {"whisk": {"containerPool": {"userMemory": "90000m"}}, "invoker": {"imageTag": "last"}}
    file.write_text(yaml.safe_dump(values))
    zoo.save(openwhisk_values=str(file), openwhisk_action_memory=60_000)
    result = steps_of(zoo.run("configure"))
    assert result["openwhisk release"]["action"] == "update"
    assert environment(zoo)[memory] == "90000m"
    assert container(zoo)["image"].endswith(":last")
    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert config["whisk_action_memory_max"] == "60000m"
    assert config["whisk_api_host_name"] != "default.example.com"


def test_another_image_of_the_namenodes_is_in_the_invokers_runtimes(zoo: Lab) -> None:
    zoo.run("configure")
    before = json.loads(environment(zoo)["RUNTIMES_MANIFEST"])
    zoo.save(namenode_image="me/mine:2")
    (drift,) = steps_of(zoo.run("plan"))["openwhisk release"]["drift"]
    assert "whisk.runtimes" in drift["has"]
    zoo.run("configure")
    after = json.loads(environment(zoo)["RUNTIMES_MANIFEST"])
    assert before != after
    for kind in after["runtimes"]["generic-namenode"]:
        assert kind["image"] == {"prefix": "me", "name": "mine", "tag": "2"}
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    zoo.save(namenode_image=None)
    zoo.run("configure")
    assert json.loads(environment(zoo)["RUNTIMES_MANIFEST"]) == before


def test_a_name_node_that_fits_on_no_node_is_refused(zoo: Lab) -> None:
    zoo.save(openwhisk_action_memory=26_000)
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert "26000 MB does not fit" in problem["what"]
    assert "r5.xlarge has an estimated 25221 MB" in problem["why"]
    assert "openwhisk_invoker_instance_type" in problem["hint"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []


@pytest.mark.parametrize(
    ("instance_type", "vcpus", "memory", "fitting"),
    [("r5.4xlarge", 16, 20_000, 5), ("r5.2xlarge", 8, 8_000, 6), ("r5.xlarge", 4, 8_000, 3)],
)
def test_an_invoker_holds_as_many_namenodes_as_the_checks_say(
    zoo: Lab, instance_type: str, vcpus: int, memory: int, fitting: int
) -> None:
    zoo.save(openwhisk_invoker_instance_type=instance_type, openwhisk_action_memory=memory)
    zoo.run("configure")
    pool = ContainerPool(Invoker.of(container(zoo)), 1000 * vcpus)
    for number in range(fitting):
        assert pool.start(f"namenode{number}", "generic-namenode:10", memory) == ""
    assert len(pool.running) == fitting
    assert "LogDriverLogStoreProvider" in environment(zoo)["INVOKER_OPTS"]
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_runtimes_and_options_of_the_user_stay_as_they_are(zoo: Lab) -> None:
    own = zoo.folder / "own.yaml"
    values = {"whisk": {"runtimes": "runtimes.json"}, "invoker": {"options": "-Dmine=1"}}
    own.write_text(yaml.safe_dump(values))
    zoo.save(openwhisk_values=str(own))
    warned = [item["what"] for item in zoo.run("configure")["warnings"]]
    assert any("no room for 1 NameNode of 6250 millicpus on 2 invoker nodes" in it for it in warned)
    assert '"40000 MB"' in environment(zoo)["RUNTIMES_MANIFEST"]
    assert environment(zoo)["INVOKER_OPTS"] == "-Dmine=1"


def test_a_section_of_the_users_values_without_keys_is_refused_by_its_name(zoo: Lab) -> None:
    own = zoo.folder / "own.yaml"
    own.write_text("whisk:\n#  containerPool: {userMemory: 90000m}\n")
    zoo.save(openwhisk_values=str(own))
    for verb in ("plan", "configure"):
        (problem,) = zoo.run(verb, code=2)["problems"]
        assert str(own) in problem["what"]
        assert "whisk is empty" in problem["why"]
        assert "remove it from the file" in problem["hint"]


@pytest.mark.kind("B1", "B3", "B5", "B8", "B9")
def test_what_the_chart_renders_is_refused_before_it_is_applied(zoo: Lab) -> None:
    zoo.run("configure")
    before = zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")["spec"]
    own = zoo.folder / "own.yaml"
    lacking = {"runtimes": "runtimes-of-mine.json"}
    own.write_text(yaml.safe_dump({"whisk": lacking}))
    zoo.save(openwhisk_values=str(own))
    (problem,) = zoo.run("configure", code=1)["problems"]
    assert "generic-namenode" in problem["what"]
    assert "RUNTIMES_MANIFEST" in problem["why"]
    assert "whisk.runtimes" in problem["hint"]
    assert zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")["spec"] == before

    templates = zoo.folder / "chart" / "templates"
    text = (templates / "claims.yaml").read_text()
    (templates / "claims.yaml").write_text(text.replace('"kafka-pvc" "512Mi"', '"kafka-pvc" "1Mi"'))
    own.write_text(yaml.safe_dump({"image": "me/part"}))
    (problem,) = zoo.run("configure", code=1)["problems"]
    assert "owdev-kafka-pvc" in problem["what"]
    assert "512Mi to 1Mi" in problem["why"]

    # What would lose the database is refused too.
    (templates / "claims.yaml").write_text(text)
    own.write_text(yaml.safe_dump({"k8s": {"persistence": {"enabled": False}}}))
    (problem,) = zoo.run("configure", code=1)["problems"]
    assert "would delete volume claims and their data" in problem["what"]
    assert "owdev-couchdb-pvc" in problem["what"]
    assert "owdev-couchdb-pvc" in zoo.objects("persistentvolumeclaims")

    # Another default class is named and not changed.
    own.write_text(yaml.safe_dump({"invoker": {"containerFactory": {"impl": "docker"}}}))
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    gp2 = {
        "metadata": {"name": "gp2", "annotations": annotations},
        "provisioner": "ebs.csi.aws.com",
    }
    zoo.api.state.put("storageclasses", gp2)
    plan = zoo.run("plan")
    assert any("gp2" in item["what"] for item in plan["warnings"])
    assert any("Docker" in item["what"] for item in plan["warnings"])
    own.unlink()
    zoo.save(openwhisk_values=None)
    assert any("gp2" in item["what"] for item in zoo.run("configure")["warnings"])
    assert zoo.api.state.require("storageclasses", "gp2")["metadata"]["annotations"] == annotations


def test_the_values_of_a_failed_upgrade_by_hand_are_applied_by_configure(zoo: Lab) -> None:
    """Its jobs are those of the revision before, although the newest one has others."""
    zoo.run("configure")
    words = ("upgrade", "owdev", str(zoo.folder / "chart"), "--reuse-values")
    assert "field is immutable" in run_helm(zoo, *words, "--set", "image=rehearsal/part:2")
    assert release_of(zoo)["status"] == "failed"
    own = zoo.folder / "own.yaml"
    own.write_text("image: rehearsal/part:2\n")
    zoo.save(openwhisk_values=str(own))
    zoo.run("configure")
    assert release_of(zoo)["status"] == "deployed"
    job = zoo.api.state.require("jobs", "owdev-install-packages", "openwhisk")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "rehearsal/part:2"
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


@pytest.mark.kind("C10")
def test_a_chart_from_git_stays_at_its_commit_until_update_chart(zoo: Lab, tmp_path: Path) -> None:
    made = Repository(tmp_path / "charts")
    made.path.mkdir()
    made.git("init", "--quiet", "--initial-branch", "aws")
    shutil.copytree(zoo.folder / "chart", made.path / "helm" / "openwhisk")
    first = commit(made, image="rehearsal/part:1")
    zoo.save(openwhisk_chart=made.url)
    (warned,) = [it for it in zoo.run("plan")["warnings"] if "openwhisk_chart_ref" in it["what"]]
    assert first in warned["why"]
    assert warned["hint"].endswith(f"openwhisk_chart_ref: {first}")
    zoo.run("configure")
    assert image(zoo).endswith("part:1")

    second = commit(made, image="rehearsal/part:2")
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    zoo.save(openwhisk_invoker_image_tag="other")
    zoo.run("configure")
    assert f"aws is now at {second[:10]}" in zoo.stderr
    assert f"the release stays at {first[:10]}" in zoo.stderr
    assert "--update-chart" in zoo.stderr
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
    redis = zoo.api.state.require("deployments", "owdev-redis", "openwhisk")
    return str(redis["spec"]["template"]["spec"]["containers"][0]["image"])

"""Each script writes its part of the lock file; it repeats a deployment, and is compared with."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from aws_setup.config.lock_file import read_lock
from aws_setup.kube.objects import decode_secret
from aws_setup.lockfile import write
from aws_setup.rehearsal.aws.ec2.images import Images
from aws_setup.rehearsal.core.image_registry import ImageRegistries, digest_of
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from create_aws_infrastructure import SCRIPT
from tests.support.aws import cloud, settings
from tests.support.cluster import Lab, lab
from tests.support.openwhisk import make_jar
from tests.support.scripts import prepare, run, write_config
from whisk_helper import main

__all__ = ["cloud", "settings"]

CANARIES = {
    "aws_account_id": ACCOUNT,
    "tags": {"Owner": "canary-tag"},
    "ndb_password": "canary-password",
    "user_public_ip": "52.94.76.7",
}


def change(path: Path, target: Path, **changes: Any) -> str:
    """Write a copy of a lock file whose parts have changed values; return its path."""
    document = yaml.safe_load(path.read_text())
    for names, value in changes.items():
        place = document
        *parents, last = names.split("__")
        for name in parents:
            place = place[name]
        place[last] = value
    target.write_text(yaml.safe_dump(document))
    return str(target)


def test_create_records_what_it_has_deployed_and_repeats_it(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work", **CANARIES, num_lambda_fs_zk_vms=1)
    made = run(SCRIPT, folder, "--yes", "--json")
    assert made.exit_code == 0, made.stdout
    path = folder / "receipts" / "lambda-fs.lock.yaml"
    text = path.read_text()
    for private in (ACCOUNT, "canary", "52.94.76", "arn:", str(tmp_path), "researcher"):
        assert private not in text
    part = yaml.safe_load(text)["infrastructure"]
    assert part["amis"]["zookeeper_ami"]["name"] == "lambdafs-zookeeper"
    assert part["machines"]["zookeeper"]["count"] == 1
    assert part["kubernetes"]["version"] == "1.36"
    assert all(re.fullmatch("use1-az[0-9]", zone) for zone in part["zones"])
    assert (
        run(SCRIPT, folder, "status", "--against", str(path), "--json").document["differences"]
        == []
    )
    names = dict.fromkeys(("deployment_name", "eks_cluster_name", "eks_iam_role_name"), "again")
    write_config(folder, **CANARIES, **names, num_lambda_fs_zk_vms=3)
    again = run(SCRIPT, folder, "plan", "--from", str(path), "--json")
    assert again.exit_code == 0, again.stdout
    assert any("overrides" in problem["what"] for problem in again.document["warnings"])
    _refuses_what_cannot_be_had(cloud, folder, path)


def _refuses_what_cannot_be_had(cloud: RehearsalCloud, folder: Path, path: Path) -> None:
    """Everything that can no longer be had is named in one run, before the first write."""
    before = len(cloud.calls.writes())
    gone = yaml.safe_load(path.read_text())["configuration"]["ndb_manager_ami"]
    del cloud.store_of(Images)["us-east-1", gone]
    other = change(
        path,
        folder / "other.lock.yaml",
        configuration__kubernetes_version="1.30",
        configuration__openwhisk_chart=f"file://{folder}/nowhere",
        infrastructure__zones=["use1-az6", "use1-az9"],
        cluster={
            "addons": {"vpc-cni": "v0.0.1-eksbuild.1"},
            "chart": {"commit": "d" * 40},
            "images": [
                f"openwhisk/controller:1@sha256:{'1' * 64}",
                f"scusemua/ow-invoker:latest@{digest_of('scusemua/ow-invoker:latest')}",
                f"redis:4.0@{digest_of('redis:4.0')}",
                f"quay.io/lab/probe@{digest_of('quay.io/lab/probe')}",
                f"registry.k8s.io/pause:3@{digest_of('registry.k8s.io/pause:3')}",
            ],
        },
    )
    registries = cloud.store_of(ImageRegistries)
    registries.gone |= {
        "docker.io/scusemua/ow-invoker:latest",
        f"docker.io/openwhisk/controller@sha256:{'1' * 64}",
    }
    registries.private.add("quay.io/lab/probe")
    registries.down.add("registry.k8s.io")
    refused = run(SCRIPT, folder, "create", "--from", other, "--yes", "--json")
    assert refused.exit_code == 2
    shown = json.dumps(refused.document["problems"])
    for text in (gone, "1.30", "vpc-cni v0.0.1", "use1-az9", "d" * 40):
        assert text in shown
    assert "1 container image can no longer be pulled: scusemua/ow-invoker:latest" in shown
    warned = json.dumps(refused.document["warnings"])
    assert "1 container image of 5 changed since then: openwhisk/controller:1" in warned
    assert "the recorded contents of openwhisk/controller:1 are deleted" in warned
    assert "2 container images of 5 could not be compared" in warned
    for text in (
        "quay.io/lab/probe: quay.io shows it to nobody",
        "registry.k8s.io answered HTTP 503",
    ):
        assert text in warned
    assert "redis:4.0" not in shown + warned, "the same contents are no finding"
    assert len(cloud.calls.writes()) == before


def test_a_file_that_cannot_be_written_is_a_warning(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "write_private", full)
    folder = prepare(tmp_path / "work", create_eks_cluster=False)
    made = run(SCRIPT, folder, "--yes", "--json", "--only", "vpc")
    assert made.exit_code == 0
    assert made.document["result"] == "ok"
    [warning] = [it for it in made.document["warnings"] if "lock file" in it["what"]]
    assert "not affected" in warning["why"]


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as started:
        yield started


def test_configure_and_whisk_helper_add_their_parts(zoo: Lab, tmp_path: Path) -> None:
    path = zoo.folder / "infrastructure_json" / "lambda-fs.lock.yaml"
    zoo.save(eks_addon_versions={"vpc-cni": "v1.21.1-eksbuild.1"})
    zoo.run("configure")
    lock = read_lock(path)
    assert lock.addons["vpc-cni"] == "v1.21.1-eksbuild.1", "not EKS's default"
    assert lock.addons["coredns"] == "v1.12.4-eksbuild.1"
    part = lock.parts["cluster"]
    assert part["helm"].startswith("v3.17")
    assert len(part["chart"]["sha256"]) == 40
    assert part["nodes"]["invoker-nodes"]["instance_type"] == "r5.xlarge"
    assert {image.partition(":")[0] for image in lock.images} >= {
        "rehearsal/part",
        "rehearsal/invoker",
    }
    keys = zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")
    zoo.whisk.auth = decode_secret(keys)["guest"]
    jar = str(make_jar(tmp_path / "nn.jar"))
    options = ["-n", "2", "--memory", "20000", "-c", "4", "-j", jar, "--create"]
    where = ["-y", str(zoo.folder / "config_aws.yaml"), "--json"]
    assert CliRunner().invoke(main, [*options, *where]).exit_code == 0
    third = read_lock(path).parts["namenodes"]
    assert (third["number"], third["memory_mb"], third["concurrency"]) == (2, 20000, 4)
    assert len(third["jar_sha256"]) == 64
    assert third["main_class"].endswith("OpenWhiskHandler")
    assert read_lock(path).parts["cluster"] == part, "a script keeps the others' parts"
    _repeats_the_namenodes(zoo, path, jar)
    other = change(path, tmp_path / "o.lock.yaml", cluster__addons={"vpc-cni": "v1"})
    images = [f"{image.partition('@')[0]}@sha256:0" for image in lock.images]
    moved = change(path, tmp_path / "m.lock.yaml", cluster__images=images)
    warnings = zoo.run("configure", "--from", moved)["warnings"]
    assert ["invoker" in it["why"] for it in warnings if "images differ" in it["what"]] == [True]
    compared = zoo.run("status", "--against", other)
    assert {it["what"] for it in compared["differences"]} >= {"cluster.addons.vpc-cni"}
    text = path.read_text()
    secrets = [keys["data"][name] for name in keys["data"]] + list(decode_secret(keys).values())
    assert not [secret for secret in secrets if secret in text]
    zoo.save(eks_addon_versions={"vpc-cni": "v1.20.5-eksbuild.1"})
    changed = zoo.run("configure")
    steps = {step["name"]: step["action"] for step in changed["steps"]}
    assert steps["vpc-cni add-on"] == "update"
    assert read_lock(path).addons["vpc-cni"] == "v1.20.5-eksbuild.1"
    zoo.save(eks_addon_versions={"vpc-cni": "v9.9.9-eksbuild.1", "vpc-cny": "v1.0.0-eksbuild.1"})
    refused = zoo.run("configure", code=2)
    assert [
        "no longer offers" in it["what"] or "no add-on" in it["what"] for it in refused["problems"]
    ] == [True, True]


def _repeats_the_namenodes(zoo: Lab, path: Path, jar: str) -> None:
    """whisk_helper.py takes number, limits, class and kind from the file, and the same jar only."""
    where = ["-y", str(zoo.folder / "config_aws.yaml"), "--json"]

    def helper(*words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(main, [*words, *where])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    def refusal(*words: str) -> str:
        return str(helper(*words, code=2)["problems"][0])

    lock = ["--from", str(path)]
    writes = len(zoo.whisk.store.actions)
    assert helper("--verify", *lock, "-j", jar)["problems"] == []
    assert writes == len(zoo.whisk.store.actions) == 2
    helper("--delete", "-n", "2", "--yes")
    other = str(make_jar(zoo.folder / "other.jar", seed=2))
    assert "is not the jar of the lock file" in refusal("--create", *lock, "-j", other)
    assert zoo.whisk.store.actions == {}
    again = helper("--create", *lock, "-j", jar)
    assert {step["action"] for step in again["steps"]} == {"create"}
    part = read_lock(path).parts["namenodes"]
    assert (part["number"], part["memory_mb"], part["concurrency"]) == (2, 20000, 4)
    fewer = helper("--sync", "--plan", *lock, "-n", "1", "--memory", "10000", "-j", jar)
    assert [step["action"] for step in fewer["steps"]] == ["update"], "options override the file"
    none = change(path, zoo.folder / "none.lock.yaml", namenodes={})
    assert "has no NameNodes" in refusal("--create", "--from", none, "-j", jar)
    several = change(path, zoo.folder / "some.lock.yaml", namenodes__memory_mb=[1000, 2000])
    assert "has several values" in refusal("--create", "--from", several, "-j", jar)
    damaged = change(path, zoo.folder / "bad.lock.yaml", namenodes__number="two")
    assert "is no number" in refusal("--create", "--from", damaged, "-j", jar)
    assert "cannot be combined with --delete" in refusal("--delete", *lock)
    assert "cannot be read" in refusal("--create", "--from", str(zoo.folder / "no.yaml"))

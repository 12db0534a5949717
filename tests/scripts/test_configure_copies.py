"""What a run overwrites of the user's is shown in the plan, and a copy of it is kept first."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.eks.self_managed import describe_settings
from aws_setup.kube.eks_token import PREFIX
from aws_setup.openwhisk import release_records
from aws_setup.openwhisk.edited_objects import differs, edited_objects
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.cluster import Lab, lab, private

COREFILE = ".:53 {\n    forward . 10.9.0.2\n}\n"


@pytest.fixture
def adopted(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    """A cluster of others, with the add-ons that EKS installs and does not manage."""
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True, default_addons=True) as made:
        yield made


def copies(zoo: Lab, what: str) -> list[Any]:
    """Return the copies of what was overwritten, in the order in which they were written."""
    paths = sorted((zoo.folder / "infrastructure_json").glob(f"lambda-fs.{what}.before.yaml*"))
    assert all(private(path) for path in paths)
    return [yaml.safe_load(path.read_text()) for path in paths]


def rows(document: Any) -> dict[str, str]:
    return {step["name"]: step["action"] for step in document["steps"]}


def edit(zoo: Lab, plural: str, name: str, **fields: Any) -> None:
    """Change an object in kube-system as `kubectl edit` does."""
    held = zoo.api.state.require(plural, name, "kube-system")
    zoo.api.state.put(plural, json.loads(json.dumps(held)) | fields)


def env_of(zoo: Lab) -> dict[str, str]:
    held = zoo.api.state.require("daemonsets", "aws-node", "kube-system")
    (container,) = held["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def set_env(zoo: Lab, **values: str) -> None:
    held = zoo.api.state.require("daemonsets", "aws-node", "kube-system")
    spec = json.loads(json.dumps(held["spec"]))
    env = [{"name": key, "value": value} for key, value in values.items()]
    spec["template"]["spec"]["containers"][0]["env"] = env
    edit(zoo, "daemonsets", "aws-node", spec=spec)


def test_settings_of_add_ons_that_eks_does_not_manage_are_shown_and_kept(adopted: Lab) -> None:
    zoo = adopted
    set_env(zoo, WARM_IP_TARGET="7")
    edit(zoo, "configmaps", "coredns", data={"Corefile": COREFILE})
    plan = zoo.run("plan")
    assert {name for name, action in rows(plan).items() if name.endswith("add-on")} == {
        "vpc-cni add-on",
        "kube-proxy add-on",
        "coredns add-on",
        "aws-ebs-csi-driver add-on",
    }
    assert {rows(plan)[f"{name} add-on"] for name in ("vpc-cni", "coredns")} == {"update"}
    assert rows(plan)["aws-ebs-csi-driver add-on"] == "create"
    shown = str(plan)
    assert "DaemonSet aws-node" in shown
    assert "WARM_IP_TARGET=7" in shown
    assert "forward . 10.9.0.2" in shown
    assert not copies(zoo, "vpc-cni-add-on")
    zoo.run("configure", "--only", "vpc-cni add-on", "--only", "gp3 storage class")
    assert "WARM_IP_TARGET" not in env_of(zoo)
    ((items, *others),) = [copy["items"] for copy in copies(zoo, "vpc-cni-add-on")]
    assert [item["kind"] for item in (items, *others)] == ["DaemonSet", "ConfigMap"]
    env = items["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [{"name": "WARM_IP_TARGET", "value": "7"}]
    assert rows(zoo.run("plan"))["vpc-cni add-on"] == "exists"
    # Deleted in EKS with its software kept, changed by hand, taken over again: a second copy.
    client("eks").delete_addon(clusterName="zoo", addonName="vpc-cni", preserve=True)
    set_env(zoo, WARM_IP_TARGET="9")
    zoo.run("configure", "--only", "vpc-cni add-on")
    assert "WARM_IP_TARGET" not in env_of(zoo)
    assert len(copies(zoo, "vpc-cni-add-on")) == 2


def test_nothing_is_overwritten_when_no_copy_can_be_kept(
    adopted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = adopted
    set_env(zoo, WARM_IP_TARGET="7")

    def full(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aws_setup.aws.context.keep_copy", full)
    (problem,) = zoo.run("configure", "--only", "vpc-cni add-on", code=1)["problems"]
    assert "nothing was overwritten" in problem["what"]
    assert "No space left" in problem["why"]
    assert env_of(zoo) == {"WARM_IP_TARGET": "7"}
    assert client("eks").list_addons(clusterName="zoo")["addons"] == []


def test_a_failed_add_on_is_created_again_with_its_users_values(adopted: Lab) -> None:
    zoo = adopted
    values = '{"env": {"WARM_ENI_TARGET": "3"}}'
    denied = {"code": "AdmissionRequestDenied", "message": "webhook said no", "times": 1}
    zoo.cloud.faults.add({"fault": "resource-failure", "kind": "addon", **denied})
    client("eks").create_addon(clusterName="zoo", addonName="vpc-cni", configurationValues=values)
    zoo.run("configure", "--only", "vpc-cni add-on")
    found = client("eks").describe_addon(clusterName="zoo", addonName="vpc-cni")["addon"]
    assert (found["status"], found["configurationValues"]) == ("ACTIVE", values)
    (copy,) = copies(zoo, "vpc-cni-add-on")
    assert copy["status"]["configurationValues"] == values


@pytest.mark.parametrize("helm", ["3.17", "4.3"])
def test_values_and_objects_of_the_release_that_were_changed_by_hand_are_kept(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helm: str
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch, helm=helm) as zoo:
        zoo.run("configure")
        assert not copies(zoo, "openwhisk-*")
        maps, name, limit = "configmaps", "owdev-whisk.config", "whisk_action_memory_max"
        held = zoo.api.state.require(maps, name, "openwhisk")
        edited = {"data": held["data"] | {limit: "77m"}}
        zoo.api.state.put(maps, json.loads(json.dumps(held)) | edited)
        scaled_to_nothing(zoo, "owdev-invoker")
        zoo.run("configure")
        (objects,) = copies(zoo, "openwhisk-objects")
        assert {item["metadata"]["name"] for item in objects["items"]} == {name, "owdev-invoker"}
        assert objects["items"][0]["data"][limit] == "77m"
        assert zoo.api.state.require(maps, name, "openwhisk")["data"][limit] != "77m"
        invoker = zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")
        assert invoker["spec"]["replicas"] == len(zoo.api.state.all("nodes")) - 1
        assert THEIRS in invoker["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
        assert not copies(zoo, "openwhisk-release")
        zoo.save(openwhisk_invoker_image_tag="other")
        zoo.run("configure")
        assert len(copies(zoo, "openwhisk-objects")) == 1


THEIRS = {"name": "MINE", "value": "1"}
"""A variable that others have added to a container: it is no difference that an upgrade ends."""


def scaled_to_nothing(zoo: Lab, name: str) -> None:
    """Scale a StatefulSet of the chart to no pod, and add a variable to its pods."""
    held = json.loads(json.dumps(zoo.api.state.require("statefulsets", name, "openwhisk")))
    held["spec"]["replicas"] = 0
    held["spec"]["template"]["spec"]["containers"][0].setdefault("env", []).append(THEIRS)
    zoo.api.state.put("statefulsets", held)


HAND = "set by hand"


def set_by_hand(zoo: Lab) -> dict[str, Any]:
    """Change what configure owns, as others would; return step -> what its copy has to contain."""
    iam, state = client("iam"), zoo.api.state
    (role,) = [r["RoleName"] for r in iam.list_roles()["Roles"] if "ebs-csi" in r["RoleName"]]
    statement = {
        "Sid": "Mine",
        "Effect": "Deny",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    gp3 = json.loads(json.dumps(state.require("storageclasses", "gp3")))
    gp3["metadata"]["annotations"] = {
        "storageclass.kubernetes.io/is-default-class": "false",
        "a": HAND,
    }
    state.put("storageclasses", gp3)
    for plural, name, parts in (
        ("secrets", "owdev-nginx", {"data": {"tls.crt": "eA==", "tls.key": "eA=="}}),
        ("services", "owdev-public", {"spec": {"ports": [{"name": "mine", "port": 8443}]}}),
    ):
        held = json.loads(json.dumps(state.require(plural, name, "openwhisk")))
        state.put(plural, held | {key: held[key] | part for key, part in parts.items()})
    path = zoo.folder / "user.kubeconfig"
    document = yaml.safe_load(path.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://mine.example.com"
    path.write_text(yaml.safe_dump(document))
    words = ("upgrade", "owdev", str(zoo.folder / "chart"), "-n", "openwhisk", "--reuse-values")
    run_helm(zoo, *words, "--set", "controller.replicaCount=2", "--set", f"mine={HAND}")
    return {
        "ebs-csi-role": ("trust policy", trust["Statement"]),
        "gp3-storage-class": ("default class", HAND),
        "nginx-secret": ("certificate", "eA=="),
        "openwhisk-public-address": ("ports", 8443),
        "kubeconfig": ("entry", "https://mine.example.com"),
        "openwhisk-release": ("values", HAND),
    }


def run_helm(zoo: Lab, *words: str) -> None:
    """Run helm as its user does, with a kubeconfig of this emulated cluster."""
    config = zoo.folder / "hand.kubeconfig"
    config.write_text(json.dumps(zoo.api.kubeconfig(token=f"{PREFIX}any")))
    config.chmod(0o600)
    program = zoo.folder / "bin" / "helm"
    subprocess.run([program, *words, "--kubeconfig", config], check=True, capture_output=True)


@pytest.mark.parametrize("helm", ["4.3"])
def test_everything_that_was_set_by_hand_and_is_overwritten_is_copied_first(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helm: str
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch, helm=helm) as zoo:
        zoo.save(kubeconfig_file=str(zoo.folder / "user.kubeconfig"))
        zoo.run("configure")
        folder = zoo.folder / "infrastructure_json"
        assert not list(folder.glob("*.before.yaml*"))
        wanted = set_by_hand(zoo)
        zoo.run("configure")
        for step, (what, value) in wanted.items():
            (copy,) = copies(zoo, step)
            assert str(value) in str(copy[what]), (step, copy)
        (role,) = copies(zoo, "ebs-csi-role")
        assert role["trust policy"]["Statement"] == wanted["ebs-csi-role"][1]
        kept = sorted(folder.glob("*.before.yaml*"))
        assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
        assert sorted(folder.glob("*.before.yaml*")) == kept
        # A revision that somebody's own helm did not finish is overwritten, too.
        fail_upgrade(zoo, mine=HAND)
        zoo.run("configure")
        assert any(HAND in str(copy.get("status")) for copy in copies(zoo, "openwhisk-release"))
        assert not [path for path in folder.glob("*.before.yaml*") if holds_key(zoo, path)]


def test_what_a_failed_run_of_ours_leaves_is_not_kept(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Helm describes a revision that did not end itself, whoever has started it."""
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        zoo.run("configure")
        fail_upgrade(zoo)
        zoo.run("configure")
        assert not copies(zoo, "openwhisk-release")


def test_a_copy_of_an_edited_secret_has_no_key_of_openwhisk(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        zoo.run("configure")
        held = json.loads(json.dumps(zoo.api.state.require("secrets", AUTH, "openwhisk")))
        held["data"]["guest"] = base64.b64encode(b"mine").decode()
        zoo.api.state.put("secrets", held)
        zoo.save(openwhisk_invoker_image_tag="other")
        zoo.run("configure")
        (objects,) = copies(zoo, "openwhisk-objects")
        assert objects["items"][0]["data"] == {
            "guest": held["data"]["guest"],
            "system": "(in the Secret owdev-lambda-fs)",
        }
        (path,) = zoo.folder.glob("**/*.openwhisk-objects.before.yaml")
        assert not holds_key(zoo, path)


AUTH = "owdev-whisk.auth"


def holds_key(zoo: Lab, path: Path) -> bool:
    """Whether a file contains one of OpenWhisk's keys, as it is or as a Secret holds it."""
    data = zoo.api.state.require("secrets", "owdev-lambda-fs", "openwhisk")["data"]
    coded = [data[name] for name in ("system", "guest", "database")]
    text = path.read_text()
    return any(key in text or base64.b64decode(key).decode() in text for key in coded)


def fail_upgrade(zoo: Lab, **values: str) -> None:
    """Let an upgrade fail: helm keeps its values in the record of a failed revision."""
    secrets = zoo.api.state.all("secrets", "openwhisk")
    held = [item for item in secrets if item.get("type") == "helm.sh/release.v1"]
    newest = max(held, key=lambda item: int(item["metadata"]["labels"]["version"]))
    edited = json.loads(json.dumps(newest))
    document = release_records.unpack(edited)
    document["info"] |= {"status": "failed", "description": "Upgrade failed: time out"}
    document["config"] |= values
    packed = release_records.pack(document)
    edited["data"]["release"] = packed
    edited["metadata"]["labels"]["status"] = "failed"
    zoo.api.state.put("secrets", edited)


def edited_names(applied: dict[str, Any], live: dict[str, Any]) -> list[str]:
    common = {"kind": "Secret", "metadata": {"name": "a"}}
    held = {("Secret", "a"): {"kind": "Secret"} | live}
    return [item["kind"] for item in edited_objects([[common | applied]], held)]


def test_what_a_failed_upgrade_has_changed_is_no_edit() -> None:
    plain = {"kind": "Secret", "metadata": {"name": "a"}}
    failed, deployed = ([plain | {"data": {"a": value}}] for value in ("Mg==", "MQ=="))
    live = {("Secret", "a"): plain | {"data": {"a": "Mg=="}}}
    assert edited_objects([failed, deployed], live) == []
    live = {("Secret", "a"): plain | {"data": {"a": "Mw=="}}}
    assert edited_objects([failed, deployed], live) == list(live.values())
    assert edited_objects([failed, []], live) == list(live.values())


def test_edits_of_secrets_roles_and_annotations_are_edits() -> None:
    data = {"data": {"a": "MQ=="}}
    assert edited_names({"stringData": {"a": "1"}}, data) == []
    assert edited_names({"stringData": {"a": "2"}}, data) == ["Secret"]
    assert edited_names({"data": {"a": "Mg=="}}, data) == ["Secret"]
    assert edited_names({"rules": [{"verbs": ["get"]}]}, {"rules": [{"verbs": ["*"]}]}) == [
        "Secret"
    ]
    noted = {"metadata": {"name": "a", "annotations": {"b": "c"}}}
    added = {"metadata": {"name": "a", "uid": "1", "annotations": {"b": "c", "d": "e"}}}
    assert edited_names(noted, added) == []
    added["metadata"]["annotations"] = {"b": "d"}
    assert edited_names(noted, added) == ["Secret"]


def test_edits_are_told_from_what_kubernetes_adds() -> None:
    applied = {"spec": {"ports": [{"port": 80}], "type": "", "selector": {"a": "b"}}}
    added = {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"a": "b"}, "ip": "10.0.0.1"}
    assert not differs(applied["spec"], added)
    assert differs(applied["spec"], added | {"ports": [{"port": 81}]})
    assert not differs(applied["spec"], added | {"ports": [{"port": 80}, {"port": 443}]})
    assert differs(applied["spec"], added | {"selector": {}})
    assert not differs({"cpu": "1000m", "memory": "1024Mi"}, {"cpu": "1", "memory": "1Gi"})
    assert differs({"cpu": "1000m"}, {"cpu": "2"})


USERS = [{"kind": "User", "name": name} for name in ("ada", "bob")]


def test_what_others_add_to_a_list_is_no_difference_that_an_upgrade_could_end() -> None:
    env, more = [{"name": "A", "value": "1"}], [{"name": "B", "value": "2"}]
    assert not differs(env, more + env)
    assert differs(env, more)
    assert differs(env, [{"name": "A", "value": "2"}, *more])
    for applied, others in (
        (["a"], ["a", "b"]),
        ([{"verbs": ["get"]}], [{"verbs": ["get"]}, {}]),
        (USERS[:1], USERS),
    ):
        assert differs(applied, others)


def test_settings_of_an_add_on_are_the_users_unless_eks_has_set_them() -> None:
    # https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-field-management.html
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    containers = [{"name": "aws-node", "image": "cni:1", "env": env}]
    item = {
        "kind": "DaemonSet",
        "metadata": {"name": "aws-node"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }
    assert "A=1, B=2, image cni:1" in describe_settings([item])

    def managed(manager: str, **fields: Any) -> dict[str, Any]:
        own = {'k:{"name":"aws-node"}': fields}
        pod = {"f:spec": {"f:template": {"f:spec": {"f:containers": own}}}}
        return {"manager": manager, "fieldsV1": pod}

    of_eks = managed("eks", **{"f:image": {}, "f:env": {'k:{"name":"A"}': {}}})
    of_user = managed("kubectl-set", **{"f:env": {'k:{"name":"B"}': {}}})
    item["metadata"] = {"name": "aws-node", "managedFields": [of_eks, of_user]}
    assert describe_settings([item]) == "DaemonSet aws-node with B=2"
    item["metadata"] = {"name": "aws-node", "managedFields": [of_eks]}
    containers[0]["env"] = env[:1]
    assert describe_settings([item]) == "DaemonSet aws-node as EKS installs it"

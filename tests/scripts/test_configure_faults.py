"""configure_eks_cluster.py with concurrent writers, failed resources and user files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item
from aws_setup.eks import addons
from aws_setup.kube.eks_token import PREFIX
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.cluster import Lab, lab, private

pytestmark = pytest.mark.timeout(240)

ISSUE = {"code": "InsufficientNumberOfReplicas", "message": "unhealthy"}


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def test_the_changes_of_a_concurrent_writer_of_aws_auth_are_kept_and_backed_up(zoo: Lab) -> None:
    existing = "- rolearn: arn:aws:iam::123456789012:role/existing\n  username: t\n  groups: [g]\n"
    meta = {"name": "aws-auth", "namespace": "kube-system"}
    zoo.api.state.put("configmaps", {"metadata": meta, "data": {"mapRoles": existing}})
    users = {"data": {"mapAccounts": '- "210987654321"\n'}}
    rule = {"fault": "second-writer", "resource": "configmaps", "name": "aws-auth", "change": users}
    zoo.api.faults.add(rule)
    zoo.run("configure")
    data = zoo.api.state.require("configmaps", "aws-auth", "kube-system")["data"]
    roles = {row["rolearn"].rsplit("/")[-1] for row in yaml.safe_load(data["mapRoles"])}
    assert roles == {"existing", "lambda-fs-eks-node-role"}
    assert yaml.safe_load(data["mapUsers"])[0]["groups"] == ["system:masters"]
    assert data["mapAccounts"] == users["data"]["mapAccounts"]
    kept = sorted((zoo.folder / "infrastructure_json").glob("*.aws-auth.before.yaml*"))
    assert all(private(path) for path in kept)
    first, last = (yaml.safe_load(path.read_text())["data"] for path in kept)
    assert {"mapRoles": existing} in (first, last)
    assert {"mapRoles": existing, **users["data"]} in (first, last)


def test_a_lost_role_of_the_driver_and_a_certificate_that_expires_soon_are_mended_everywhere(
    zoo: Lab,
) -> None:
    zoo.save(openwhisk_tls_days=40)
    zoo.run("configure")
    name, note = "ebs-csi-controller-sa", "eks.amazonaws.com/role-arn"
    bare = {"metadata": {"name": name, "namespace": "kube-system"}}
    held = zoo.api.state.require("serviceaccounts", name, "kube-system")
    role = held["metadata"]["annotations"][note]
    zoo.api.state.remove("serviceaccounts", held)
    zoo.api.state.put("serviceaccounts", bare)
    iam = client("iam")
    old = iam.list_server_certificates()["ServerCertificateMetadataList"][0]
    secret = zoo.api.state.require("secrets", "owdev-nginx", "openwhisk")["data"]
    shorten(zoo)
    result = steps_of(zoo.run("configure"))
    assert result["ebs csi service account"]["action"] == "update"
    again = zoo.api.state.require("serviceaccounts", name, "kube-system")
    assert again["metadata"]["annotations"][note] == role
    assert result["server certificate"]["action"] in ("create", "update")
    (new,) = iam.list_server_certificates()["ServerCertificateMetadataList"]
    assert new["ServerCertificateName"] != old["ServerCertificateName"]
    assert zoo.api.state.require("secrets", "owdev-nginx", "openwhisk")["data"] != secret
    service = zoo.api.state.require("services", "owdev-nginx", "openwhisk")
    assert new["Arn"] in service["metadata"]["annotations"].values()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def shorten(zoo: Lab) -> None:
    """Let 15 days pass for certificates: the one in use is replaced by one that ends sooner."""
    from datetime import UTC, datetime

    from aws_setup.openwhisk import certificate

    path = zoo.folder / "infrastructure_json" / "lambda-fs.tls.pem"
    names = sorted(certificate.names_of(path.read_text()))
    name = str(zoo.config.get("openwhisk_tls_name", "owdev"))
    pair = certificate.self_signed(name, names, days=25, now=datetime.now(UTC))
    path.write_text(pair.certificate + pair.key)


def test_a_failed_node_group_is_reported_with_the_reason_of_eks(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    for zone in ("us-east-1a", "us-east-1b"):
        cloud.faults.add({"fault": "no-capacity", "zone": zone})
    cloud.clock.speed = 200  # So that there is time between the first issue and the end.
    problem = zoo.run("configure", code=1)["problems"][0]
    for group in ("core", "invoker"):
        assert f"{group}-nodes: CREATING: AsgInstanceLaunchFailures: Could not launch" in zoo.stderr
    assert "-nodes" in problem["what"]
    assert "CREATE_FAILED" in problem["what"] + problem["why"]
    assert "Capacity" in problem["what"] + problem["why"]
    assert re.search("set another openwhisk_(core|invoker)_instance_type", problem["hint"])
    assert "availability_zones" not in problem["hint"], "the network has its zones"
    cloud.faults.clear()
    zoo.run("configure")


def test_the_entry_is_written_to_the_file_of_the_command_line_and_removed(zoo: Lab) -> None:
    path = zoo.folder / "user.kubeconfig"
    zoo.run("configure", "--kubeconfig", str(path), "--set-context")
    written = yaml.safe_load(path.read_text())
    assert private(path)
    assert written["current-context"].endswith(":cluster/zoo")
    assert not (zoo.folder.parent / ".kube" / "config").exists()
    zoo.run("destroy", "--kubeconfig", str(path))
    assert yaml.safe_load(path.read_text())["contexts"] == []


def test_the_current_context_and_the_users_wskprops_change_only_on_request(zoo: Lab) -> None:
    file = zoo.folder.parent / ".kube" / "config"
    file.parent.mkdir()
    file.write_text("{apiVersion: v1, kind: Config, current-context: existing}\n")
    wskprops = zoo.folder.parent / ".wskprops"
    zoo.run("configure")
    assert yaml.safe_load(file.read_text())["current-context"] == "existing"
    assert not wskprops.exists()
    users = b"APIHOST=existing\n# \xe9\n"  # Latin-1: it is copied as it is
    wskprops.write_bytes(users)
    zoo.run("configure", "--set-context")
    assert yaml.safe_load(file.read_text())["current-context"].endswith(":cluster/zoo")
    assert wskprops.read_bytes() == users
    zoo.run("configure", "--write-wskprops")
    written = wskprops.read_text()
    # Changed once more: the backup remains the user's file, and there is one of the change.
    wskprops.write_text(written + "NAMESPACE=other\n")
    zoo.run("configure", "--write-wskprops")
    kept = wskprops.with_name(".wskprops.before-lambda-fs")
    assert kept.read_bytes() == users
    assert kept.with_name(f"{kept.name}.1").read_text() == written + "NAMESPACE=other\n"
    assert private(wskprops)
    assert (
        wskprops.read_text() == (zoo.folder / "infrastructure_json/lambda-fs.wskprops").read_text()
    )


def test_an_add_on_that_is_degraded_for_a_while_recovers(
    zoo: Lab, cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    plain = addons.describe

    def describe(ctx: Context, addon: str) -> Item | None:
        found = plain(ctx, addon)
        if found and addon == "aws-ebs-csi-driver":
            seen.append(found["status"])
            if found["status"] == "ACTIVE" and len(seen) < 4:
                return {**found, "status": "DEGRADED", "health": {"issues": [ISSUE]}}
        return found

    monkeypatch.setattr(addons, "describe", describe)
    result = steps_of(zoo.run("configure"))
    assert len(seen) >= 4
    assert result["aws-ebs-csi-driver add-on"]["action"] == "create"


def test_the_users_kubeconfig_is_used_to_connect(zoo: Lab) -> None:
    path = zoo.folder / "user.kubeconfig"
    document = zoo.api.kubeconfig(token=f"{PREFIX}any")
    path.write_text(yaml.safe_dump(document | {"current-context": ""}))
    zoo.save(kubeconfig_path=str(path), kube_context="nowhere")
    problem = zoo.run("configure", code=2)["problems"][0]
    assert "kube_context" in problem["hint"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    zoo.save(kube_context="rehearsal")
    result = steps_of(zoo.run("configure"))
    assert "openwhisk api" in result
    assert "kubeconfig" not in result
    before = zoo.writes()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    assert zoo.writes() == before

"""Complete runs of the second script: configure, configure again, upgrade, destroy."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import create_aws_infrastructure
from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.openwhisk import certificate, credentials_file
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.kubernetes.controllers.context import CloudProviderError
from aws_setup.rehearsal.kubernetes.ec2_cloud_provider import Ec2CloudProvider
from aws_setup.tables import software as tables
from tests.support.aws import client
from tests.support.cluster import NODES, Lab, lab, private

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def steps_of(result: Any) -> dict[str, Any]:
    return {step["name"]: step for step in result["steps"]}


def release_of(zoo: Lab) -> dict[str, str]:
    """Return helm's newest record of the release, by its labels."""
    records = [one for one in zoo.api.state.all("secrets", "openwhisk") if "helm" in one["type"]]
    newest = max(records, key=lambda one: int(one["metadata"]["labels"]["version"]))
    return dict(newest["metadata"]["labels"])


def balancers() -> dict[str, Any]:
    """Return the load balancers by their scheme."""
    listed = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    return {item["Scheme"]: item for item in listed}


def config_of(zoo: Lab) -> Config:
    return Config(**{key: value for key, value in zoo.config.items() if value is not None})


def open_to(balancer: Any) -> set[tuple[int, str]]:
    """Return the ports and ranges that a load balancer's security groups allow."""
    groups = client("ec2").describe_security_groups(GroupIds=balancer["SecurityGroups"])
    listed = [rule for group in groups["SecurityGroups"] for rule in group["IpPermissions"]]
    rules = [rule for rule in listed if rule["IpProtocol"] == "tcp"]
    return {(rule["FromPort"], item["CidrIp"]) for rule in rules for item in rule["IpRanges"]}


@pytest.mark.kind("C1")
def test_configure_ends_when_openwhisk_answers_and_a_second_run_changes_nothing(zoo: Lab) -> None:
    result = zoo.run("configure")
    steps = steps_of(result)
    inside, public = balancers()["internal"], balancers()["internet-facing"]
    port = zoo.config["openwhisk_api_port"]
    assert steps["openwhisk api"]["id"] == f"http://{public['DNSName']}:{port}"
    file = zoo.folder / "infrastructure_json" / "lambda-fs.wskprops"
    assert private(file)
    written = credentials_file.parse(file.read_text())
    assert written["APIHOST"] == steps["openwhisk api"]["id"]
    assert written["INTERNAL_APIHOST"] == f"http://{inside['DNSName']}:80"
    listeners = [item["Listener"] for item in inside["ListenerDescriptions"]]
    assert {item["LoadBalancerPort"] for item in listeners} == {80, 443}
    assert tables.api_host(config_of(zoo)) == written["INTERNAL_APIHOST"]
    assert open_to(public) == {(port, "52.94.76.7/32")}
    assert [item["Listener"]["LoadBalancerPort"] for item in public["ListenerDescriptions"]] == [
        port
    ]
    tls = zoo.api.state.require("secrets", "owdev-nginx", "openwhisk")["data"]["tls.crt"]
    names = certificate.names_of(base64.b64decode(tls).decode())
    assert {inside["DNSName"], public["DNSName"]} <= names
    actions = [call.action for call in zoo.cloud.calls.writes()]
    assert actions.count("UploadServerCertificate") == 1

    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")
    assert config["data"]["whisk_api_host_name"] == inside["DNSName"]
    assert config["data"]["whisk_api_host_port"] == "443"
    auth = zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")
    guest = base64.b64decode(auth["data"]["guest"]).decode()
    assert credentials_file.parse(file.read_text())["AUTH"] == guest
    assert zoo.api.state.get("persistentvolumeclaims", "lambda-fs-storage-probe", "default") is None

    before = zoo.writes()
    again = zoo.run("configure")
    assert [s["name"] for s in again["steps"] if s["action"] != "exists"] == [], again["steps"]
    assert zoo.writes() == before

    zoo.save(user_public_ip="52.94.76.9", openwhisk_access_cidrs=["8.8.8.0/24"])
    changed = zoo.run("configure")["steps"]
    assert [s["name"] for s in changed if s["action"] == "update"] == ["openwhisk public address"]
    assert steps_of(zoo.run("status"))["openwhisk public address"]["state"] == (
        "reachable from 52.94.76.9/32, 8.8.8.0/24"
    )
    assert open_to(balancers()["internet-facing"]) == {
        (port, "52.94.76.9/32"),
        (port, "8.8.8.0/24"),
    }
    assert balancers()["internet-facing"]["DNSName"] == public["DNSName"]


@pytest.mark.parametrize("script", ["configure", "allow-my-ip"])
def test_ranges_that_aws_refuses_are_not_said_to_be_let_in(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Kubernetes takes them into the Service, and AWS says no to the rules of the group."""
    zoo.run("configure")
    # A rule for the port and one for ICMP each: 31 ranges are too many for a group of 60 rules.
    zoo.save(openwhisk_access_cidrs=[f"8.8.{number}.0/24" for number in range(30)])
    refused = change_ranges(zoo, script, code=2)["problems"]
    assert "openwhisk_access_cidrs" in refused[0]["hint"], refused
    before = open_to(balancers()["internet-facing"])
    zoo.save(openwhisk_access_cidrs=["8.8.8.0/24"])
    with monkeypatch.context() as patch:
        refuse(zoo, patch, "AuthorizeSecurityGroupIngress", "RulesPerSecurityGroupLimitExceeded")
        failed = change_ranges(zoo, script, speed=100, code=1)
        assert "RulesPerSecurityGroupLimitExceeded" in str(failed["problems"]), failed["problems"]
        shown = steps_of(zoo.run("status"))["openwhisk public address"]
        assert shown["state"] == "reachable from 52.94.76.7/32"
    assert open_to(balancers()["internet-facing"]) == before
    change_ranges(zoo, script)
    shown = steps_of(zoo.run("status"))["openwhisk public address"]
    assert shown["state"] == "reachable from 52.94.76.7/32, 8.8.8.0/24"
    allowed = {cidr for _, cidr in open_to(balancers()["internet-facing"])}
    assert allowed == {"52.94.76.7/32", "8.8.8.0/24"}


def change_ranges(zoo: Lab, script: str, *, code: int = 0, speed: float = 1) -> Any:
    """Bring the operator's present address into effect by one of the commands that do.

    Deadlines pass `speed` times as fast.
    """
    plain = SystemClock.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "now", lambda clock: plain(clock) * speed)
        if script == "configure":
            return zoo.run("configure", "--only", "openwhisk public address", code=code)
        return zoo.run("allow-my-ip", code=code, script=create_aws_infrastructure)


def refuse(zoo: Lab, patch: pytest.MonkeyPatch, action: str, code: str) -> None:
    """Let the emulated AWS answer Kubernetes' calls of an action with an error."""
    plain = Ec2CloudProvider._call

    def call(provider: Any, service: str, asked: str, **params: Any) -> Any:
        if asked == action:
            raise CloudProviderError(f"{code}: refused")
        return plain(provider, service, asked, **params)

    patch.setattr(Ec2CloudProvider, "_call", call)


def test_no_secret_is_printed_or_logged(zoo: Lab) -> None:
    page = zoo.folder / "page.html"
    steps = zoo.run("configure", "--html", str(page))
    result = json.dumps(steps)
    shown = page.read_text(encoding="utf-8")
    assert [name for name in steps_of(steps) if f">{name}<" not in shown] == []
    assert ACCOUNT not in shown
    auth = zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")
    guest = base64.b64decode(auth["data"]["guest"]).decode()
    tls = zoo.api.state.require("secrets", "owdev-nginx", "openwhisk")
    key = base64.b64decode(tls["data"]["tls.key"]).decode().splitlines()[1]
    folder = zoo.folder / "infrastructure_json"
    assert private(folder / "lambda-fs.tls.pem")
    for text in (
        result,
        shown,
        *(
            (folder / f"lambda-fs.{ending}").read_text(encoding="utf-8")
            for ending in ("json", "log", "events.jsonl")
        ),
    ):
        assert guest not in text
        assert key not in text


def test_the_load_balancer_uses_the_only_certificate_that_remains(zoo: Lab) -> None:
    result = zoo.run("configure")
    listed = client("iam").list_server_certificates()["ServerCertificateMetadataList"]
    assert [item["Arn"] for item in listed] == [steps_of(result)["server certificate"]["id"]]
    service = zoo.api.state.require("services", "owdev-nginx", "openwhisk")
    notes = service["metadata"]["annotations"]
    prefix = "service.beta.kubernetes.io/aws-load-balancer"
    assert notes[f"{prefix}-ssl-cert"] == listed[0]["Arn"]
    assert notes[f"{prefix}-ssl-ports"] == "https"
    assert notes[f"{prefix}-internal"] == "true"
    public = zoo.api.state.require("services", "owdev-public", "openwhisk")["metadata"]
    assert f"{prefix}-internal" not in public["annotations"]
    assert public["annotations"][f"{prefix}-ssl-cert"] == listed[0]["Arn"]
    policy = public["annotations"][f"{prefix}-ssl-negotiation-policy"]
    assert policy == "ELBSecurityPolicy-TLS-1-2-2017-01"


def test_changed_values_upgrade_the_release_and_keep_the_keys(zoo: Lab) -> None:
    zoo.run("configure")
    auth = zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")["data"]
    file = zoo.folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"image": "rehearsal/part:2"}))
    zoo.save(openwhisk_values=str(file))
    result = steps_of(zoo.run("configure"))
    assert result["openwhisk release"]["action"] == "update"
    job = zoo.api.state.require("jobs", "owdev-install-packages", "openwhisk")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "rehearsal/part:2"
    assert zoo.api.state.require("secrets", "owdev-whisk.auth", "openwhisk")["data"] == auth


def test_more_invoker_nodes_scale_nodes_and_invokers(zoo: Lab) -> None:
    zoo.run("configure")
    zoo.whisk.healthy = NODES + 1
    zoo.save(num_openwhisk_invoker_vms=NODES + 1)
    result = steps_of(zoo.run("configure"))
    assert result["invoker-nodes"]["action"] == "update"
    invoker = zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")
    assert invoker["spec"]["replicas"] == NODES + 1


def test_fewer_invokers_than_nodes_are_waited_for_and_warned_about(zoo: Lab) -> None:
    own = zoo.folder / "own.yaml"
    own.write_text("invoker: {containerFactory: {kubernetes: {replicaCount: 1}}}\n")
    zoo.save(openwhisk_values=str(own))
    zoo.whisk.healthy = 1
    result = zoo.run("configure")
    assert steps_of(result)["openwhisk api"]["state"] == "1 healthy invoker"
    [warned] = [it for it in result["warnings"] if "the chart renders 1 invoker" in it["what"]]
    assert "num_openwhisk_invoker_vms to 1" in warned["hint"]
    assert steps_of(zoo.run("configure"))["openwhisk api"]["action"] == "exists"


def test_no_invoker_nodes_are_refused_by_their_key_before_the_first_write(zoo: Lab) -> None:
    zoo.save(num_openwhisk_invoker_vms=0)
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert problem["what"] == "num_openwhisk_invoker_vms is 0"
    assert "to at least 1" in problem["hint"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    own = zoo.folder / "own.yaml"
    own.write_text("invoker: {containerFactory: {kubernetes: {replicaCount: 1}}}\n")
    zoo.save(openwhisk_values=str(own))
    assert zoo.run("plan")["result"] == "ok"


def test_destroy_deletes_everything_but_the_cluster(zoo: Lab) -> None:
    zoo.run("configure")
    result = zoo.run("destroy")
    assert result["leftovers"] == []
    eks = client("eks")
    assert eks.list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert eks.list_addons(clusterName="zoo")["addons"] == []
    assert client("iam").list_server_certificates()["ServerCertificateMetadataList"] == []
    assert client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    assert zoo.api.state.get("namespaces", "openwhisk") is None
    assert balancers() == {}
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    assert [group["GroupName"] for group in groups if "k8s-elb" in group["GroupName"]] == []
    assert zoo.objects("persistentvolumeclaims", "") == []
    assert zoo.api.state.get("storageclasses", "gp3") is None
    assert not (zoo.folder / "infrastructure_json" / "lambda-fs.wskprops").exists()
    assert eks.describe_cluster(name="zoo")["cluster"]["status"] == "ACTIVE"
    assert zoo.run("destroy")["leftovers"] == []


def test_the_first_scripts_destroy_deletes_everything(zoo: Lab) -> None:
    zoo.run("configure")
    before = len(zoo.cloud.calls)
    result = zoo.destroy_everything()
    assert result["leftovers"] == []
    assert client("eks").list_clusters()["clusters"] == []
    actions = {call.action for call in zoo.cloud.calls[before:]}
    assert "DeleteAddon" not in actions, "what ends with the cluster is not deleted one by one"


def test_destroy_works_after_the_cluster_is_deleted(zoo: Lab) -> None:
    zoo.run("configure")
    eks = client("eks")
    for group in eks.list_nodegroups(clusterName="zoo")["nodegroups"]:
        eks.delete_nodegroup(clusterName="zoo", nodegroupName=group)
    eks.delete_cluster(name="zoo")
    assert zoo.run("destroy")["leftovers"] == []
    assert client("iam").list_server_certificates()["ServerCertificateMetadataList"] == []
    assert client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    roles = {role["RoleName"] for role in client("iam").list_roles()["Roles"]}
    assert not roles & {"zoo-ebs-csi", "lambda-fs-eks-node-role"}


def test_without_a_cluster_the_hint_names_the_first_script(zoo: Lab) -> None:
    zoo.save(eks_cluster_name="other")
    result = zoo.run("configure", code=2)
    assert "create_aws_infrastructure.py" in result["problems"][0]["hint"]


def test_without_helm_nothing_is_written(zoo: Lab) -> None:
    (zoo.folder / "bin" / "helm").unlink()
    result = zoo.run("configure", code=2)
    assert "helm" in result["problems"][0]["what"]
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []
    assert zoo.writes() == 0

"""The load balancers come ahead of the release, which is installed once with their names."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.engine.plan import Row, removal_needs
from aws_setup.engine.step import Action, Found
from aws_setup.openwhisk import certificate
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.tables.cluster import cluster_teardown_steps
from aws_setup.tables.teardown import infrastructure_teardown_steps
from tests.scripts.test_configure import balancers, release_of
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)

CONFIG = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
SERVICES = ("owdev-nginx", "owdev-public")


@pytest.fixture(params=["3.17", "4.3"])
def zoo(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True, helm=request.param) as made:
        yield made


def service(zoo: Lab, name: str) -> Any:
    return zoo.api.state.require("services", name, "openwhisk")


def helm_records(zoo: Lab) -> list[Any]:
    return [one for one in zoo.api.state.all("secrets", "openwhisk") if "helm" in one["type"]]


def listeners() -> set[tuple[str, str, bool]]:
    """Return scheme, protocol and whether it has a certificate of each listener on 443."""
    return {
        (scheme, listener["Protocol"], bool(listener.get("SSLCertificateId")))
        for scheme, balancer in balancers().items()
        for description in balancer["ListenerDescriptions"]
        if (listener := description["Listener"])["LoadBalancerPort"] != 80
    }


def test_the_release_is_installed_once_with_its_address_and_certificate(zoo: Lab) -> None:
    # As a run that was killed after both load balancers were requested.
    zoo.run("configure", "--only", "openwhisk public address")
    before = {name: service(zoo, name)["metadata"]["uid"] for name in SERVICES}
    hosts = {scheme: item["DNSName"] for scheme, item in balancers().items()}
    assert sorted(hosts) == ["internal", "internet-facing"]
    assert helm_records(zoo) == []
    assert not service(zoo, "owdev-public")["spec"].get("selector"), "it leads nowhere"
    assert client("iam").list_server_certificates()["ServerCertificateMetadataList"] == []

    zoo.run("configure")
    assert release_of(zoo)["version"] == "1", "no second pass"
    assert {name: service(zoo, name)["metadata"]["uid"] for name in SERVICES} == before
    assert service(zoo, "owdev-public")["spec"]["selector"] == {"name": "owdev-nginx"}
    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert config["whisk_api_host_name"] == hosts["internal"]
    tls = zoo.api.state.require("secrets", "owdev-nginx", "openwhisk")["data"]["tls.crt"]
    assert set(hosts.values()) <= certificate.names_of(base64.b64decode(tls).decode())
    actions = [call.action for call in zoo.cloud.calls.writes()]
    assert actions.count("UploadServerCertificate") == 1
    assert listeners() == {("internal", "HTTPS", True), ("internet-facing", "HTTPS", True)}
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}

    # A Service that was deleted by hand comes back, and everything that names its address follows.
    deletion.delete_object(zoo.api.state, "services", service(zoo, "owdev-nginx"))
    zoo.api.controllers.run()
    planned = {step["name"]: step["action"] for step in zoo.run("plan")["steps"]}
    assert planned["openwhisk address"] == "create"
    zoo.run("configure")
    assert service(zoo, "owdev-nginx")["metadata"]["uid"] != before["owdev-nginx"]
    host = balancers()["internal"]["DNSName"]
    config = zoo.api.state.require("configmaps", "owdev-whisk.config", "openwhisk")["data"]
    assert config["whisk_api_host_name"] == host
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_both_load_balancers_are_deleted_before_the_certificate_that_they_use() -> None:
    for steps in (cluster_teardown_steps(CONFIG), infrastructure_teardown_steps(CONFIG)):
        before = removal_needs([Row(step, Action.EXISTS, Found("id")) for step in steps])
        assert {"openwhisk release", "openwhisk public address"} <= before["server certificate"]


@pytest.mark.parametrize("zoo", ["4.3"], indirect=True)
def test_load_balancers_without_a_release_are_destroyed(zoo: Lab) -> None:
    zoo.run("configure", "--only", "openwhisk public address")
    done = zoo.run("destroy")
    assert done["leftovers"] == []
    assert balancers() == {}
    assert "openwhisk" not in zoo.objects("namespaces", "")
    zoo.run("configure", "--only", "server certificate")
    assert zoo.run("destroy")["leftovers"] == []
    assert client("iam").list_server_certificates()["ServerCertificateMetadataList"] == []


@pytest.mark.parametrize("zoo", ["4.3"], indirect=True)
def test_a_service_that_helm_would_not_take_over_is_refused(zoo: Lab) -> None:
    zoo.api.state.put("namespaces", {"metadata": {"name": "openwhisk"}})
    port = {"name": "http", "port": 80}
    body = {
        "metadata": {"name": "owdev-nginx", "namespace": "openwhisk"},
        "spec": {"type": "ClusterIP", "ports": [port]},
    }
    held = zoo.api.state.put("services", body)
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert problem["what"] == (
        "openwhisk address: owner is another, but the release owdev in the configuration"
    )
    assert "kubectl delete service owdev-nginx -n openwhisk" in problem["hint"]
    assert service(zoo, "owdev-nginx")["metadata"]["uid"] == held["metadata"]["uid"]

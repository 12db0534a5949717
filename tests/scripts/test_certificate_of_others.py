"""configure's destroy where a load balancer of others uses our certificate: it is named at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def certificates() -> list[Any]:
    found: list[Any] = client("iam").list_server_certificates()["ServerCertificateMetadataList"]
    return found


def test_a_load_balancer_of_others_that_uses_our_certificate_is_named(zoo: Lab) -> None:
    zoo.run("configure")
    (ours,) = certificates()
    listener = {
        "Protocol": "HTTPS",
        "LoadBalancerPort": 443,
        "InstancePort": 80,
        "SSLCertificateId": ours["Arn"],
    }
    subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    elb = client("elb")
    elb.create_load_balancer(LoadBalancerName="theirs", Listeners=[listener], Subnets=[subnet])
    document = zoo.run("destroy", code=3)
    name = ours["ServerCertificateName"]
    (problem,) = [it for it in document["problems"] if f"{name} is kept" in it["what"]]
    assert "load balancer theirs (its port 443)" in problem["why"]
    command = "delete-load-balancer-listeners --load-balancer-name theirs --load-balancer-ports 443"
    assert command in problem["hint"]
    assert certificates() == [ours]
    elb.delete_load_balancer_listeners(LoadBalancerName="theirs", LoadBalancerPorts=[443])
    assert zoo.run("destroy")["leftovers"] == []
    assert certificates() == []

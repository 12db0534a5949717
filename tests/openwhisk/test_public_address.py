"""The public Service of OpenWhisk as data: what it is made from, and its drift."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.errors import SetupError
from aws_setup.kube.objects import Json
from aws_setup.openwhisk.listener_access import described
from aws_setup.openwhisk.public_address import desired_service, differences

pytestmark = pytest.mark.kind("C1")

ELB = "service.beta.kubernetes.io/aws-load-balancer"
OPERATOR = "203.0.113.7/32"
CHART: Json = {
    "metadata": {
        "name": "owdev-nginx",
        "annotations": {
            f"{ELB}-internal": "true",
            f"{ELB}-ssl-cert": "arn",
            f"{ELB}-ssl-ports": "https",
            f"{ELB}-ssl-negotiation-policy": "ELBSecurityPolicy-TLS-1-2-2017-01",
            f"{ELB}-backend-protocol": "http",
            "meta.helm.sh/release-name": "owdev",
        },
    },
    "spec": {
        "selector": {"name": "owdev-nginx", "release": "owdev"},
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080},
            {"name": "https", "port": 443, "targetPort": "http", "nodePort": 30443},
        ],
    },
}


def config(**keys: Any) -> Config:
    return Config(ssh_keypair_name="key", ssh_key_path="key.pem", **keys)


def service(*ranges: str, **keys: Any) -> Json:
    return desired_service(config(**keys), CHART, ranges or (OPERATOR,))


def as_stored(desired: Json) -> Json:
    """Return a Service as a cluster has it: with defaults, and what others wrote."""
    stored = copy.deepcopy(desired)
    stored["metadata"]["annotations"]["example.com/by"] = "somebody"
    stored["spec"]["ports"][0]["nodePort"] = 31000
    stored["spec"]["externalTrafficPolicy"] = "Cluster"
    return stored


def test_one_port_with_the_charts_certificate_and_pods_and_only_named_ranges() -> None:
    made = service()
    assert made["spec"]["ports"] == [
        {"name": "https", "protocol": "TCP", "port": 443, "targetPort": "http"}
    ]
    assert made["spec"]["selector"] == CHART["spec"]["selector"]
    assert made["spec"]["loadBalancerSourceRanges"] == [OPERATOR]
    notes = made["metadata"]["annotations"]
    assert notes[f"{ELB}-ssl-cert"] == "arn"
    assert notes[f"{ELB}-ssl-negotiation-policy"] == "ELBSecurityPolicy-TLS-1-2-2017-01"
    assert f"{ELB}-internal" not in notes
    assert "meta.helm.sh/release-name" not in notes
    assert made["metadata"]["labels"]["lambda-fs/deployment"] == "lambda-fs"


def test_plain_http_only_where_it_is_asked_for() -> None:
    made = service(openwhisk_api_port=80)
    assert [port["port"] for port in made["spec"]["ports"]] == [80]
    assert not [key for key in made["metadata"]["annotations"] if "ssl" in key]
    assert [port["port"] for port in service(openwhisk_api_port=8443)["spec"]["ports"]] == [8443]


def test_without_a_known_range_the_ranges_of_the_service_stay() -> None:
    made = desired_service(config(), CHART, ())
    assert "loadBalancerSourceRanges" not in made["spec"]
    assert differences(as_stored(service()), made) == []


def test_what_others_add_is_no_drift() -> None:
    assert differences(as_stored(service()), service()) == []


def test_each_edit_by_hand_is_drift() -> None:
    edits: dict[str, Callable[[Json], object]] = {
        "reachable from": lambda one: one["spec"].pop("loadBalancerSourceRanges"),
        "ports": lambda one: one["spec"]["ports"].append({"name": "http", "port": 80}),
        "selector": lambda one: one["spec"].update(selector={"name": "other"}),
        "type": lambda one: one["spec"].update(type="ClusterIP"),
        "annotations": lambda one: one["metadata"]["annotations"].update(
            {f"{ELB}-internal": "true"}
        ),
    }
    for what, edit in edits.items():
        stored = as_stored(service())
        edit(stored)
        (drift,) = differences(stored, service())
        assert drift.what == what
    (drift,) = differences(as_stored(service()), service("198.51.100.0/24"))
    assert (drift.has, drift.wants) == (OPERATOR, "198.51.100.0/24")


def test_everywhere_is_said_in_a_word() -> None:
    assert described(["203.0.113.7/32", "0.0.0.0/0"]) == "everywhere"


def test_a_chart_without_the_port_is_named() -> None:
    chart = copy.deepcopy(CHART)
    del chart["spec"]["ports"][1]
    with pytest.raises(SetupError, match="has no port https"):
        desired_service(config(), chart, [OPERATOR])

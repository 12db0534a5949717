"""The public Service of OpenWhisk as data: what it is made from, and its drift."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.errors import SetupError
from aws_setup.kube.objects import Json
from aws_setup.openwhisk.listener_access import access_of, being_created, described
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


def test_who_reaches_a_load_balancer_is_compared_as_addresses_with_what_the_service_asks_for() -> (
    None
):
    rules: Json = {
        "GroupId": "sg-1",
        "GroupName": "k8s-elb-a",
        "IpPermissions": [
            {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "IpRanges": [cidr]}
            for cidr in ({"CidrIp": "10.0.0.0/8"},)
            for protocol, first, last in (("tcp", 443, 443), ("icmp", 3, 4))
        ],
        "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    }
    listed: dict[str, list[Json]] = {
        "classic load balancers": [{"DNSName": "a.elb", "SecurityGroups": ["sg-1"]}],
        "managed security groups": [rules],
        "eks cluster": [],
    }
    ctx: Any = SimpleNamespace(
        inventory=SimpleNamespace(all=lambda kind, **_: listed[kind]), config=config()
    )
    stored = as_stored(service("10.1.2.3/8"))
    stored["status"] = {"loadBalancer": {"ingress": [{"hostname": "a.elb"}]}}
    assert access_of(ctx, stored).applied
    del stored["spec"]["loadBalancerSourceRanges"]
    assert not access_of(ctx, stored).applied, "it asks for everywhere now"
    note = "service.beta.kubernetes.io/load-balancer-source-ranges"
    stored["metadata"]["annotations"][note] = "10.0.0.0/8"
    assert access_of(ctx, stored).applied
    rules["IpPermissions"].pop()
    (lost,) = access_of(ctx, stored).drift
    assert "path MTU" in lost.what


@pytest.mark.parametrize(
    ("event", "fix"),
    [
        (
            "(SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: "
            "TooManyLoadBalancers: Exceeded quota of account 123456789012)",
            "Service Quotas",
        ),
        (
            "(SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: "
            "AccessDenied: User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: "
            "elasticloadbalancing:CreateLoadBalancer)",
            "permission",
        ),
        ("", ""),
    ],
)
def test_a_load_balancer_that_aws_does_not_make_is_shown_with_the_fix(event: str, fix: str) -> None:
    state = being_created(event)
    assert state.state == f"AWS is creating the load balancer {event}".strip()
    assert fix in state.hint
    assert bool(state.hint) is bool(fix)

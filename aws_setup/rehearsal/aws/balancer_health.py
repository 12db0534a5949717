"""Which nodes a Classic Load Balancer of Kubernetes has, and whether its health checks reach them.

https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-healthchecks.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.aws.ec2.packet_rules import Traffic, decide
from aws_setup.rehearsal.aws.ec2.reachability import Network, read_network
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

UNHEALTHY = "Instance has failed at least the UnhealthyThreshold number of health checks"
"""Start of the description that AWS gives of an instance whose health checks fail."""


def _nodes(cloud: CloudApi, call: Call, balancer: Any) -> Iterator[Any]:
    """Yield the nodes of a balancer's cluster, all of which Kubernetes registers."""
    marks = {key for key in balancer.tags if key.startswith("kubernetes.io/cluster/")}
    ec2 = cloud.backend("ec2", call.region)
    for instance in ec2.all_instances():
        tags = ec2.tags.get(instance.id, {})
        if marks & tags.keys() and instance.state != "terminated":
            yield instance


def _instance_health(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """DescribeInstanceHealth: a node serves if the balancer's packets reach it."""
    name = call.params["LoadBalancerName"]
    balancer = cloud.backend("elb", call.region).load_balancers.get(name)
    if balancer is None:
        message = f"There is no ACTIVE Load Balancer named '{name}'"
        raise AwsError("LoadBalancerNotFound", message)
    failed, network = cloud.faults.out_of_service(name), read_network(cloud, region=call.region)
    states = []
    for instance in _nodes(cloud, call, balancer):
        why = "" if instance.state == "running" else "Instance is in stopped state."
        why = why or failed or _unreached(network, balancer, instance.id)
        states.append(
            {
                "InstanceId": instance.id,
                "State": "OutOfService" if why else "InService",
                "ReasonCode": "Instance" if why else "N/A",
                "Description": why or "N/A",
            }
        )
    return {"InstanceStates": states}


def _unreached(network: Network, balancer: Any, node: str) -> str:
    """Return the description of a node that no interface of its balancer reaches."""
    sources = network.balancers[balancer.name].interfaces
    ports = {int(listener.instance_port) for listener in balancer.listeners}
    checks = [Traffic("tcp", port) for port in sorted(ports)[:1]]
    target = network.instances.get(node)
    pairs = [(source, check) for source in sources for check in checks if target]
    reached = any(target and decide(source, target, check) for source, check in pairs)
    return "" if reached else f"{UNHEALTHY} consecutively."


def _registered(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """DescribeLoadBalancers: with the nodes that Kubernetes has registered."""
    held = cloud.backend("elb", call.region).load_balancers
    for described in answer["LoadBalancerDescriptions"]:
        balancer = held[described["LoadBalancerName"]]
        nodes = [{"InstanceId": instance.id} for instance in _nodes(cloud, call, balancer)]
        described["Instances"] = [*(described.get("Instances") or []), *nodes]


ANSWERS = {("elb", "DescribeInstanceHealth"): _instance_health}
AFTER = {("elb", "DescribeLoadBalancers"): _registered}

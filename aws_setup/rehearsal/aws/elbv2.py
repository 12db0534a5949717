"""Application and network load balancers with their target groups; moto keeps them.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aws_setup.rehearsal.aws.elb import make_interfaces, remove_interfaces
from aws_setup.rehearsal.core.moto import backends_by_region
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

PROTECTION = "deletion_protection.enabled"
"""The attribute of a load balancer that cannot be deleted."""


def _created(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """Create the interfaces of a load balancer, and set its time to that of the cloud."""
    for made in answer["LoadBalancers"]:
        arn = made.arn if hasattr(made, "arn") else made["LoadBalancerArn"]
        balancer = cloud.backend("elbv2", call.region).load_balancers[arn]
        balancer.created_time = cloud.clock.today().isoformat(timespec="milliseconds")
        description = f"ELB {arn.partition(':loadbalancer/')[2]}"
        make_interfaces(cloud, call, balancer, key=arn, description=description)


def _delete(cloud: CloudApi, call: Call) -> None:
    """DeleteLoadBalancer: refused while its attribute protects it, which moto ignores."""
    arn = call.params["LoadBalancerArn"]
    balancer = cloud.backend("elbv2", call.region).load_balancers.get(arn)
    if balancer and balancer.attrs.get(PROTECTION) == "true":
        message = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        raise AwsError("OperationNotPermitted", message)


def _deleted(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """Remove the interfaces of a deleted load balancer; its target groups stay without it."""
    arn = call.params["LoadBalancerArn"]
    remove_interfaces(cloud, call.region, arn)
    for group in cloud.backend("elbv2", call.region).target_groups.values():
        group.load_balancer_arns = [each for each in group.load_balancer_arns if each != arn]


def list_resources(cloud: CloudApi) -> Iterable[Resource]:
    """List the load balancers, which are billed, and the target groups, which are not."""
    for region, backend in backends_by_region("elbv2").items():
        for arn, balancer in backend.load_balancers.items():
            tags = backend.tagging_service.get_tag_dict_for_resource(arn)
            yield Resource("elbv2", "load balancer", balancer.name, region, bills=True, tags=tags)
        for arn, group in backend.target_groups.items():
            tags = backend.tagging_service.get_tag_dict_for_resource(arn)
            yield Resource("elbv2", "target group", group.name, region, tags=tags)


BEFORE = {("elbv2", "DeleteLoadBalancer"): _delete}
AFTER = {
    ("elbv2", "CreateLoadBalancer"): _created,
    ("elbv2", "DeleteLoadBalancer"): _deleted,
}

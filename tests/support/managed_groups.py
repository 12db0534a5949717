"""The security groups that EKS and Kubernetes have made, and somebody who revokes their rules."""

from __future__ import annotations

from typing import Any

from tests.support.aws import client


def rules_of_aws() -> dict[str, Any]:
    """Return the rules of the groups that EKS and Kubernetes have made."""
    names = [{"Name": "group-name", "Values": ["eks-cluster-sg-*", "k8s-elb-*"]}]
    groups = client("ec2").describe_security_groups(Filters=names)["SecurityGroups"]
    return {
        group["GroupId"]: {
            (key, rule["IpProtocol"], rule.get("FromPort"), source)
            for key in ("IpPermissions", "IpPermissionsEgress")
            for rule in group[key]
            for source in (
                *(it["CidrIp"] for it in rule["IpRanges"]),
                *(it["GroupId"] for it in rule["UserIdGroupPairs"]),
            )
        }
        for group in groups
    }


def revoke_all() -> None:
    """Revoke every rule of those groups, as somebody does who finds them too open."""
    ec2 = client("ec2")
    for group_id in rules_of_aws():
        (group,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=group["IpPermissions"])
        ec2.revoke_security_group_egress(
            GroupId=group_id, IpPermissions=group["IpPermissionsEgress"]
        )


def health() -> set[str]:
    """Return the states of all nodes at all Classic Load Balancers."""
    elb = client("elb")
    names = [
        it["LoadBalancerName"] for it in elb.describe_load_balancers()["LoadBalancerDescriptions"]
    ]
    asked = [elb.describe_instance_health(LoadBalancerName=name) for name in names]
    return {state["State"] for answer in asked for state in answer["InstanceStates"]}

"""Rules of security groups that name other groups: one VPC, one rule for each pair, the quota.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend, find_security_group
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


class GroupReference(dict[str, Any]):
    """The group that a rule names; as in EC2, the description does not distinguish two rules."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and _identity(self) == _identity(other)

    def __ne__(self, other: object) -> bool:
        return not self == other


def _identity(reference: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reference.items() if key != "Description"}


def _check_references(cloud: CloudApi, call: Call) -> None:
    """AuthorizeSecurityGroup…: a named group exists, and is in the same VPC; the quota of rules."""
    ec2, group_id = ec2_backend(cloud, call), call.params.get("GroupId", "")
    group = ec2.get_security_group_from_id(group_id)
    if group is None:
        return  # moto rejects it with the right code
    for named in _named_groups(call):
        if find_security_group(ec2, named).vpc_id != group.vpc_id:
            message = "You have specified two resources that belong to different networks."
            raise AwsError("InvalidGroup.NotFound", message)
    _check_quota(cloud, call, group)


def _check_quota(cloud: CloudApi, call: Call, group: Any) -> None:
    sources = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    permissions = call.params.get("IpPermissions", [])
    more = sum(len(allowed.get(key, ())) for allowed in permissions for key in sources)
    inbound = call.action == "AuthorizeSecurityGroupIngress"
    rules = group.ingress_rules if inbound else group.egress_rules
    if len(rules) + more > cloud.settings.quotas.rules_per_security_group:
        message = "The maximum number of rules per security group has been reached."
        raise AwsError("RulesPerSecurityGroupLimitExceeded", message)


def _named_groups(call: Call) -> Iterator[str]:
    for allowed in call.params.get("IpPermissions", []):
        for pair in allowed.get("UserIdGroupPairs", []):
            if pair.get("GroupId"):
                yield str(pair["GroupId"])


def _keep_references(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """AuthorizeSecurityGroup…: a second rule with another description is a duplicate."""
    group = ec2_backend(cloud, call).get_security_group_from_id(call.params.get("GroupId", ""))
    for rule in (*group.ingress_rules, *group.egress_rules) if group else ():
        if rule.source_group:
            rule.source_group = GroupReference(rule.source_group)


AUTHORIZE = (
    ("ec2", "AuthorizeSecurityGroupIngress"),
    ("ec2", "AuthorizeSecurityGroupEgress"),
)
BEFORE = dict.fromkeys(AUTHORIZE, _check_references)
AFTER = dict.fromkeys(AUTHORIZE, _keep_references)

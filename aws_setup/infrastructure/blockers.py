"""What of others keeps a resource of the deployment from deletion: it is named, never deleted.

AWS refuses such a deletion for as long as it exists, so that nothing is gained by waiting. What
ends by itself, as the deployment's own parts do while they are deleted, is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.inventory import ENDED_STATES
from aws_setup.aws.session import pages
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_parts import is_part
from aws_setup.infrastructure.vpc_interfaces import is_owned
from aws_setup.infrastructure.vpc_listings import made_by

EKS_PROFILE = "eks-"
"""How the name of an instance profile begins that EKS made for a node group, and deletes with it.

https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSServiceRoleForAmazonEKSNodegroup.html
"""


@dataclass(frozen=True)
class UnownedResource:
    """A resource that this deployment did not create, and what removes it, or its use of ours."""

    what: str
    id: str
    owner: str
    command: str

    def __str__(self) -> str:
        return f"{self.what} {self.id} ({self.owner}): {self.command}"


Search = Callable[[Context, str], Iterator[UnownedResource]]
"""Yields what of others keeps the resource with this id from deletion."""


def blocked(ctx: Context, search: Search, resource_id: str, *, what: str) -> Callable[[], None]:
    """Return what to call when AWS refuses a deletion, or before it.

    The function raises SetupError with all that the search finds; a denied search finds nothing.

    Args:
        ctx: the step's context.
        search: finds what of others uses the resource.
        resource_id: the id of the resource, or its name, as the search takes it.
        what: the resource, as users read it.
    """

    def refuse() -> None:
        found = advice(lambda: list(search(ctx, resource_id)), lambda _: [])
        if found:
            raise kept(
                what, found, users="resource that uses it is", more="resources that use it are"
            )

    return refuse


def kept(what: str, found: Sequence[UnownedResource], *, users: str, more: str) -> SetupError:
    """Return the error of a resource that stays because of what others have.

    `users` and `more` say what they are, of one and of several.
    """
    commands = "; ".join(dict.fromkeys(item.command for item in found))
    return SetupError(
        f"{what} is kept: {count_of(len(found), users, more)} not this deployment's",
        "; ".join(f"{item.what} {item.id} ({item.owner})" for item in found),
        f"delete them, then run destroy again: {commands}",
    )


def users_of_group(ctx: Context, group_id: str) -> Iterator[UnownedResource]:
    """Yield the rules of other groups that name a security group, and the interfaces that have it.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
    """
    ec2: Any = ctx.aws.ec2
    (group,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    filters = [{"Name": "vpc-id", "Values": [group["VpcId"]]}]
    for other in pages(ec2, "describe_security_groups", "SecurityGroups", Filters=filters):
        if other["GroupId"] != group_id and not is_part(ctx, {"Tags": other.get("Tags") or []}):
            yield from _rules_naming(group_id, other)
    filters = [{"Name": "group-id", "Values": [group_id]}]
    for item in _interfaces(ctx, filters):
        others = [one["GroupId"] for one in item["Groups"] if one["GroupId"] != group_id]
        yield _interface(item, _other_groups(item, others))


def _rules_naming(group_id: str, other: Any) -> Iterator[UnownedResource]:
    for rules, direction in (("IpPermissions", "ingress"), ("IpPermissionsEgress", "egress")):
        for rule in other[rules]:
            pairs = [it for it in rule.get("UserIdGroupPairs", []) if it["GroupId"] == group_id]
            if pairs:
                ports = {key: rule[key] for key in ("FromPort", "ToPort") if key in rule}
                named = {"UserIdGroupPairs": [{"GroupId": group_id}]}
                permission = json.dumps(
                    [{"IpProtocol": rule["IpProtocol"], **ports, **named}], separators=(",", ":")
                )
                yield UnownedResource(
                    f"{direction} rule of security group",
                    other["GroupId"],
                    f"{other['GroupName']} of {other.get('OwnerId', 'this account')}",
                    f"`aws ec2 revoke-security-group-{direction} --group-id {other['GroupId']} "
                    f"--ip-permissions '{permission}'`",
                )


def _other_groups(interface: Any, others: Sequence[str]) -> str:
    """Return the command that takes a group from an interface, which has at least one."""
    groups = " ".join(others) or "ANOTHER_GROUP"
    key = interface["NetworkInterfaceId"]
    return (
        "`aws ec2 modify-network-interface-attribute "
        f"--network-interface-id {key} --groups {groups}`"
    )


def users_of_subnet(ctx: Context, subnet_id: str) -> Iterator[UnownedResource]:
    """Yield the interfaces of others in a subnet.

    https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
    """
    for item in _interfaces(ctx, [{"Name": "subnet-id", "Values": [subnet_id]}]):
        yield _interface(
            item, f"`aws ec2 delete-network-interface --network-interface-id {_id(item)}`"
        )


def _interfaces(ctx: Context, filters: Sequence[Any]) -> list[Any]:
    """Return interfaces without the deployment's own, and those of what is being deleted."""
    machines = [*ctx.inventory.all("instances"), *ctx.inventory.all("terminated instances")]
    ours = {item["InstanceId"] for item in machines}
    nat = tuple(item["NatGatewayId"] for item in ctx.inventory.all("nat gateways"))
    found = pages(ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    foreign = [
        item
        for item in found
        if not is_owned(ctx, item)
        and item.get("Attachment", {}).get("InstanceId") not in ours
        and not (nat and str(item.get("Description", "")).endswith(nat))
    ]
    ending = _ending(ctx, foreign)
    return [it for it in foreign if it.get("Attachment", {}).get("InstanceId") not in ending]


def _ending(ctx: Context, interfaces: Sequence[Any]) -> set[str]:
    """Return the machines of interfaces that AWS is terminating."""
    ids = {it["Attachment"]["InstanceId"] for it in interfaces if _machine(it)}
    if not ids:
        return set()
    filters: Any = [{"Name": "instance-id", "Values": sorted(ids)}]
    listed = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
    machines = [item for reservation in listed for item in reservation["Instances"]]
    return {it["InstanceId"] for it in machines if it["State"]["Name"] in ENDED_STATES}


def _interface(item: Any, command: str) -> UnownedResource:
    """Return an interface; one that a service made is removed with what it was made for."""
    about = str(item.get("Description", ""))
    owner, fix = made_by(item, about)
    machine = _machine(item)
    used = f"instance {machine}" if machine else f"{about or 'no description'}, of {owner}"
    by_service = "delete-network-interface" not in fix
    return UnownedResource("network interface", _id(item), used, fix if by_service else command)


def _id(interface: Any) -> str:
    return str(interface["NetworkInterfaceId"])


def _machine(interface: Any) -> str:
    return str(interface.get("Attachment", {}).get("InstanceId") or "")


def users_of_role(ctx: Context, name: str) -> Iterator[UnownedResource]:
    """Yield the instance profiles that contain a role; this project makes none.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
    """
    listed = pages(
        ctx.aws.iam, "list_instance_profiles_for_role", "InstanceProfiles", RoleName=name
    )
    for item in listed:
        key = str(item["InstanceProfileName"])
        if not key.startswith(EKS_PROFILE):
            yield UnownedResource(
                "instance profile",
                key,
                f"contains the role {name}",
                f"`aws iam remove-role-from-instance-profile --instance-profile-name {key} "
                f"--role-name {name}`",
            )


def users_of_cluster(ctx: Context, name: str) -> Iterator[UnownedResource]:
    """Yield the Fargate profiles and node groups of a cluster that nobody is deleting.

    Steps delete the node groups that exist before; those that are left were made since.
    https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html
    """
    eks: Any = ctx.aws.eks
    cluster = f"--cluster-name {name}"
    for key in pages(eks, "list_fargate_profiles", "fargateProfileNames", clusterName=name):
        found = eks.describe_fargate_profile(clusterName=name, fargateProfileName=key)
        if found["fargateProfile"]["status"] != "DELETING":
            command = f"`aws eks delete-fargate-profile {cluster} --fargate-profile-name {key}`"
            yield UnownedResource("Fargate profile", key, f"in cluster {name}", command)
    for key in pages(eks, "list_nodegroups", "nodegroups", clusterName=name):
        group = eks.describe_nodegroup(clusterName=name, nodegroupName=key)["nodegroup"]
        if group["status"] != "DELETING":
            command = f"`aws eks delete-nodegroup {cluster} --nodegroup-name {key}`"
            yield UnownedResource("node group", key, f"in cluster {name}", command)


def users_of_snapshot(ctx: Context, snapshot_id: str) -> Iterator[UnownedResource]:
    """Yield the AMIs that were registered from a snapshot.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html
    """
    for item in pages(ctx.aws.ec2, "describe_images", "Images", Owners=["self"]):
        disks = (disk.get("Ebs", {}) for disk in item["BlockDeviceMappings"])
        if snapshot_id in {disk.get("SnapshotId") for disk in disks} and not is_part(ctx, item):
            key = str(item["ImageId"])
            command = f"`aws ec2 deregister-image --image-id {key}`"
            yield UnownedResource("AMI", key, str(item.get("Name", "")), command)

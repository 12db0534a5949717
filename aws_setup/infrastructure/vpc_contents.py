"""The resources in a deployment's VPC that it does not own: they keep the VPC from deletion.

They are listed by the VPC's id and not by a tag: services such as GuardDuty, Lambda and RDS, and
other users, create endpoints, interfaces and security groups in a VPC without this project's tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.inventory import ENDED_STATES, tag_of
from aws_setup.aws.reasons import fix_then
from aws_setup.aws.session import pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.blockers import Search, UnownedResource, kept
from aws_setup.infrastructure.cluster_parts import is_part
from aws_setup.infrastructure.vpc_interfaces import is_owned, network_interfaces
from aws_setup.infrastructure.vpc_listings import LISTINGS, Listing, made_by

GUARDDUTY_SERVICE = ".guardduty-data"
GUARDDUTY_GROUP = "GuardDutyManagedSecurityGroup-"
"""What GuardDuty's runtime monitoring makes in every VPC, and does not delete with it.

https://docs.aws.amazon.com/guardduty/latest/ug/runtime-monitoring-agent-resource-clean-up.html
"""

GONE = ("deleted", "deleting", "rejected", "expired", "failed")
"""States of endpoints and peerings that keep nothing from deletion."""


def delete_guardduty(ctx: Context, vpc_id: str) -> None:
    """Delete the endpoint and the security group that GuardDuty made; they serve this VPC only."""
    endpoints = [item["VpcEndpointId"] for item in _endpoints(ctx, vpc_id) if _is_guardduty(item)]
    if endpoints:
        ctx.note(f"deleting {', '.join(endpoints)} of GuardDuty")
        _delete_endpoints(ctx, endpoints)

        def gone() -> bool | Pending:
            left = [item for item in _endpoints(ctx, vpc_id) if _is_guardduty(item)]
            return Pending("the endpoint of GuardDuty is being deleted") if left else True

        ctx.wait_until("the endpoint of GuardDuty is deleted", gone, deadline=600, pause=5)
    for group in _groups(ctx, vpc_id):
        if group["GroupName"].startswith(GUARDDUTY_GROUP):
            group_id = group["GroupId"]
            delete_with_retry(
                ctx,
                f"security group {group_id}",
                lambda group_id=group_id: ctx.aws.ec2.delete_security_group(GroupId=group_id),  # type: ignore[misc]
                gone={"InvalidGroup.NotFound"},
            )


def _delete_endpoints(ctx: Context, ids: Sequence[str]) -> None:
    """Let AWS begin to delete endpoints; its answer names those that it does not, with status 200.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpcEndpoints.html

    Raises:
        SetupError: AWS refuses to delete one that exists.
    """
    answer: Any = ctx.aws.ec2.delete_vpc_endpoints(VpcEndpointIds=list(ids))
    for item in answer.get("Unsuccessful") or []:
        error = item.get("Error") or {}
        code, text = str(error.get("Code", "")), str(error.get("Message", ""))
        if not code.endswith(".NotFound"):
            why = ": ".join(part for part in (code, text) if part)
            raise SetupError(
                f"the endpoint {item.get('ResourceId', '')} of GuardDuty is kept",
                why or "AWS gives no reason",
                fix_then(why, "run destroy again"),
            )


def refuse_unowned(ctx: Context, vpc_id: str) -> None:
    """Name at once what would block the deletion of subnets and groups, instead of waiting.

    What has an address or a group in the VPC blocks those. Whatever else is in it blocks only the
    VPC itself, and is searched for when AWS refuses to delete that.

    Raises:
        SetupError: something in the VPC is not this deployment's.
    """
    if _found(ctx, vpc_id, ADDRESSED):
        refuse_deletion(ctx, vpc_id)


def refuse_deletion(ctx: Context, vpc_id: str) -> None:
    """Name what keeps a VPC from deletion; the deployment's own parts are deleted already.

    Raises:
        SetupError: something in the VPC is not this deployment's.
    """
    found = unowned_contents(ctx, vpc_id)
    if found:
        raise kept(vpc_id, found, users="resource in it is", more="resources in it are")


def unowned_contents(ctx: Context, vpc_id: str) -> list[UnownedResource]:
    """Return the unowned resources that keep a VPC from deletion, without those of denied calls."""
    others = (partial(_listed, listing) for listing in LISTINGS)
    return _found(ctx, vpc_id, (*ADDRESSED, _peerings, *others))


def _found(ctx: Context, vpc_id: str, searches: Sequence[Search]) -> list[UnownedResource]:
    found: list[UnownedResource] = []
    for search in searches:
        found += advice(partial(_search, search, ctx, vpc_id), lambda _: [])
    return found


def _search(search: Search, ctx: Context, vpc_id: str) -> list[UnownedResource]:
    return list(search(ctx, vpc_id))


def _in(vpc_id: str) -> Any:
    return [{"Name": "vpc-id", "Values": [vpc_id]}]


def _endpoints(ctx: Context, vpc_id: str) -> Sequence[Any]:
    found = pages(ctx.aws.ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=_in(vpc_id))
    return [item for item in found if str(item.get("State", "")).lower() not in GONE]


def _groups(ctx: Context, vpc_id: str) -> Sequence[Any]:
    found = pages(ctx.aws.ec2, "describe_security_groups", "SecurityGroups", Filters=_in(vpc_id))
    return [group for group in found if group["GroupName"] != "default"]


def _is_guardduty(endpoint: Any) -> bool:
    return str(endpoint["ServiceName"]).endswith(GUARDDUTY_SERVICE)


def _is_owned(ctx: Context, item: Any) -> bool:
    return is_part(ctx, {"Tags": item.get("Tags") or []})


def _unowned(
    item: Mapping[str, Any], what: str, key: str, *, owner: str, command: str
) -> UnownedResource:
    """Return a resource of others; one of another deployment goes with that, and not alone."""
    other = tag_of(item, DEPLOYMENT_TAG)
    if not other:
        return UnownedResource(what, key, owner, command)
    # No whole command: it would be printed with the configuration of this run.
    fix = f"run destroy with the configuration of the deployment {other}"
    return UnownedResource(what, key, f"{owner}, of the deployment {other}", fix)


def _unowned_endpoints(ctx: Context, vpc_id: str) -> Iterator[UnownedResource]:
    for item in _endpoints(ctx, vpc_id):
        if not _is_owned(ctx, item):
            key = item["VpcEndpointId"]
            command = f"aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {key}"
            owner = f"of {item.get('OwnerId', 'this account')} for {item['ServiceName']}"
            yield _unowned(item, "VPC endpoint", key, owner=owner, command=f"`{command}`")


def _unowned_instances(ctx: Context, vpc_id: str) -> Iterator[UnownedResource]:
    for group in pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=_in(vpc_id)):
        for item in group["Instances"]:
            # Who added nodes to the cluster has to end them: no step of destroy knows them.
            own = tag_of(item, DEPLOYMENT_TAG) == ctx.config.deployment_name
            if item["State"]["Name"] not in ENDED_STATES and not own:
                key = item["InstanceId"]
                owner = tag_of(item, "Name") or f"of {group.get('OwnerId', 'this account')}"
                command = f"aws ec2 terminate-instances --instance-ids {key}"
                yield _unowned(item, "instance", key, owner=owner, command=f"`{command}`")


def _unowned_interfaces(ctx: Context, vpc_id: str) -> Iterator[UnownedResource]:
    """Yield interfaces that no instance, endpoint or NAT gateway explains."""
    endpoints = {
        key for item in _endpoints(ctx, vpc_id) for key in item.get("NetworkInterfaceIds", [])
    }
    nat = tuple(item["NatGatewayId"] for item in ctx.inventory.all("nat gateways"))
    for item in network_interfaces(ctx, vpc_id):
        key, about = item["NetworkInterfaceId"], str(item.get("Description", ""))
        explained = key in endpoints or item.get("Attachment", {}).get("InstanceId")
        if explained or about.endswith(nat) or is_owned(ctx, item):
            continue
        owner, fix = made_by(item, about)
        about = about or "no description"
        yield UnownedResource("network interface", key, f"{about}, of {owner}", fix)


def _listed(listing: Listing, ctx: Context, vpc_id: str) -> Iterator[UnownedResource]:
    """Yield what one call lists, without what is the deployment's or goes with the VPC."""
    filters = [{"Name": listing.filter, "Values": [vpc_id]}] if listing.filter else []
    arguments = {"Filters": filters} if filters else {}
    for item in _items(ctx.aws.ec2, listing, arguments):
        attached = [it for it in item.get("Attachments", []) if it.get("VpcId") == vpc_id]
        elsewhere = not listing.filter and not attached
        if elsewhere or _goes_with_the_vpc(item) or _is_owned(ctx, item):
            continue
        key = item[listing.id_field]
        owner = tag_of(item, "Name") or f"of {item.get('OwnerId', 'this account')}"
        command = listing.command.format(key, vpc=vpc_id)
        yield _unowned(item, listing.what, key, owner=owner, command=f"`aws ec2 {command}`")


def _items(ec2: Any, listing: Listing, arguments: Mapping[str, Any]) -> Sequence[Any]:
    if ec2.can_paginate(listing.operation):
        return pages(ec2, listing.operation, listing.key, **arguments)
    found: Sequence[Any] = getattr(ec2, listing.operation)(**arguments)[listing.key]
    return found


def _goes_with_the_vpc(item: Any) -> bool:
    """Whether it is the default network ACL, the main route table, or a detached gateway."""
    main = any(it.get("Main") for it in item.get("Associations", []))
    states = [it.get("State") for it in item.get("VpcAttachments", [])]
    return bool(item.get("IsDefault") or main or (states and set(states) == {"detached"}))


def _unowned_groups(ctx: Context, vpc_id: str) -> Iterator[UnownedResource]:
    for group in _groups(ctx, vpc_id):
        if not _is_owned(ctx, group):
            key = group["GroupId"]
            owner = f"{group['GroupName']} of {group.get('OwnerId', 'this account')}"
            command = f"`aws ec2 delete-security-group --group-id {key}`"
            yield _unowned(group, "security group", key, owner=owner, command=command)


def _peerings(ctx: Context, vpc_id: str) -> Iterator[UnownedResource]:
    seen: set[str] = set()
    for side in ("requester", "accepter"):
        filters = [{"Name": f"{side}-vpc-info.vpc-id", "Values": [vpc_id]}]
        for item in pages(
            ctx.aws.ec2,
            "describe_vpc_peering_connections",
            "VpcPeeringConnections",
            Filters=filters,
        ):
            key = item["VpcPeeringConnectionId"]
            if key not in seen and item.get("Status", {}).get("Code") not in GONE:
                seen.add(key)
                owner = (
                    f"of {item.get(f'{side.title()}VpcInfo', {}).get('OwnerId', 'this account')}"
                )
                command = f"aws ec2 delete-vpc-peering-connection --vpc-peering-connection-id {key}"
                yield UnownedResource("peering", key, owner, f"`{command}`")


ADDRESSED: Sequence[Search] = (
    _unowned_endpoints,
    _unowned_instances,
    _unowned_interfaces,
    _unowned_groups,
)
"""The searches for what blocks the deletion of subnets and security groups."""

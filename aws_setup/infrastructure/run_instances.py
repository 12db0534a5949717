"""RunInstances requests of a VM group: one for each machine, with its name and address.

The tags of a request are those of all its instances, and each machine has a name of its own: with
one request each, no second call has to name it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import client_token, is_retryable, remembered_tokens
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import specification, tags
from aws_setup.engine.step import CostItem, Drift
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.infrastructure.ami_details import missing_ami
from aws_setup.infrastructure.disk_prices import disk_units
from aws_setup.infrastructure.metadata_options import metadata_options
from aws_setup.infrastructure.vm_groups import VmGroup

CAPACITY_CODES = frozenset(
    {"InsufficientInstanceCapacity", "Unsupported", "InsufficientFreeAddressesInSubnet"}
)
"""Error codes that another zone, instance type or subnet avoids."""

TERMINATED_STATES = frozenset({"shutting-down", "terminated"})

TOKEN_ENDED = "IdempotentInstanceTerminated"
"""Error code for the client token of an instance that has been terminated.

AWS lists the instance for about an hour, and knows its token for at least 24 hours more.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html
"""

MAX_TOKEN_GENERATIONS = 50
"""Most replacements of one group's instances within the lifetime of a client token."""


@dataclass(frozen=True)
class LaunchRequest:
    """One RunInstances call for one machine: its name, and its fixed address if there is one."""

    name: str
    address: str = ""


def missing_launches(group: VmGroup, active: list[Item]) -> list[LaunchRequest]:
    """Return the calls that complete a group with its `active` instances to its full count.

    The machine with the n-th fixed address gets the n-th name, if no other machine has it.
    """
    used = {instance["PrivateIpAddress"] for instance in active}
    fixed = [str(address) for address in group.addresses]
    taken = {tag_of(instance, "Name") for instance in active}
    free = [name for name in map(group.name, range(group.count)) if name not in taken]
    calls = []
    for index, address in enumerate(fixed):
        if address not in used and free:
            own = group.name(index)
            calls.append(LaunchRequest(free.pop(free.index(own) if own in free else 0), address))
    others = sum(instance["PrivateIpAddress"] not in fixed for instance in active)
    missing = max(0, group.count - len(fixed) - others)
    return [*calls, *map(LaunchRequest, free[len(free) - missing :])]


def address_drift(group: VmGroup, active: list[Item]) -> list[Drift]:
    """Return the conflict of fixed addresses that no machine of a complete group has.

    The primary address of a machine cannot be changed.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
    """
    used = sorted(instance["PrivateIpAddress"] for instance in active)
    missing = [str(address) for address in group.addresses if str(address) not in used]
    if not missing:
        return []
    fix = f'restore the fixed addresses, or run destroy --only "{group.step}" first'
    return [Drift("fixed address", ", ".join(used), ", ".join(missing), fix)]


def count_terminated(ctx: Context, step: str) -> Counter[str]:
    """Return how many instances of a step are terminated, by their name.

    AWS lists them for about an hour.
    """
    return Counter(
        tag_of(item, "Name") for item in ctx.inventory.of_step("terminated instances", step)
    )


def launch_instances(
    ctx: Context, group: VmGroup, launch: LaunchRequest, *, terminated: int
) -> list[Item]:
    """Launch a machine and return it as RunInstances answers, as a list of one.

    `terminated` is the number of terminated instances of its name. It is part of the token: the
    token of an instance that has been terminated launches no other one. Where AWS lists that
    instance no longer, it refuses its token or answers with it, and the next token is tried.
    Another run, before this one or beside it, sends the same token for the same machine.

    Raises:
        SetupError: no capacity; the hint names the configuration key of the type.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """
    request = run_request(ctx, group, launch)
    for generation in range(MAX_TOKEN_GENERATIONS):
        token = client_token(
            ctx.config.deployment_name, group.step, request, terminated, generation
        )
        ctx.launches.add(token)
        try:
            instances = _run(ctx, launch, request | {"ClientToken": token})
        except ClientError as error:
            if not is_retryable(error):
                ctx.launches.discard(token)
            if error_code(error) == TOKEN_ENDED:
                continue
            raise _translate_error(group, error) from error
        if not any(item["State"]["Name"] in TERMINATED_STATES for item in instances):
            return instances
        ctx.launches.discard(token)
    raise remembered_tokens(f"the {group.step}", tokens=MAX_TOKEN_GENERATIONS)


def _run(ctx: Context, launch: LaunchRequest, request: Any) -> list[Item]:
    """Send the request, again while an instance that shuts down still has the fixed address."""

    def probe() -> list[Item] | Pending:
        try:
            answer: Any = ctx.aws.ec2.run_instances(**request)
        except ClientError as error:
            if error_code(error) != "InvalidIPAddress.InUse":
                raise
            holder = holder_of_address(ctx, launch.address)
            if holder:
                return Pending(f"{holder}, which is shutting down, still has {launch.address}")
            in_use = address_in_use(ctx, launch.address)
            if in_use is not None:
                raise in_use from error
            return Pending(f"{launch.address} has just become free")
        instances: list[Item] = answer["Instances"]
        return instances

    what = f"{launch.address or 'an address'} is free"
    return ctx.wait_until(what, probe, deadline=600, pause=3)


def holder_of_address(ctx: Context, address: str) -> str:
    """Return the id of the VPC's instance that shuts down and has an address; '' for none."""
    filters: list[Any] = [
        {"Name": "private-ip-address", "Values": [address]},
        {"Name": "vpc-id", "Values": [ctx.of("vpc").id]},
        {"Name": "instance-state-name", "Values": ["shutting-down"]},
    ]
    found = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
    return next((item["InstanceId"] for group in found for item in group["Instances"]), "")


def address_in_use(ctx: Context, address: str) -> SetupError | None:
    """Return the error of an address that something has, with a fix; None when it is free now."""
    filters: Any = [
        {"Name": "vpc-id", "Values": [ctx.of("vpc").id]},
        {"Name": "addresses.private-ip-address", "Values": [address]},
    ]
    found = pages(ctx.aws.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    if not found:
        return None
    why, fix = describe_holder(ctx, found[0])
    return SetupError(f"the fixed address {address} is in use", why, fix)


def describe_holder(ctx: Context, interface: Any) -> tuple[str, str]:
    """Return what has a network interface, and the fix that frees its address."""
    interface_id = str(interface["NetworkInterfaceId"])
    instance = str(interface.get("Attachment", {}).get("InstanceId", ""))
    if not instance:
        about = str(interface.get("Description", "")) or "no description"
        owner = interface.get("RequesterId") or interface.get("OwnerId", "")
        return (
            f"the network interface {interface_id} ({about}, of {owner}) has it",
            f"delete what it belongs to, then `aws ec2 delete-network-interface "
            f"--network-interface-id {interface_id}`",
        )
    owned = [
        item
        for item in ctx.inventory.all("instances", fresh=True)
        if item["InstanceId"] == instance
    ]
    if not owned:
        return f"the instance {instance} has it", f"terminate or move {instance}"
    name = tag_of(owned[0], "Name") or instance
    return (
        f"this deployment's own machine {name} ({instance}) got it by chance",
        f"run `aws ec2 terminate-instances --instance-ids {instance}`, then the same command "
        f"again: {name} is replaced with another address",
    )


def _translate_error(group: VmGroup, error: ClientError) -> Exception:
    if error_code(error) not in CAPACITY_CODES:
        return error
    return SetupError(
        f"AWS has no {group.instance_type} for {group.step} in this zone now",
        str(error.response["Error"].get("Message", "")),
        f"run the same command later, or set another {group.type_key}",
    )


def run_request(ctx: Context, group: VmGroup, launch: LaunchRequest) -> dict[str, Any]:
    """Return a RunInstances request without its token.

    IMDSv2 is required, volumes are encrypted, and every disk is deleted with its instance.
    """
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "SubnetId": ctx.of("public subnet 1").id,
        "Groups": [ctx.of("security group").id],
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
    }
    if launch.address:
        interface["PrivateIpAddress"] = launch.address
    return machine_request(ctx, group, launch.name) | {"NetworkInterfaces": [interface]}


def dry_run_request(ctx: Context, group: VmGroup) -> dict[str, Any]:
    """Return the request for one machine of a group, in its subnet where that exists already."""
    if {"public subnet 1", "security group"} <= ctx.found.keys():
        return run_request(ctx, group, LaunchRequest(group.title))
    return machine_request(ctx, group, group.title)


def machine_request(ctx: Context, group: VmGroup, name: str) -> dict[str, Any]:
    """Return what a RunInstances request says of a machine, without its network."""
    vm_tags = tags(ctx.config, group.step, name=name, Component=group.component)
    return {
        "ImageId": group.ami,
        "InstanceType": group.instance_type,
        "KeyName": ctx.config.ssh_keypair_name,
        "MinCount": 1,
        "MaxCount": 1,
        "BlockDeviceMappings": disks(ctx, group.ami),
        "MetadataOptions": metadata_options(),
        "TagSpecifications": [
            *specification("instance", vm_tags),
            *specification("volume", vm_tags),
            *specification("network-interface", vm_tags),
        ],
    }


def disk_charges(ctx: Context, ami: str, *, count: float, part: str) -> list[CostItem]:
    """Return what the disks of an AMI's instances cost; nothing where AWS does not list the AMI."""
    images = [image for image in ctx.inventory.all("images") if image["ImageId"] == ami]
    return [
        CostItem(part, key, count * units)
        for image in images[:1]
        for disk in image["BlockDeviceMappings"]
        if "VolumeSize" in disk.get("Ebs", {})
        for key, units in disk_units(disk["Ebs"])
    ]


def disks(ctx: Context, ami: str) -> list[dict[str, Any]]:
    """Return the settings of every disk of an AMI: encrypted, and deleted with its instance.

    The ZooKeeper AMI's second disk would otherwise exist, and be billed, after termination.
    """
    images = [image for image in ctx.inventory.all("images") if image["ImageId"] == ami]
    if not images:
        # A copy that this run has made.
        filters: Any = [{"Name": "image-id", "Values": [ami]}]
        images = list(ctx.aws.ec2.describe_images(Filters=filters)["Images"])
    if not images:
        problem = missing_ami(ctx, ami)
        raise SetupError(problem.what, problem.why, problem.hint)
    settings = {"Encrypted": True, "DeleteOnTermination": True}
    devices = [disk["DeviceName"] for disk in images[0]["BlockDeviceMappings"] if "Ebs" in disk]
    return [{"DeviceName": device, "Ebs": settings} for device in devices]

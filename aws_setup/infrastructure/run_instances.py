"""The RunInstances requests of a fleet: one for all machines alike, one for each fixed address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.idempotency import client_token
from aws_setup.aws.inventory import Item
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG, specification, tags
from aws_setup.config.amis import AMIS, DEFAULT_REGION
from aws_setup.engine.step import CostItem
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.infrastructure.vm_groups import VmGroup

CAPACITY = frozenset(
    {"InsufficientInstanceCapacity", "Unsupported", "InsufficientFreeAddressesInSubnet"}
)
"""Error codes that another zone, type or subnet mends."""

TERMINATED_STATES = frozenset({"shutting-down", "terminated"})

MAX_TOKEN_GENERATIONS = 50
"""Most times that machines of one fleet can be replaced within the life of a client token."""


@dataclass(frozen=True)
class LaunchRequest:
    """One RunInstances call: how many machines, at which fixed address if any."""

    count: int
    address: str = ""


def missing_launches(fleet: VmGroup, living: list[Item]) -> list[LaunchRequest]:
    """Return the calls that bring a fleet with its `living` machines to its full count.

    RunInstances takes a fixed private address for a single machine only.
    """
    taken = {machine["PrivateIpAddress"] for machine in living}
    fixed = [str(address) for address in fleet.addresses]
    calls = [LaunchRequest(1, address) for address in fixed if address not in taken]
    free = sum(machine["PrivateIpAddress"] not in fixed for machine in living)
    missing = fleet.count - len(fixed) - free
    return [*calls, LaunchRequest(missing)] if missing > 0 else calls


def count_terminated(ctx: Context, step: str) -> int:
    """Return how many machines of a step are gone; AWS shows them for about an hour."""
    filters: list[Any] = [
        {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [ctx.config.deployment_name]},
        {"Name": f"tag:{STEP_TAG}", "Values": [step]},
        {"Name": "instance-state-name", "Values": sorted(TERMINATED_STATES)},
    ]
    found = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
    return sum(len(reservation["Instances"]) for reservation in found)


def launch(
    ctx: Context, fleet: VmGroup, batch: LaunchRequest, *, lives: tuple[int, int]
) -> list[Item]:
    """Start the machines of a batch and return them as RunInstances answers.

    `lives` says how many machines of the fleet live and how many are gone. It makes the token:
    with the token of machines that were terminated since, AWS would answer with those again.

    Raises:
        SetupError: no capacity; it names the configuration key of the type.
        botocore.exceptions.ClientError: AWS refused for another reason.
    """
    request = run_request(ctx, fleet, batch)
    for life in range(MAX_TOKEN_GENERATIONS):
        own = client_token(ctx.config.deployment_name, fleet.step, request, lives, life)
        try:
            machines = _run(ctx, batch, request | {"ClientToken": own})
        except ClientError as error:
            raise _translate_error(fleet, error) from error
        if not any(machine["State"]["Name"] in TERMINATED_STATES for machine in machines):
            return machines
    raise RuntimeError(f"{MAX_TOKEN_GENERATIONS} generations of {fleet.step} within one day")


def _run(ctx: Context, batch: LaunchRequest, request: Any) -> list[Item]:
    """Send the request, again while a machine that goes away still has the fixed address."""

    def ask() -> list[Item] | Pending:
        try:
            answer: Any = ctx.aws.ec2.run_instances(**request)
        except ClientError as error:
            held = error_code(error) == "InvalidIPAddress.InUse"
            leaving = holder_of_address(ctx, batch.address) if held else ""
            if not leaving:
                raise
            return Pending(f"{leaving}, which is shutting down, still has {batch.address}")
        machines: list[Item] = answer["Instances"]
        return machines

    what = f"{batch.address or 'an address'} is free"
    return wait_until(what, ask, clock=ctx.clock, deadline=600, pause=3, note=ctx.note)


def holder_of_address(ctx: Context, address: str) -> str:
    """Return the machine in our VPC that is shutting down and has an address; '' for none."""
    filters: list[Any] = [
        {"Name": "private-ip-address", "Values": [address]},
        {"Name": "vpc-id", "Values": [ctx.of("vpc").id]},
        {"Name": "instance-state-name", "Values": ["shutting-down"]},
    ]
    found = pages(ctx.aws.ec2, "describe_instances", "Reservations", Filters=filters)
    return next((one["InstanceId"] for group in found for one in group["Instances"]), "")


def _translate_error(fleet: VmGroup, error: ClientError) -> Exception:
    if error_code(error) not in CAPACITY:
        return error
    return SetupError(
        f"AWS has no {fleet.instance_type} for {fleet.step} in this zone now",
        str(error.response["Error"].get("Message", "")),
        f"run it again later, or set another {fleet.type_key} or other availability_zones",
    )


def run_request(ctx: Context, fleet: VmGroup, batch: LaunchRequest) -> dict[str, Any]:
    """Return the RunInstances request of a batch, without its token.

    IMDSv2 is required, volumes are encrypted, and every disk goes with its machine.
    """
    mine = tags(ctx.config, fleet.step, name=fleet.title, Component=fleet.component)
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "SubnetId": ctx.of("public subnet 1").id,
        "Groups": [ctx.of("security group").id],
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
    }
    if batch.address:
        interface["PrivateIpAddress"] = batch.address
    return {
        "ImageId": fleet.ami,
        "InstanceType": fleet.instance_type,
        "KeyName": ctx.config.ssh_keypair_name,
        "MinCount": batch.count,
        "MaxCount": batch.count,
        "NetworkInterfaces": [interface],
        "BlockDeviceMappings": disks(ctx, fleet.ami),
        "MetadataOptions": metadata_options(),
        "TagSpecifications": [
            *specification("instance", mine),
            *specification("volume", mine),
            *specification("network-interface", mine),
        ],
    }


def metadata_options() -> dict[str, Any]:
    """Return the options that make IMDSv2 tokens required."""
    return {"HttpTokens": "required", "HttpEndpoint": "enabled"}


def disk_charges(ctx: Context, ami: str, *, count: float, part: str) -> list[CostItem]:
    """Return what the disks of machines of an AMI cost; nothing where AWS does not show it."""
    images = [image for image in ctx.inventory.all("images") if image["ImageId"] == ami]
    return [
        CostItem(part, f"{disk['Ebs']['VolumeType']}-gib", count * disk["Ebs"]["VolumeSize"])
        for image in images[:1]
        for disk in image["BlockDeviceMappings"]
        if "VolumeSize" in disk.get("Ebs", {})
    ]


def disks(ctx: Context, ami: str) -> list[dict[str, Any]]:
    """Return the settings of every disk of an AMI: encrypted, and deleted with its machine.

    The ZooKeeper AMI's second disk would otherwise stay, and bill, after termination.
    """
    images = [image for image in ctx.inventory.all("images") if image["ImageId"] == ami]
    if not images:
        raise SetupError(
            f"there is no AMI {ami} in {ctx.aws.region}",
            f"the λFS AMIs exist in {', '.join(AMIS)} only",
            f"copy it into this region and set its *_ami key, or use {DEFAULT_REGION}",
        )
    settings = {"Encrypted": True, "DeleteOnTermination": True}
    devices = [disk["DeviceName"] for disk in images[0]["BlockDeviceMappings"] if "Ebs" in disk]
    return [{"DeviceName": device, "Ebs": settings} for device in devices]

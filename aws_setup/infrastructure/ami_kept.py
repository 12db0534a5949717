"""The AMIs of machines that exist: they keep theirs, and missing ones are launched from another."""

from __future__ import annotations

from collections.abc import Sequence

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.tags import STEP_TAG
from aws_setup.config import Config
from aws_setup.errors import Problem
from aws_setup.infrastructure.vm_groups import VmGroup, vm_groups
from aws_setup.infrastructure.volume_drift import SETTLED_STATES

STAYS = "machines that exist keep theirs"


def other_amis(ctx: Context, group: VmGroup, active: Sequence[Item]) -> dict[str, list[str]]:
    """Return the notes of a group whose machines have not all the AMI of the configuration.

    An AMI can be withdrawn, or the account's setting exclude it, while its machines run on: that
    another one is configured must not forbid to replace a machine that is lost. Where nothing has
    the configured one and nothing is missing, it has no effect yet, and a warning says so.
    """
    others = sorted({str(item["ImageId"]) for item in active} - {group.ami})
    if not others:
        return {}
    listed = ", ".join(others)
    if len(active) >= group.count and all(item["ImageId"] in others for item in active):
        what = f"{group.step}: {group.ami} ({group.ami_key}) is for machines launched later"
        renewal = group.renewal or f'run destroy --only "{group.step}", then create'
        fix = f"nothing has to be done; to have all of {group.ami}, {renewal}"
        ctx.warn(Problem(what, f"those that exist have {listed} and keep it", fix))
    return {"notes": [f"made from {listed}; new ones are made from {group.ami}"]}


def how_to_replace(config: Config, machines: Sequence[Item], ami: str) -> str:
    """Return how to have another AMI instead of one that cannot be launched any more.

    CreateImage makes an AMI of a machine with its disks; without a reboot the machine runs on, and
    its files are as after a power failure, from which NDB and ZooKeeper recover. cloud-init makes
    new host keys at the first boot of another instance.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
    """
    steps = {group.step for group in vm_groups(config) if group.ami == ami}
    able = [item for item in machines if _has_disks(item) and tag_of(item, STEP_TAG) in steps]
    if not able:
        return ""
    source = min(able, key=lambda item: (item["ImageId"] != ami, item["InstanceId"]))
    return (
        f"such as one made of a machine that exists: `aws ec2 create-image --no-reboot --name "
        f"copy-of-{ami} --instance-id {source['InstanceId']}`"
    )


def _has_disks(item: Item) -> bool:
    return item["State"]["Name"] in SETTLED_STATES

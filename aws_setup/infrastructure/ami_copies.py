"""Copies of the published λFS AMIs in a region that has none: made, found by tag, and deleted.

CopyImage copies within a partition, encrypts the snapshots on request, and takes as long as it
takes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.advice import advice
from aws_setup.aws.context import CleanupStep, Context, Step
from aws_setup.aws.idempotency import (
    IN_USE_CODES,
    client_token,
    delete_with_retry,
    remembered_tokens,
    wait_visible,
)
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import Aws, error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG, specification, tags
from aws_setup.aws.usual_times import MEDIANS
from aws_setup.config import Config
from aws_setup.config.amis import AMIS, DEFAULT_AMIS, DEFAULT_REGION
from aws_setup.engine.step import CostItem, Drift, DriftKey, Found
from aws_setup.engine.wait import Pending
from aws_setup.errors import Problem, SetupError
from aws_setup.infrastructure.blockers import blocked, users_of_snapshot

SOURCE_TAG = "lambda-fs:source-ami"
"""Tag key of a copy: the id of the published AMI."""

UNAVAILABLE = "InvalidAMIID.Unavailable"
"""Error code for an AMI that is deregistered, or in a state that does not permit the request."""

MAX_TOKEN_GENERATIONS = 20
"""Most copies of one AMI within the lifetime of a client token."""

TRANSFER_USD = 0.02
"""US dollars for each GiB from us-east-1 to most regions, once.
https://aws.amazon.com/ec2/pricing/on-demand/, data transfer, read in November 2026."""

USUAL_TIME = "about 5 to 20 minutes"
"""How long copies of this size usually take; AWS promises no time for them."""


def copy_name(key: str) -> str:
    """Return the name of the step that copies the AMI of a configuration key."""
    return f"ami copy {key.removesuffix('_ami').replace('_', '-')}"


_STEPS = {ami.id: copy_name(key) for key, ami in DEFAULT_AMIS.items()}


def ami_in_use(ctx: Context, ami: str) -> str:
    """Return the copy that this run has made of an AMI, else the AMI itself."""
    copied = ctx.found.get(_STEPS.get(ami, ""))
    return copied.id if copied and copied.id else ami


def with_copies(aws: Aws, config: Config) -> Config:
    """Return the configuration with each published AMI as this deployment has copied it."""
    if not _copies_exist_in(aws):
        return config
    found = advice(lambda: _owned(aws, config, "images"), lambda _: [])
    copies = {
        tag_of(image, SOURCE_TAG): str(image["ImageId"])
        for image in found
        if image["State"] == "available"
    }
    keys = [key for key in DEFAULT_AMIS if getattr(config, key) in copies]
    return config.model_copy(update={key: copies[getattr(config, key)] for key in keys})


def source_of(image: Item) -> str:
    """Return the published AMI of which an AMI is a copy, '' for any other AMI."""
    return tag_of(image, SOURCE_TAG)


@dataclass(frozen=True)
class AmiCopy(Step):
    """The copy of one published AMI."""

    key: str
    source: str
    part: str = "amis"
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return copy_name(self.key)

    def find(self, ctx: Context) -> Found | None:
        """Return the copy; in a region that has the AMIs, the step is skipped."""
        if not _copies_exist_in(ctx.aws):
            return Found("", skipped=_why_not(ctx))
        images = self._images(ctx)
        if images:
            return _found(min(images, key=_order))
        used = getattr(ctx.config, self.key)
        return None if used == self.source else Found("", skipped=f"{self.key} is {used}")

    def _images(self, ctx: Context) -> list[Item]:
        found = _owned(ctx.aws, ctx.config, "images")
        return [image for image in found if tag_of(image, STEP_TAG) == self.name]

    def create(self, ctx: Context) -> Found:
        """Request the copy; for the token of one that was deleted AWS returns that one."""
        for generation in range(MAX_TOKEN_GENERATIONS):
            request = self._request(ctx)
            token = client_token(request, ctx.aws.region, generation)
            image_id = ctx.aws.ec2.copy_image(**request, ClientToken=token)["ImageId"]
            image = wait_visible(lambda image_id=image_id: _image(ctx, image_id), clock=ctx.clock)  # type: ignore[misc]
            if image is not None and image["State"] not in ("deregistered", "failed"):
                return _found(image)
        raise remembered_tokens(f"the {self.name}", tokens=MAX_TOKEN_GENERATIONS)

    def _request(self, ctx: Context) -> Any:
        name = f"{ctx.config.deployment_name} {DEFAULT_AMIS[self.key].name} {self.source}"
        own = tags(ctx.config, self.name, name=name) | {SOURCE_TAG: self.source}
        return {
            "Name": name,
            "SourceImageId": self.source,
            "SourceRegion": DEFAULT_REGION,
            "Encrypted": True,
            "TagSpecifications": [*specification("image", own), *specification("snapshot", own)],
        }

    def update(self, ctx: Context, found: Found) -> Found:
        """Copy again what failed."""
        snapshots = _owned(ctx.aws, ctx.config, "snapshots")
        own = [item for item in snapshots if tag_of(item, STEP_TAG) == self.name]
        _delete(ctx, self._images(ctx), own)
        return self.create(ctx)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the copy is available; raises SetupError with the reason if it fails."""

        def probe() -> Found | Pending:
            image = _image(ctx, found.id)
            if image is None:
                return Pending("not visible yet")
            if image["State"] in ("failed", "error", "invalid", "deregistered"):
                reason = str(image.get("StateReason", {}).get("Message") or image["State"])
                hint = "run the same command again: it copies the AMI again"
                raise SetupError(f"the copy of {self.source} failed", reason, hint)
            state = f"{image['State']} ({USUAL_TIME})"
            return _found(image) if image["State"] == "available" else Pending(state)

        what = f"the copy of {self.source} becomes available"
        return ctx.wait_until(
            what, probe, deadline=7200, pause=15, usual=MEDIANS["image available"]
        )

    def details(self, ctx: Context) -> str:
        """Return what is copied, how long that takes, and what the transfer costs."""
        if not _copies_exist_in(ctx.aws):
            return ""
        size = advice(lambda: self._size(ctx), lambda _: 0)
        cost = f", {size} GiB, transfer ${size * TRANSFER_USD:.2f}" if size else ""
        name = DEFAULT_AMIS[self.key].name
        source = f'copy of {self.source} "{name}" from {DEFAULT_REGION}'
        return f"{source}, encrypted{cost}, {USUAL_TIME}"

    def _size(self, ctx: Context) -> int:
        """Return the GiB of the published AMI's disks."""
        client = ctx.aws.brief("ec2", region=DEFAULT_REGION)
        images = client.describe_images(ImageIds=[self.source])["Images"]
        disks = [disk.get("Ebs", {}) for image in images for disk in image["BlockDeviceMappings"]]
        return sum(int(disk.get("VolumeSize", 0)) for disk in disks)

    def disks(self, ctx: Context) -> list[CostItem]:
        """The snapshots of the copy."""
        if not _copies_exist_in(ctx.aws):
            return []
        return [CostItem(self.part, "snapshot-gib", float(self._size(ctx)))]


@dataclass(frozen=True)
class AmiCopyCleanup(CleanupStep):
    """The copied AMIs and their snapshots: destroy deletes them with --images, and else warns."""

    name: str = "copied amis"
    part: str = "amis"

    def find(self, ctx: Context) -> Found | None:
        """Return the copies, and snapshots that an interrupted deletion has left."""
        if not _copies_exist_in(ctx.aws):
            return None
        images = _owned(ctx.aws, ctx.config, "images")
        if not ctx.remove_images:
            # An interrupted deletion leaves snapshots alone; they are billed all the same.
            if images or _owned(ctx.aws, ctx.config, "snapshots"):
                ctx.warn(_kept(ctx.aws.region))
            return None
        ids = [str(image["ImageId"]) for image in images]
        ids += [str(it["SnapshotId"]) for it in _owned(ctx.aws, ctx.config, "snapshots")]
        return Found(", ".join(ids), ids=tuple(ids)) if ids else None

    def delete(self, ctx: Context, found: Found) -> None:
        """Deregister the copies, then delete their snapshots, which are billed."""
        images = _owned(ctx.aws, ctx.config, "images")
        _delete(ctx, images, _owned(ctx.aws, ctx.config, "snapshots"))


def _delete(ctx: Context, images: Sequence[Item], snapshots: Sequence[Item]) -> None:
    for image in images:
        _deregister(ctx, str(image["ImageId"]))
    for snapshot in snapshots:
        _delete_snapshot(ctx, str(snapshot["SnapshotId"]))


def _deregister(ctx: Context, image_id: str) -> None:
    """Deregister an AMI and return when that has begun.

    InvalidAMIID.Unavailable means that it is deregistered already, or in a state that does not
    permit it now. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """

    def deregister() -> None:
        try:
            ctx.aws.ec2.deregister_image(ImageId=image_id)
        except ClientError as error:
            if error_code(error) != UNAVAILABLE:
                raise
            image = _image(ctx, image_id)
            if image is not None and image["State"] != "deregistered":
                raise

    gone, busy = {"InvalidAMIID.NotFound"}, IN_USE_CODES | {UNAVAILABLE}
    delete_with_retry(ctx, f"AMI {image_id}", deregister, gone=gone, busy=busy)


def _delete_snapshot(ctx: Context, snapshot_id: str) -> None:
    delete_with_retry(
        ctx,
        f"snapshot {snapshot_id}",
        lambda: ctx.aws.ec2.delete_snapshot(SnapshotId=snapshot_id),
        gone={"InvalidSnapshot.NotFound"},
        busy={"InvalidSnapshot.InUse"},
        refused=blocked(ctx, users_of_snapshot, snapshot_id, what=f"snapshot {snapshot_id}"),
    )


def copied_snapshots(ctx: Context) -> list[Item]:
    """Return the snapshots of this deployment's copied AMIs; none in a region that has the AMIs.

    They are billed by the GiB of the disks at most: AWS stores, and bills, what is written of them.
    https://aws.amazon.com/ebs/pricing/
    """
    return _owned(ctx.aws, ctx.config, "snapshots") if _copies_exist_in(ctx.aws) else []


def _copies_exist_in(aws: Aws) -> bool:
    """Whether a region is one to which the published AMIs can be copied, and have to be."""
    return aws.region not in AMIS and aws.partition == "aws"


def _owned(aws: Aws, config: Config, kind: str) -> list[Item]:
    """Return this deployment's copied AMIs, or their snapshots, in the region."""
    filters = [
        {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [config.deployment_name]},
        {"Name": "tag-key", "Values": [SOURCE_TAG]},
    ]
    if kind == "images":
        return pages(aws.ec2, "describe_images", "Images", Owners=["self"], Filters=filters)
    return pages(aws.ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters)


def _image(ctx: Context, image_id: str) -> Item | None:
    try:
        found: Any = ctx.aws.ec2.describe_images(ImageIds=[image_id])["Images"]
    except ClientError as error:
        if error_code(error) != "InvalidAMIID.NotFound":
            raise
        return None
    return found[0] if found else None


def _found(image: Item) -> Found:
    state = str(image["State"])
    failed = state in ("failed", "error", "invalid")
    drift = (Drift("state", state, "available", key=DriftKey.STATUS),) if failed else ()
    facts = {"source": tag_of(image, SOURCE_TAG)}
    return Found(str(image["ImageId"]), state, facts, drift, ready=state == "available")


def _order(image: Item) -> tuple[bool, str, str]:
    """Return the sort key: of two copies the available one, then the older one, is used."""
    return image["State"] != "available", str(image.get("CreationDate", "")), image["ImageId"]


def _why_not(ctx: Context) -> str:
    if ctx.aws.region in AMIS:
        return f"{ctx.aws.region} has the λFS AMIs"
    return f"AWS copies no AMI to another partition ({ctx.aws.partition})"


def _kept(region: str) -> Problem:
    return Problem(
        f"the copied AMIs in {region} are kept",
        "their snapshots are billed (about $0.05 a month for each GiB)",
        "run destroy --images to delete them, too",
    )

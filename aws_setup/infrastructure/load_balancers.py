"""The load balancers that Kubernetes creates: how they are found and deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Item, tag_of
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.errors import SetupError
from aws_setup.infrastructure.cluster_parts import (
    has_cluster_tag,
    is_part,
    made_by_own_cluster,
    own_cluster,
    owns_cluster,
)

TAGS_PER_CALL = 20
"""Most load balancers in one DescribeTags call, of the APIs 2012-06-01 and 2015-12-01."""

CLASSIC = "classic"

GONE = ("LoadBalancerNotFound", "TargetGroupNotFound")
"""Codes with which DescribeTags refuses a whole call, because one of several is gone."""

PRICES: Mapping[str, str] = MappingProxyType(
    {CLASSIC: "elb", "application": "alb", "network": "nlb"}
)
"""Type of a load balancer -> the key of its hourly price."""


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer of any kind; `kind` is its type, a Classic one has no ARN.

    `addresses` are its public ones: one in each of its zones.
    """

    name: str
    kind: str
    vpc: str
    since: datetime
    groups: tuple[str, ...]
    addresses: int
    tags: Item
    arn: str = ""

    @property
    def in_interfaces(self) -> str:
        """How the descriptions of its network interfaces name it."""
        return self.arn.partition(":loadbalancer/")[2] or self.name

    @property
    def command(self) -> str:
        """The command that deletes it."""
        if self.arn:
            return f"aws elbv2 delete-load-balancer --load-balancer-arn {self.arn}"
        return f"aws elb delete-load-balancer --load-balancer-name {self.name}"

    @property
    def price_key(self) -> str:
        """The key of its hourly price, without its addresses and what it carries."""
        return PRICES.get(self.kind, self.kind)


def load_balancers(ctx: Context, vpc_id: str) -> list[str]:
    """Return the names of the Classic ELBs in a VPC."""
    return [str(item["LoadBalancerName"]) for item in _classic(ctx, vpc_id)]


def _classic(ctx: Context, vpc_id: str) -> list[Item]:
    listed = pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions")
    return [item for item in listed if not vpc_id or item.get("VPCId") == vpc_id]


def _all(ctx: Context, *, vpc_id: str = "") -> Iterator[LoadBalancer]:
    """Yield the load balancers of the region, or of a VPC: Classic, application and network."""
    classic = {str(item["LoadBalancerName"]): item for item in _classic(ctx, vpc_id)}
    tags = _classic_tags(ctx, [*classic])
    for name, item in classic.items():
        since, groups = item["CreatedTime"], tuple(item.get("SecurityGroups", ()))
        vpc = str(item.get("VPCId", ""))
        yield LoadBalancer(name, CLASSIC, vpc, since, groups, _addresses(item), tags[name])
    listed = pages(ctx.aws.client("elbv2"), "describe_load_balancers", "LoadBalancers")
    later = [item for item in listed if not vpc_id or item["VpcId"] == vpc_id]
    tags = tags_of_arns(ctx, [str(item["LoadBalancerArn"]) for item in later])
    for item in later:
        arn, groups = str(item["LoadBalancerArn"]), tuple(item.get("SecurityGroups", ()))
        name, kind, vpc = (str(item[key]) for key in ("LoadBalancerName", "Type", "VpcId"))
        since = item["CreatedTime"]
        yield LoadBalancer(name, kind, vpc, since, groups, _addresses(item), tags[arn], arn)


def _addresses(item: Item) -> int:
    public = item.get("Scheme") == "internet-facing"
    return len(item.get("AvailabilityZones", ())) if public else 0


def owned_load_balancers(ctx: Context) -> list[LoadBalancer]:
    """Return the load balancers that are provably the deployment's or its cluster's."""
    return find_load_balancers(ctx)[0]


def find_load_balancers(ctx: Context) -> tuple[list[LoadBalancer], list[LoadBalancer]]:
    """Return the load balancers that are certainly this deployment's, and those in doubt.

    Certain are those with the tags of the deployment and its cluster; and those of the cluster
    alone, in its VPC, while it exists and as far as they are not older. The others with the tag
    of a cluster of this name are in doubt, unless that name is the one of a cluster of others.
    """
    certain, doubtful = [], []
    for each in _all(ctx):
        if has_cluster_tag(ctx, each.tags):
            owner = tag_of(each.tags, DEPLOYMENT_TAG)
            if owner == ctx.config.deployment_name or _is_of_own_cluster(ctx, each):
                certain.append(each)
            elif not owner and owns_cluster(ctx):
                doubtful.append(each)
    return certain, doubtful


def _is_of_own_cluster(ctx: Context, balancer: LoadBalancer) -> bool:
    vpc = (own_cluster(ctx) or {}).get("resourcesVpcConfig", {}).get("vpcId")
    in_vpc = balancer.vpc == vpc
    return in_vpc and made_by_own_cluster(ctx, balancer.tags, since=balancer.since)


def _classic_tags(ctx: Context, names: Sequence[str]) -> dict[str, Item]:
    """Return name -> tags of Classic ELBs."""

    def read(part: Sequence[str]) -> dict[str, Item]:
        answer = ctx.aws.elb.describe_tags(LoadBalancerNames=part)
        return {str(item["LoadBalancerName"]): item for item in answer["TagDescriptions"]}

    return _read_tags(read, names)


def tags_of_arns(ctx: Context, arns: Sequence[str]) -> dict[str, Item]:
    """Return ARN -> tags of application and network load balancers, or of target groups."""

    def read(part: Sequence[str]) -> dict[str, Item]:
        answer = ctx.aws.client("elbv2").describe_tags(ResourceArns=part)
        return {str(item["ResourceArn"]): item for item in answer["TagDescriptions"]}

    return _read_tags(read, arns)


def _read_tags(
    read: Callable[[Sequence[str]], dict[str, Item]], keys: Sequence[str]
) -> dict[str, Item]:
    """Return key -> tags, with a call for each TAGS_PER_CALL; what is gone meanwhile has none."""
    found: dict[str, Item] = {key: {} for key in keys}
    for at in range(0, len(keys), TAGS_PER_CALL):
        part = keys[at : at + TAGS_PER_CALL]
        try:
            found |= read(part)
        except ClientError as error:
            if error_code(error) not in GONE:
                raise
            for key in part if len(part) > 1 else ():
                found |= _read_tags(read, [key])
    return found


def delete_owned(ctx: Context, balancers: Sequence[LoadBalancer]) -> list[SetupError]:
    """Delete load balancers; return the errors of those with deletion protection."""
    errors = []
    for each in balancers:
        try:
            _delete(ctx, each)
        except SetupError as error:
            errors.append(error)
    return errors


def delete_load_balancers(ctx: Context, vpc_id: str) -> Collection[str]:
    """Delete this deployment's load balancers in a VPC: Classic, application and network.

    Returns the names of the others in it, as the descriptions of their interfaces have them.

    Raises:
        SetupError: one has deletion protection.
    """
    kept = set()
    for each in [*_all(ctx, vpc_id=vpc_id)]:
        if is_part(ctx, each.tags):
            _delete(ctx, each)
        else:
            kept.add(each.in_interfaces)
    return kept


def _delete(ctx: Context, balancer: LoadBalancer) -> None:
    """Delete a load balancer; deletion protection, which no Classic one has, is respected.

    One that does not exist any more is fine for both APIs.
    """
    name, arn = balancer.name, balancer.arn
    ctx.note(f"deleting load balancer {name}")
    if not arn:
        ctx.aws.elb.delete_load_balancer(LoadBalancerName=name)
        return
    try:
        ctx.aws.client("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    except ClientError as error:
        if error_code(error) != "OperationNotPermitted":
            raise
        raise SetupError(
            f"load balancer {name} was not deleted",
            "its deletion protection is on",
            "run `aws elbv2 modify-load-balancer-attributes --attributes "
            f"Key=deletion_protection.enabled,Value=false --load-balancer-arn {arn}`, "
            "then destroy again",
        ) from error

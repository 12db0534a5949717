"""Stale reads: new resources are not visible yet, as in an eventually consistent cloud."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call

NOT_FOUND_BY_ID_PREFIX = {
    "vpc": "InvalidVpcID.NotFound",
    "subnet": "InvalidSubnetID.NotFound",
    "igw": "InvalidInternetGatewayID.NotFound",
    "rtb": "InvalidRouteTableID.NotFound",
    "nat": "NatGatewayNotFound",
    "eipalloc": "InvalidAllocationID.NotFound",
    "sg": "InvalidGroup.NotFound",
    "i": "InvalidInstanceID.NotFound",
    "lt": "InvalidLaunchTemplateId.NotFound",
    "vol": "InvalidVolume.NotFound",
    "eni": "InvalidNetworkInterfaceID.NotFound",
    "ami": "InvalidAMIID.NotFound",
    "snap": "InvalidSnapshot.NotFound",
}
"""EC2's not-found code by the prefix of the id (EC2 API reference, error codes)."""

_ID = re.compile(r"^([a-z]+)-[0-9a-f]{8,17}$")


def id_prefix(value: str) -> str:
    """Return the prefix of an EC2 id ("vpc" of "vpc-0a1b…"), or an empty string."""
    found = _ID.match(value)
    return found.group(1) if found and found.group(1) in NOT_FOUND_BY_ID_PREFIX else ""


def ec2_ids_in(value: object) -> Iterator[str]:
    """Yield every EC2 id in a request or an answer."""
    if isinstance(value, str):
        if id_prefix(value):
            yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from ec2_ids_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from ec2_ids_in(member)


class ConsistencyDelays:
    """The ids and names that are not visible yet, and until when."""

    def __init__(self) -> None:
        """Start with everything visible."""
        self._until: dict[str, float] = {}
        self._names = NamedResourceDelays()

    def hide(self, request: Call, answer: dict[str, Any], *, until: float) -> None:
        """Hide the new names and ids: those of an answer that its request does not have."""
        self._names.hide(request, answer, until=until)
        for new in set(ec2_ids_in(answer)) - set(ec2_ids_in(request.params)):
            self._until[new] = until

    def hidden(self, now: float) -> set[str]:
        """Return the ids that are not visible now."""
        self._until = {key: until for key, until in self._until.items() if until > now}
        return set(self._until)

    def any_hidden(self, now: float) -> bool:
        """Return whether anything is not visible now."""
        return bool(self.hidden(now) or self._names.hidden(now))

    def check(self, call: Call, now: float) -> None:
        """Raise the not-found error of the first hidden name or id in a call."""
        self._names.check(call, now)
        hidden = self.hidden(now) if self._until and call.service == "ec2" else set()
        for named in ec2_ids_in(call.params) if hidden else ():
            if named in hidden:
                raise AwsError(
                    NOT_FOUND_BY_ID_PREFIX[id_prefix(named)], f"The ID '{named}' does not exist"
                )

    def strip(self, call: Call, answer: dict[str, Any], now: float) -> None:
        """Remove hidden resources from the lists of an answer."""
        self._names.strip(call, answer, now)
        hidden = self.hidden(now)
        if not hidden:
            return
        for key, value in answer.items():
            if isinstance(value, list):
                answer[key] = [item for item in value if not _is_one_of(item, hidden)]


def _is_one_of(item: object, hidden: set[str]) -> bool:
    """Return whether the id of a list item is hidden."""
    if not isinstance(item, dict):
        return False
    if "ReservationId" in item:
        item["Instances"] = [i for i in item["Instances"] if i.get("InstanceId") not in hidden]
        return not item["Instances"]
    item_id = next((v for v in item.values() if isinstance(v, str) and v in hidden), None)
    return item_id is not None and id_prefix(item_id) == _id_prefix_of_item(item)


def _id_prefix_of_item(item: dict[str, Any]) -> str:
    """Return the id prefix of an item, by the key that only its kind has."""
    key_by_prefix = {
        "vpc": "DhcpOptionsId",
        "subnet": "AvailableIpAddressCount",
        "igw": "InternetGatewayId",
        "rtb": "RouteTableId",
        "nat": "NatGatewayId",
        "eipalloc": "PublicIp",
        "sg": "GroupName",
        "lt": "LaunchTemplateName",
        "vol": "VolumeType",
        "eni": "NetworkInterfaceId",
        "ami": "ImageId",
    }
    return next((prefix for prefix, member in key_by_prefix.items() if member in item), "")


@dataclass(frozen=True)
class NamedResource:
    """One kind of named resource: its create, its parameters and its list."""

    service: str
    create: str
    parameters: tuple[str, ...]
    """The parameters that name it; the last is its name, the others its parents'."""
    listed: str
    """The key of the list in a list call's answer."""
    member: str = ""
    """The key of the name in a listed item; empty: the item is the name."""
    answered: tuple[str, ...] = ()
    """The path of the name in the create call's answer; empty: the request has it."""


NAMED_RESOURCES = (
    NamedResource("eks", "CreateCluster", ("clusterName",), "clusters"),
    NamedResource("eks", "CreateNodegroup", ("clusterName", "nodegroupName"), "nodegroups"),
    NamedResource("eks", "CreateAddon", ("clusterName", "addonName"), "addons"),
    NamedResource("eks", "CreateAccessEntry", ("clusterName", "principalArn"), "accessEntries"),
    NamedResource("iam", "CreateRole", ("RoleName",), "Roles", "RoleName"),
    NamedResource("iam", "CreatePolicy", ("PolicyArn",), "Policies", "Arn", ("Policy", "Arn")),
    NamedResource(
        "iam",
        "CreateInstanceProfile",
        ("InstanceProfileName",),
        "InstanceProfiles",
        "InstanceProfileName",
    ),
    NamedResource(
        "iam",
        "UploadServerCertificate",
        ("ServerCertificateName",),
        "ServerCertificateMetadataList",
        "ServerCertificateName",
    ),
    NamedResource(
        "iam",
        "CreateOpenIDConnectProvider",
        ("OpenIDConnectProviderArn",),
        "OpenIDConnectProviderList",
        "Arn",
        ("OpenIDConnectProviderArn",),
    ),
    NamedResource(
        "autoscaling",
        "CreateAutoScalingGroup",
        ("AutoScalingGroupName",),
        "AutoScalingGroups",
        "AutoScalingGroupName",
    ),
)
"""The kinds that can be hidden by name."""

NOT_FOUND_BY_SERVICE = {"eks": "ResourceNotFoundException", "iam": "NoSuchEntity"}
"""Not-found code by service (EKS and IAM API references); Auto Scaling lists fewer groups."""

Key = tuple[NamedResource, tuple[str, ...]]


class NamedResourceDelays:
    """The names that are not visible yet, and until when."""

    def __init__(self) -> None:
        """Start with everything visible."""
        self._until: dict[Key, float] = {}

    def hide(self, call: Call, answer: dict[str, Any], *, until: float) -> None:
        """Hide the resource that a call created, if it has a name."""
        for kind in NAMED_RESOURCES:
            if call.key == (kind.service, kind.create):
                found = _answered(kind, answer) if kind.answered else _named(kind, call)
                self._until[kind, found] = until

    def hidden(self, now: float) -> set[Key]:
        """Return the names that are not visible now."""
        self._until = {key: until for key, until in self._until.items() if until > now}
        return set(self._until)

    def check(self, call: Call, now: float) -> None:
        """Raise the not-found error when a call names a hidden resource, except its create call."""
        code = NOT_FOUND_BY_SERVICE.get(call.service, "")
        for kind, name in self.hidden(now) if code else ():
            other = kind.service == call.service and kind.create != call.action
            if other and _named(kind, call) == name:
                raise AwsError(code, f"{name[-1]} cannot be found.", status=404)

    def strip(self, call: Call, answer: dict[str, Any], now: float) -> None:
        """Remove hidden resources from a list."""
        for kind, name in self.hidden(now):
            items = answer.get(kind.listed) if kind.service == call.service else None
            if isinstance(items, list) and _named(kind, call)[:-1] == name[:-1]:
                answer[kind.listed] = [
                    item for item in items if _name_of_item(kind, item) != name[-1]
                ]


def _named(kind: NamedResource, call: Call) -> tuple[str, ...]:
    """Return the names in a request; in calls about a cluster, EKS calls it "name"."""
    params = call.params
    if call.service == "eks" and "name" in params:
        params = params | {"clusterName": params["name"]}
    return tuple(str(params.get(parameter, "")) for parameter in kind.parameters)


def _answered(kind: NamedResource, answer: dict[str, Any]) -> tuple[str, ...]:
    found: Any = answer
    for member in kind.answered:
        found = found[member]
    return (str(found),)


def _name_of_item(kind: NamedResource, item: Any) -> str:
    return str(item[kind.member] if kind.member else item)

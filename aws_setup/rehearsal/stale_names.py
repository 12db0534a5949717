"""Stale reads of what AWS knows by a name: EKS, IAM and Auto Scaling just after a create."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.rules import AwsError, Call


@dataclass(frozen=True)
class NamedResource:
    """One kind of named resource: its create, its parameters and its list."""

    service: str
    create: str
    parameters: tuple[str, ...]
    """The parameters that name it, its own name last."""
    listed: str
    """The member of a list's answer in which it stands."""
    member: str = ""
    """The member of a listed item that is its name; empty: the item is the name."""
    answered: tuple[str, ...] = ()
    """Where the create's answer has the name; empty: the request has it."""


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
"""What can be unseen by its name."""

NOT_FOUND_BY_SERVICE = {"eks": "ResourceNotFoundException", "iam": "NoSuchEntity"}
"""Not-found code by service (EKS and IAM API references); Auto Scaling only lists less."""

Key = tuple[NamedResource, tuple[str, ...]]


class NamedResourceDelays:
    """The names that are not seen yet, and until when."""

    def __init__(self) -> None:
        """Start with nothing unseen."""
        self._until: dict[Key, float] = {}

    def hide(self, call: Call, answer: dict[str, Any], *, until: float) -> None:
        """Hide what a call created, if it has a name."""
        for kind in NAMED_RESOURCES:
            if call.key == (kind.service, kind.create):
                found = _answered(kind, answer) if kind.answered else _named(kind, call)
                self._until[kind, found] = until

    def hidden(self, now: float) -> set[Key]:
        """Return what is not seen now."""
        self._until = {key: until for key, until in self._until.items() if until > now}
        return set(self._until)

    def check(self, call: Call, now: float) -> None:
        """Raise the not-found error when a call names what is not seen; its create may."""
        code = NOT_FOUND_BY_SERVICE.get(call.service, "")
        for kind, name in self.hidden(now) if code else ():
            other = kind.service == call.service and kind.create != call.action
            if other and _named(kind, call) == name:
                raise AwsError(code, f"{name[-1]} cannot be found.", status=404)

    def strip(self, call: Call, answer: dict[str, Any], now: float) -> None:
        """Take what is not seen out of a list."""
        for kind, name in self.hidden(now):
            items = answer.get(kind.listed) if kind.service == call.service else None
            if isinstance(items, list) and _named(kind, call)[:-1] == name[:-1]:
                answer[kind.listed] = [item for item in items if _name_of_item(kind, item) != name[-1]]


def _named(kind: NamedResource, call: Call) -> tuple[str, ...]:
    """Return the names in a request; EKS calls a cluster "name" where it is the subject."""
    params = call.params
    if call.service == "eks" and "name" in params:
        params = params | {"clusterName": params["name"]}
    return tuple(str(params.get(one, "")) for one in kind.parameters)


def _answered(kind: NamedResource, answer: dict[str, Any]) -> tuple[str, ...]:
    found: Any = answer
    for member in kind.answered:
        found = found[member]
    return (str(found),)


def _name_of_item(kind: NamedResource, item: Any) -> str:
    return str(item[kind.member] if kind.member else item)

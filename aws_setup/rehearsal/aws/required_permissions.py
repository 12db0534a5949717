"""What a call needs to be permitted: actions on resources, with the condition keys of AWS.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
(EC2, IAM, EKS, Auto Scaling, Elastic Load Balancing, Systems Manager). Calls of other services,
and reads of all but Systems Manager, need their action on `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from aws_setup.rehearsal.aws.autoscaling.store import GroupsByRegion
from aws_setup.rehearsal.aws.caller_context import (
    conditions,
    of_every_call,
    request_tags,
    roles_named,
)
from aws_setup.rehearsal.aws.certificates import ServerCertificates
from aws_setup.rehearsal.aws.ec2.image_copies import Snapshots
from aws_setup.rehearsal.aws.ec2.images import Images, tags_of
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend
from aws_setup.rehearsal.aws.eks.store import region_store, taggable_documents
from aws_setup.rehearsal.aws.parameters import Parameters, parameter_arn
from aws_setup.rehearsal.core.permissions import check_request, iam_action
from aws_setup.rehearsal.core.policy_evaluator import Request
from aws_setup.rehearsal.core.types import Call, CloudApi

EC2_TYPES = {
    "vpc": "vpc",
    "subnet": "subnet",
    "igw": "internet-gateway",
    "eipalloc": "elastic-ip",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "i": "instance",
    "vol": "volume",
    "eni": "network-interface",
    "lt": "launch-template",
    "ami": "image",
    "snap": "snapshot",
}
"""Prefix of an id -> the type in the resource's ARN."""

_EC2_ID = re.compile(r"^([a-z]+)-[0-9a-f]{8,17}$")

NOT_A_RESOURCE = {
    "CreateRoute": {"GatewayId", "NatGatewayId"},
    "ReplaceRoute": {"GatewayId", "NatGatewayId"},
}
"""Action -> parameters whose ids the action is not authorized on."""


def check_call(cloud: CloudApi, call: Call) -> None:
    """Raise AwsError when the caller's policies do not allow a call."""
    settings = cloud.settings
    if not settings.policies and not settings.service_control_policies:
        return
    of_call = of_every_call(cloud, call)
    for request in required(cloud, call):
        check_request(settings, call, replace(request, context={**of_call, **request.context}))


def required(cloud: CloudApi, call: Call) -> Iterator[Request]:
    """Yield what a call needs; a call on several resources needs its action on each of them."""
    action, tags = iam_action(call), request_tags(call)
    context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if call.reads and not call.params.get("DryRun") and call.service != "ssm":
        yield Request(action)
        return
    resources = RESOURCES.get(call.service, _any)(cloud, call)
    for arn, own_tags in resources:
        held = {f"aws:ResourceTag/{key}": value for key, value in own_tags.items()}
        yield Request(action, arn, {**context, **held, **conditions(cloud, call)})
        yield from _tagging(call, arn, context)


def _tagging(call: Call, arn: str, context: Mapping[str, str]) -> Iterator[Request]:
    """Yield the permission to tag what a call creates; EC2 says which call it was."""
    if not context:
        return
    if call.service == "ec2" and call.action != "CreateTags":
        yield Request("ec2:CreateTags", arn, {**context, "ec2:CreateAction": call.action})
    names = {
        "CreateRole": "iam:TagRole",
        "CreateOpenIDConnectProvider": "iam:TagOpenIDConnectProvider",
        "UploadServerCertificate": "iam:TagServerCertificate",
        "CreateAutoScalingGroup": "autoscaling:CreateOrUpdateTags",
        "PutParameter": "ssm:AddTagsToResource",
        "CreateScheduleGroup": "scheduler:TagResource",
    }
    if call.action in names:
        yield Request(names[call.action], arn, context)
    if call.service == "eks" and call.action.startswith("Create"):
        yield Request("eks:TagResource", arn, context)


Tagged = tuple[str, Mapping[str, str]]
"""The ARN of a resource, and its tags."""


def _any(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    yield "*", {}


def _ec2(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    """Yield the resources whose ids a call has as parameters of its own, else all of the service.

    RunInstances is authorized on everything that an instance uses, new or not. An id that does not
    exist is left to EC2, which answers NotFound; AWS does not document whether it denies first.
    """
    prefix = f"arn:aws:ec2:{call.region}:{call.account}"
    ids, ec2 = [*_ids(cloud, call)], ec2_backend(cloud, call)
    for resource_id in ids:
        kind = resource_id.partition("-")[0]
        if _exists(ec2, kind, resource_id):
            tags = dict(ec2.tags.get(resource_id, {})) | _own_tags(cloud, call.region, resource_id)
            yield f"{prefix}:{EC2_TYPES[kind]}/{resource_id}", tags
    if not ids or call.action == "RunInstances":
        yield f"{prefix}:*/*", {}


def _own_tags(cloud: CloudApi, region: str, resource_id: str) -> dict[str, str]:
    """Return the tags of an AMI or a snapshot, which moto does not store."""
    stores: tuple[dict[tuple[str, str], dict[str, Any]], ...]
    stores = cloud.store_of(Images), cloud.store_of(Snapshots)
    found = (store.get((region, resource_id)) for store in stores)
    return next((tags_of(item) for item in found if item), {})


STORES = {
    "vpc": "vpcs",
    "igw": "internet_gateways",
    "rtb": "route_tables",
    "vol": "volumes",
    "eni": "enis",
    "lt": "launch_templates",
    "nat": "nat_gateways",
}
"""Prefix of an id -> the name of moto's dictionary of such resources."""


def _exists(ec2: Any, kind: str, resource_id: str) -> bool:
    """Say whether EC2 has a resource of this id."""
    if kind in STORES:
        return resource_id in getattr(ec2, STORES[kind])
    if kind == "subnet":
        return any(resource_id in zone for zone in ec2.subnets.values())
    if kind == "sg":
        return ec2.get_security_group_from_id(resource_id) is not None
    if kind == "eipalloc":
        return any(address.allocation_id == resource_id for address in ec2.addresses)
    return True


def _ids(cloud: CloudApi, call: Call) -> Iterator[str]:
    skipped = NOT_A_RESOURCE.get(call.action, set())
    new = call.action.startswith(("Create", "Run")) and call.action not in ON_EXISTING
    for name, value in call.params.items():
        for text in value if isinstance(value, list) else [value]:
            if name == "AssociationId":
                yield _route_table_of(cloud, call, str(text))
            found = _EC2_ID.match(text) if isinstance(text, str) else None
            if found and name not in skipped and found[1] in EC2_TYPES and not new:
                yield str(text)


ON_EXISTING = ("CreateTags", "CreateRoute", "CreateLaunchTemplateVersion")
"""Actions called Create… that change an existing resource."""


def _route_table_of(cloud: CloudApi, call: Call, association: str) -> str:
    """Return the id of an association's route table, one that does not exist where it is gone."""
    for table in ec2_backend(cloud, call).route_tables.values():
        if association in table.all_associations_ids:
            return str(table.id)
    return "rtb-0"


def _iam(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    params, prefix = call.params, f"arn:aws:iam::{call.account}"
    if "RoleName" in params:
        name = params["RoleName"]
        roles = roles_named(cloud, name) if call.action != "CreateRole" else []
        arn = roles[0].arn if roles else f"{prefix}:role{params.get('Path', '/')}{name}"
        yield arn, {}
    elif "ServerCertificateName" in params:
        name = params["ServerCertificateName"]
        uploaded = cloud.store_of(ServerCertificates).get(name)
        new = f"{prefix}:server-certificate{params.get('Path', '/')}{name}"
        if uploaded is None or call.action == "UploadServerCertificate":
            yield new, {}
        else:
            yield uploaded["ServerCertificateMetadata"]["Arn"], {}
    elif "OpenIDConnectProviderArn" in params:
        yield params["OpenIDConnectProviderArn"], {}
    elif "Url" in params:
        yield f"{prefix}:oidc-provider/{params['Url'].removeprefix('https://')}", {}
    elif "AWSServiceName" in params:
        service = params["AWSServiceName"]
        yield f"{prefix}:role/aws-service-role/{service}/AWSServiceRole", {}
    else:
        yield "*", {}


def _eks(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    """Yield the cluster, or the part of it that a call names and does not create."""
    params, prefix = call.params, f"arn:aws:eks:{call.region}:{call.account}"
    cluster = params.get("clusterName") or params.get("name")
    part = {"nodegroupName": "nodegroup", "addonName": "addon", "principalArn": "access-entry"}
    named = [(kind, params[key]) for key, kind in part.items() if key in params]
    if "resourceArn" in params:
        wanted = str(params["resourceArn"])
    elif named and not call.action.startswith("Create"):
        wanted = f"{prefix}:{named[0][0]}/{cluster}/{str(named[0][1]).rpartition('/')[2]}"
        wanted = _with_id(cloud, call, wanted, named[0])
    else:
        wanted = f"{prefix}:cluster/{cluster}"
    documents = dict(taggable_documents(region_store(cloud, call)))
    yield wanted, dict(documents.get(wanted, {}).get("tags", {}))


def _with_id(cloud: CloudApi, call: Call, wanted: str, named: tuple[str, str]) -> str:
    """Return the ARN that EKS has given a part of a cluster: it ends with a random id."""
    for arn, document in taggable_documents(region_store(cloud, call)):
        if named[1] in (document.get("principalArn"), "") or arn.startswith(f"{wanted}/"):
            return arn
    return f"{wanted}/0"


def _autoscaling(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    """Yield the groups that a call names: as a parameter of its own, or each of its tags does."""
    tagged = (tag.get("ResourceId") for tag in call.params.get("Tags") or [])
    name = call.params.get("AutoScalingGroupName")
    names = [name] if name else list(dict.fromkeys(filter(None, tagged)))
    if not names:
        yield "*", {}
    for held in names:
        group = cloud.store_of(GroupsByRegion).get((call.region, held))
        prefix = f"arn:aws:autoscaling:{call.region}:{call.account}:autoScalingGroup"
        new = f"{prefix}:0:autoScalingGroupName/{held}"
        tags = {key: value for key, (value, _) in group.tags.items()} if group else {}
        yield group.arn if group else new, tags


def _elb(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    name = call.params.get("LoadBalancerName")
    balancer = cloud.backend("elb", call.region).load_balancers.get(name)
    arn = f"arn:aws:elasticloadbalancing:{call.region}:{call.account}:loadbalancer/{name}"
    yield arn, dict(balancer.tags) if balancer else {}


def _elbv2(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    """Yield the load balancer or the target group that a call names, else all of the service."""
    arn = call.params.get("LoadBalancerArn") or call.params.get("TargetGroupArn")
    tagging = cloud.backend("elbv2", call.region).tagging_service
    yield (arn, tagging.get_tag_dict_for_resource(arn)) if arn else ("*", {})


def _ssm(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    """Yield the parameters that a call names, or the path that it reads."""
    params = call.params
    names = params.get("Names") or [params.get("Name") or params.get("Path") or "*"]
    for name in names:
        found = cloud.store_of(Parameters).get((call.region, name))
        arn = parameter_arn(cloud.settings.partition, call.region, call.account, name)
        yield arn, found.tags if found else {}


def _scheduler(cloud: CloudApi, call: Call) -> Iterator[Tagged]:
    """Yield the schedule or the group; a schedule has no tags (service authorization reference)."""
    params, prefix = call.params, f"arn:aws:scheduler:{call.region}:{call.account}"
    if "ResourceArn" in params:
        yield params["ResourceArn"], {}
    elif call.action.endswith("ScheduleGroup"):
        yield f"{prefix}:schedule-group/{params['Name']}", {}
    else:
        yield f"{prefix}:schedule/{params.get('GroupName', 'default')}/{params['Name']}", {}


RESOURCES = {
    "ec2": _ec2,
    "iam": _iam,
    "eks": _eks,
    "autoscaling": _autoscaling,
    "elb": _elb,
    "elbv2": _elbv2,
    "ssm": _ssm,
    "scheduler": _scheduler,
}
"""Service -> the resources that a call of it is authorized on."""

"""An instance as DescribeInstances shows it (EC2 API reference, data type Instance)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call

TERMINATED_STATES = ("PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId", "PrivateDnsName")
"""What a terminated instance no longer shows."""


def describe_reservation(ec2: Any, shelf: Any) -> dict[str, Any]:
    """Return a reservation with its instances."""
    return {
        "ReservationId": shelf.id,
        "OwnerId": shelf.owner_id,
        "Groups": [],
        "Instances": [describe_instance(ec2, one) for one in shelf.instances],
    }


def describe_tags(ec2: Any, name: str) -> list[dict[str, str]]:
    """Return a resource's tags as EC2 answers them."""
    return [{"Key": key, "Value": value} for key, value in ec2.tags.get(name, {}).items()]


def describe_instance(ec2: Any, one: Any) -> dict[str, Any]:
    """Return one instance of moto."""
    options = one.metadata_options
    shown = {
        "InstanceId": one.id,
        "ImageId": one.image_id,
        "InstanceType": one.instance_type,
        "State": {"Code": one.state_code, "Name": one.state},
        "StateTransitionReason": one._reason,
        "KeyName": one.key_name,
        "ClientToken": one.client_token or "",
        "AmiLaunchIndex": one.ami_launch_index,
        "LaunchTime": one.launch_time,
        "Placement": {"AvailabilityZone": one.availability_zone, "Tenancy": "default"},
        "Monitoring": {"State": one.monitoring_state},
        "SubnetId": one.subnet_id,
        "VpcId": one.vpc_id,
        "Architecture": one.architecture,
        "RootDeviceName": one.root_device_name,
        "RootDeviceType": "ebs",
        "VirtualizationType": one.virtualization_type,
        "Hypervisor": "xen",
        "EnaSupport": True,
        "EbsOptimized": bool(one.ebs_optimized),
        "SourceDestCheck": True,
        "IamInstanceProfile": one.iam_instance_profile,
        "MetadataOptions": {
            "State": options.state,
            "HttpTokens": options.http_tokens,
            "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
            "HttpEndpoint": options.http_endpoint,
            "InstanceMetadataTags": options.instance_metadata_tags,
        },
        "Tags": describe_tags(ec2, one.id),
    }
    shown |= _network(one) | {"BlockDeviceMappings": _disks(one)}
    if one.state != "terminated":
        return shown
    left = {name: value for name, value in shown.items() if name not in TERMINATED_STATES}
    emptied: dict[str, Any] = {"NetworkInterfaces": [], "SecurityGroups": []}
    return left | emptied | {"BlockDeviceMappings": []}


def _network(one: Any) -> dict[str, Any]:
    return {
        "PrivateIpAddress": one.private_ip,
        "PrivateDnsName": one.private_dns_name,
        "PublicIpAddress": one.public_ip,
        "PublicDnsName": one.public_dns_name or "",
        "SecurityGroups": _groups(one.security_groups),
        "NetworkInterfaces": [_interface(eni) for eni in one.nics.values()],
    }


def _groups(groups: Any) -> list[dict[str, str]]:
    return [{"GroupId": group.id, "GroupName": group.name} for group in groups]


def _interface(eni: Any) -> dict[str, Any]:
    shown = {
        "NetworkInterfaceId": eni.id,
        "Status": eni.status,
        "SubnetId": eni.subnet.id,
        "VpcId": eni.subnet.vpc_id,
        "OwnerId": eni.owner_id,
        "Description": eni.description,
        "MacAddress": eni.mac_address,
        "InterfaceType": "interface",
        "SourceDestCheck": eni.source_dest_check,
        "PrivateIpAddress": eni.private_ip_address,
        "Groups": _groups(eni._group_set),
        "Attachment": {
            "AttachmentId": eni.attachment_id,
            "AttachTime": eni.attach_time,
            "DeleteOnTermination": bool(eni.delete_on_termination),
            "DeviceIndex": eni.device_index,
            "NetworkCardIndex": 0,
            "Status": "attached",
        },
    }
    public = {"PublicIp": eni.public_ip, "PublicDnsName": "", "IpOwnerId": "amazon"}
    shown |= {"Association": public} if eni.public_ip else {}
    return shown | {"PrivateIpAddresses": [_address(eni, one) for one in eni.private_ip_addresses]}


def _address(eni: Any, one: dict[str, Any]) -> dict[str, Any]:
    first = one["PrivateIpAddress"] == eni.private_ip_address
    return {"PrivateIpAddress": one["PrivateIpAddress"], "Primary": first}


def _disks(one: Any) -> list[dict[str, Any]]:
    return [
        {
            "DeviceName": device,
            "Ebs": {
                "VolumeId": disk.volume_id,
                "Status": one.get_block_device_status(disk.status),
                "AttachTime": disk.attach_time,
                "DeleteOnTermination": bool(disk.delete_on_termination),
            },
        }
        for device, disk in one.get_block_device_mapping
    ]


Item = dict[str, Any]
Paths = Mapping[str, str]
"""Filter name to the path of its values in an item; lists on the way are walked through."""


def values_at_path(item: Any, path: str) -> list[str]:
    """Return the texts at the end of a dotted path."""
    here: list[Any] = [item]
    for name in path.split("."):
        here = [found for one in here for found in _step(one, name)]
    return [_text(value) for value in here]


def _step(one: Any, name: str) -> list[Any]:
    value = one.get(name) if isinstance(one, dict) else None
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def apply_filters(items: Iterable[Item], filters: Sequence[Item], paths: Paths) -> list[Item]:
    """Return the items that match every filter; raises AwsError for an unknown filter."""
    wanted = [(one["Name"], _pattern(one.get("Values", []))) for one in filters]
    for name, _ in wanted:
        if not name.startswith("tag:") and name not in paths and name != "tag-key":
            message = f"The filter '{name}' is invalid, or not in the rehearsal cloud"
            raise AwsError("InvalidParameterValue", message)
    return [item for item in items if all(_matches(item, one, paths) for one in wanted)]


def _matches(item: Item, wanted: tuple[str, re.Pattern[str]], paths: Paths) -> bool:
    name, pattern = wanted
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        found = [tag["Value"] for tag in item.get("Tags", []) if tag["Key"] == key]
    else:
        found = values_at_path(item, "Tags.Key" if name == "tag-key" else paths[name])
    return any(pattern.fullmatch(value) for value in found)


def _pattern(values: Sequence[str]) -> re.Pattern[str]:
    texts = (re.escape(str(value)).replace(r"\*", ".*").replace(r"\?", ".") for value in values)
    return re.compile("|".join(f"(?:{text})" for text in texts) or r"(?!)", re.DOTALL)


def paginate(call: Call, items: list[Item], key: str) -> dict[str, Any]:
    """Return the page that a call asks for, with the token of the next one."""
    start = int(call.params.get("NextToken") or 0)
    size = call.params.get("MaxResults")
    end = start + int(size) if size else len(items)
    answer: dict[str, Any] = {key: items[start:end]}
    if end < len(items):
        answer["NextToken"] = str(end)
    return answer

"""Instances as DescribeInstances returns them (data type Instance); filters and pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call

TERMINATED_STATES = ("PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId", "PrivateDnsName")
"""Keys that a terminated instance no longer has."""


def describe_reservation(ec2: Any, reservation: Any) -> dict[str, Any]:
    """Return a reservation with its instances."""
    return {
        "ReservationId": reservation.id,
        "OwnerId": reservation.owner_id,
        "Groups": [],
        "Instances": [describe_instance(ec2, instance) for instance in reservation.instances],
    }


def describe_tags(ec2: Any, name: str) -> list[dict[str, str]]:
    """Return a resource's tags as EC2 answers them."""
    return [{"Key": key, "Value": value} for key, value in ec2.tags.get(name, {}).items()]


def describe_instance(ec2: Any, instance: Any) -> dict[str, Any]:
    """Return one instance of moto."""
    options = instance.metadata_options
    shown = {
        "InstanceId": instance.id,
        "ImageId": instance.image_id,
        "InstanceType": instance.instance_type,
        "State": {"Code": instance.state_code, "Name": instance.state},
        "StateTransitionReason": instance._reason,
        "StateReason": {
            "Code": getattr(instance.state_reason, "code", "") or "",
            "Message": getattr(instance.state_reason, "message", "") or "",
        },
        "KeyName": instance.key_name,
        "ClientToken": instance.client_token or "",
        "AmiLaunchIndex": instance.ami_launch_index,
        "LaunchTime": instance.launch_time,
        "Placement": {"AvailabilityZone": instance.availability_zone, "Tenancy": "default"},
        "Monitoring": {"State": instance.monitoring_state},
        "SubnetId": instance.subnet_id,
        "VpcId": instance.vpc_id,
        "Architecture": instance.architecture,
        "RootDeviceName": instance.root_device_name,
        "RootDeviceType": "ebs",
        "VirtualizationType": instance.virtualization_type,
        "Hypervisor": "xen",
        "EnaSupport": True,
        "EbsOptimized": bool(instance.ebs_optimized),
        "SourceDestCheck": True,
        "IamInstanceProfile": instance.iam_instance_profile,
        "MetadataOptions": {
            "State": options.state,
            "HttpTokens": options.http_tokens,
            "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
            "HttpEndpoint": options.http_endpoint,
            "InstanceMetadataTags": options.instance_metadata_tags,
        },
        "Tags": describe_tags(ec2, instance.id),
    }
    if instance.lifecycle:
        shown["InstanceLifecycle"] = instance.lifecycle
    shown |= _network(instance) | {"BlockDeviceMappings": _disks(instance)}
    if instance.state != "terminated":
        return shown
    kept = {name: value for name, value in shown.items() if name not in TERMINATED_STATES}
    emptied: dict[str, Any] = {"NetworkInterfaces": [], "SecurityGroups": []}
    return kept | emptied | {"BlockDeviceMappings": []}


def hold(instance: dict[str, Any], *, volumes: str, interfaces: str) -> None:
    """Show disks but the first and interfaces of an instance in a state, where there is one."""
    for disk in instance["BlockDeviceMappings"][1:] if volumes not in ("", "error") else ():
        disk["Ebs"]["Status"] = volumes
    for interface in instance["NetworkInterfaces"] if interfaces else ():
        interface["Status"] = interfaces


def _network(instance: Any) -> dict[str, Any]:
    return {
        "PrivateIpAddress": instance.private_ip,
        "PrivateDnsName": instance.private_dns_name,
        "PublicIpAddress": instance.public_ip,
        "PublicDnsName": instance.public_dns_name or "",
        "SecurityGroups": _groups(instance.security_groups),
        "NetworkInterfaces": [_interface(eni) for eni in instance.nics.values()],
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
    return shown | {
        "PrivateIpAddresses": [_address(eni, address) for address in eni.private_ip_addresses]
    }


def _address(eni: Any, address: dict[str, Any]) -> dict[str, Any]:
    first = address["PrivateIpAddress"] == eni.private_ip_address
    return {"PrivateIpAddress": address["PrivateIpAddress"], "Primary": first}


def _disks(instance: Any) -> list[dict[str, Any]]:
    return [
        {
            "DeviceName": device,
            "Ebs": {
                "VolumeId": disk.volume_id,
                "Status": instance.get_block_device_status(disk.status),
                "AttachTime": disk.attach_time,
                "DeleteOnTermination": bool(disk.delete_on_termination),
            },
        }
        for device, disk in instance.get_block_device_mapping
    ]


Item = dict[str, Any]
Paths = Mapping[str, str]
"""Filter name -> the path of its values in an item; a path continues in each list entry."""


def values_at_path(item: Any, path: str) -> list[str]:
    """Return the texts at the end of a dotted path."""
    values: list[Any] = [item]
    for name in path.split("."):
        values = [found for entry in values for found in _step(entry, name)]
    return [_text(value) for value in values]


def _step(parent: Any, name: str) -> list[Any]:
    value = parent.get(name) if isinstance(parent, dict) else None
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def apply_filters(items: Iterable[Item], filters: Sequence[Item], paths: Paths) -> list[Item]:
    """Return the items that match every filter; raises AwsError for an unknown filter."""
    patterns = [
        (name_filter["Name"], _pattern(name_filter.get("Values", []))) for name_filter in filters
    ]
    for name, _ in patterns:
        if not name.startswith("tag:") and name not in paths and name != "tag-key":
            message = f"The filter '{name}' is invalid, or not emulated"
            raise AwsError("InvalidParameterValue", message)
    return [item for item in items if all(_matches(item, entry, paths) for entry in patterns)]


def _matches(item: Item, name_and_pattern: tuple[str, re.Pattern[str]], paths: Paths) -> bool:
    name, pattern = name_and_pattern
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
    """Return the page of a call, with the token of the next page."""
    start = int(call.params.get("NextToken") or 0)
    size = call.params.get("MaxResults")
    end = start + int(size) if size else len(items)
    answer: dict[str, Any] = {key: items[start:end]}
    if end < len(items):
        answer["NextToken"] = str(end)
    return answer

"""The checks of RunInstances.

EC2 API reference, RunInstances, and its error codes.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.aws.ec2 import images, limits
from aws_setup.rehearsal.aws.ec2 import limits as quotas
from aws_setup.rehearsal.aws.ec2.lookup import (
    check_address,
    count_free_addresses,
    ec2_backend,
    find_security_group,
    find_subnet,
    tags_for,
)
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

USER_DATA_LIMIT = 16 * 1024
"""Bytes of user data before base64 (EC2 user guide, "Run commands at launch")."""

TAGGABLE = {"instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu"}


class LaunchTokens(dict[tuple[str, str], list[Any]]):
    """The instances of each region and client token; AWS keeps it when it lists them no more."""


def refuse_ended_token(cloud: CloudApi, call: Call) -> None:
    """Reject the client token of instances that have been terminated.

    EC2 API reference, "Error codes": IdempotentInstanceTerminated. A token is valid for at least 24
    hours after the termination ("Ensuring idempotency"); this cloud keeps it for ever.
    """
    if call.key != ("ec2", "RunInstances") or call.params.get("DryRun"):
        return
    token = str(call.params.get("ClientToken", ""))
    launched = cloud.store_of(LaunchTokens).get((call.region, token), [])
    if launched and all(instance.state == "terminated" for instance in launched):
        message = f"The instances of the client token '{token}' have been terminated."
        raise AwsError("IdempotentInstanceTerminated", message)


@dataclass(frozen=True)
class CheckedLaunch:
    """A launch that passed all checks."""

    params: dict[str, Any]
    """The request, completed with the launch template's data."""
    image: dict[str, Any]
    subnet: Any
    groups: list[Any]
    count: int
    template: Any = None


def check_run_instances(cloud: CloudApi, call: Call) -> CheckedLaunch:
    """Check a RunInstances request; raises AwsError with AWS's code for the first problem."""
    ec2 = ec2_backend(cloud, call)
    template = _template(ec2, call.params)
    params = _merged(template.data if template else {}, call.params)
    if not params.get("ImageId"):
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    image = images.launchable_image(cloud, call.region, params["ImageId"])
    instance_type = params.setdefault("InstanceType", "m1.small")
    limits.vcpus(instance_type)
    _check_extras(cloud, ec2, params)
    subnet = _subnet(ec2, params)
    groups = _groups(ec2, params, subnet)
    limits.check_offered(cloud, call.region, subnet.availability_zone, instance_type)
    if not params.get("DryRun"):  # EC2 looks for capacity only when it launches
        limits.check_capacity(cloud, subnet.availability_zone, instance_type)
    count = _count(cloud, call, ec2, params, subnet)
    _check_private_address(ec2, params, subnet, count)
    return CheckedLaunch(params, image, subnet, groups, count, template)


def _template(ec2: Any, params: dict[str, Any]) -> Any:
    """Return the version of the launch template that a request names, or None."""
    requested = params.get("LaunchTemplate")
    if not requested:
        return None
    name = requested.get("LaunchTemplateName", "")
    template_id = requested.get("LaunchTemplateId") or ec2.launch_template_name_to_ids.get(name)
    found = ec2.launch_templates.get(template_id)
    if found is None:
        code = "InvalidLaunchTemplateName.NotFoundException" if name else "InvalidLaunchTemplateId"
        code = code if name else f"{code}.NotFound"
        message = f"The specified launch template, {name or template_id}, does not exist."
        raise AwsError(code, message)
    version = str(requested.get("Version", "$Default"))
    chosen = {"$Latest": found.latest_version_number, "$Default": found.default_version_number}
    return found.get_version(int(chosen.get(version, version)))


def _merged(template: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Return a template's data overridden by a request (RunInstances, LaunchTemplate)."""
    merged = {**template, **request}
    kinds = sorted(TAGGABLE)
    both = {kind: tags_for(template, kind) | tags_for(request, kind) for kind in kinds}
    merged["TagSpecifications"] = [
        {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        for kind, tags in both.items()
        if tags
    ]
    return merged


def _check_extras(cloud: CloudApi, ec2: Any, params: dict[str, Any]) -> None:
    key = params.get("KeyName")
    if key and key not in ec2.key_pairs:
        raise AwsError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    data = params.get("UserData", "")
    if data and len(base64.b64decode(data)) > USER_DATA_LIMIT:
        raise AwsError("InvalidParameterValue", "User data is limited to 16384 bytes")
    _check_profile(cloud, params.get("IamInstanceProfile", {}))
    for specification in params["TagSpecifications"]:
        for tag in specification["Tags"]:
            check_tag(tag["Key"], str(tag["Value"]))


def check_tag(key: str, value: str) -> None:
    """Reject an invalid tag (EC2 user guide, "Tag restrictions")."""
    if key.lower().startswith("aws:"):
        message = "Tag keys starting with 'aws:' are reserved for internal use"
        raise AwsError("InvalidParameterValue", message)
    if not 0 < len(key) <= 128 or len(value) > 256:
        message = f"Tag key or value is too long (128 and 256 characters): {key[:140]}"
        raise AwsError("InvalidParameterValue", message)


def _check_profile(cloud: CloudApi, profile: dict[str, str]) -> None:
    name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
    known = {p.name for p in cloud.backend("iam").instance_profiles.values()}
    if name and name not in known:
        what = "name" if profile.get("Name") else "ARN"
        value = profile.get("Name") or profile.get("Arn")
        message = f"Value ({value}) for parameter iamInstanceProfile.{what.lower()} is invalid. "
        raise AwsError("InvalidParameterValue", f"{message}Invalid IAM Instance Profile {what}")


def requested_interfaces(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the request's network interfaces; empty when it has its own subnet and groups."""
    return list(params.get("NetworkInterfaces") or [])


def _subnet(ec2: Any, params: dict[str, Any]) -> Any:
    nics = requested_interfaces(params)
    if len(nics) > 1 or any("NetworkInterfaceId" in nic for nic in nics):
        message = "not emulated: several network interfaces, or an existing one"
        raise AwsError("InvalidParameterValue", message)
    if nics and (params.get("SubnetId") or params.get("PrivateIpAddress")):
        raise _combination("an instance-level subnet ID")
    if nics and (params.get("SecurityGroupIds") or params.get("SecurityGroups")):
        raise _combination("an instance-level security groups")
    subnet_id = params.get("SubnetId") or next((n["SubnetId"] for n in nics if "SubnetId" in n), "")
    zone = params.get("Placement", {}).get("AvailabilityZone", "")
    if subnet_id:
        return find_subnet(ec2, subnet_id)
    default = ec2.get_default_subnets()
    if not default or (zone and zone not in default):
        raise AwsError("MissingInput", "No subnets found for the default VPC. Specify a subnet.")
    return default[zone or min(default)]


def _combination(what: str) -> AwsError:
    message = f"Network interfaces and {what} may not be specified on the same request"
    return AwsError("InvalidParameterCombination", message)


def _groups(ec2: Any, params: dict[str, Any], subnet: Any) -> list[Any]:
    ids = list(params.get("SecurityGroupIds") or [])
    ids += [group for nic in requested_interfaces(params) for group in nic.get("Groups", [])]
    groups = [find_security_group(ec2, group_id) for group_id in dict.fromkeys(ids)]
    for name in params.get("SecurityGroups") or []:
        found = ec2.get_security_group_from_name(name, subnet.vpc_id)
        groups.append(found or find_security_group(ec2, name))
    for group in groups:
        if group.vpc_id != subnet.vpc_id:
            message = (
                f"Security group {group.id} and subnet {subnet.id} belong to different networks."
            )
            raise AwsError("InvalidParameter", message)
    return groups or [ec2.get_default_security_group(subnet.vpc_id)]


def _count(cloud: CloudApi, call: Call, ec2: Any, params: dict[str, Any], subnet: Any) -> int:
    """Return the number of instances to start: as many as fit, from MinCount to MaxCount."""
    least, most = int(call.params.get("MinCount", 1)), int(call.params.get("MaxCount", 1))
    if not 1 <= least <= most:
        message = f"Invalid value '{most}' for maxCount: it is below minCount {least}"
        raise AwsError("InvalidParameterValue", message)
    spot = is_spot(params)
    allowed = quotas.remaining_instances(cloud, call.region, params["InstanceType"], spot=spot)
    if allowed < least:
        raise quotas.vcpu_limit_exceeded(cloud, spot=spot)
    addresses = count_free_addresses(ec2, subnet)
    if addresses < least:
        message = f"There are not enough free addresses in subnet '{subnet.id}'"
        raise AwsError("InsufficientFreeAddressesInSubnet", message)
    return min(most, allowed, addresses)


def is_spot(params: dict[str, Any]) -> bool:
    """Return whether a request is for one-time Spot Instances.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotMarketOptions.html
    """
    options = params.get("InstanceMarketOptions") or {}
    if not options:
        return False
    kind = options.get("SpotOptions", {}).get("SpotInstanceType", "one-time")
    if options.get("MarketType") != "spot" or kind != "one-time":
        message = "not emulated: market options other than one-time Spot Instances"
        raise AwsError("InvalidParameterValue", message)
    return True


def private_address(params: dict[str, Any]) -> str:
    """Return the private address of a request, or an empty string."""
    named = [params.get("PrivateIpAddress", "")]
    for nic in requested_interfaces(params):
        named.append(nic.get("PrivateIpAddress", ""))
        named += [a["PrivateIpAddress"] for a in nic.get("PrivateIpAddresses", [])]
    return next((address for address in named if address), "")


def _check_private_address(ec2: Any, params: dict[str, Any], subnet: Any, count: int) -> None:
    address = private_address(params)
    if address and count > 1:
        message = "A private IP address cannot be assigned to more than one instance"
        raise AwsError("InvalidParameterCombination", message)
    if address:
        check_address(ec2, subnet, address)

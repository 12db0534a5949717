"""Instances: run, describe and terminate; console output.

EC2 user guide, "Amazon EC2 instance state changes".
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from aws_setup.rehearsal.aws.ec2 import describe
from aws_setup.rehearsal.aws.ec2.describe import apply_filters, paginate
from aws_setup.rehearsal.aws.ec2.launch import (
    CheckedLaunch,
    LaunchTokens,
    check_run_instances,
    is_spot,
    private_address,
    refuse_ended_token,
    requested_interfaces,
)
from aws_setup.rehearsal.aws.ec2.lookup import draw_addresses, ec2_backend, tags_for
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi

LISTED_AFTER_TERMINATION_SECONDS = 3600
"""Seconds for which a terminated instance is listed."""

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}
CODES |= {"stopping": 64, "stopped": 80}

PASSED_ON = (
    "UserData",
    "KeyName",
    "EbsOptimized",
    "Monitoring",
    "MetadataOptions",
    "IamInstanceProfile",
    "InstanceInitiatedShutdownBehavior",
    "DisableApiStop",
    "TagSpecifications",
    "ClientToken",
)
"""Parameters that are passed to moto unchanged."""

FILTERS = {
    "availability-zone": "Placement.AvailabilityZone",
    "client-token": "ClientToken",
    "dns-name": "PublicDnsName",
    "iam-instance-profile.arn": "IamInstanceProfile.Arn",
    "image-id": "ImageId",
    "instance-id": "InstanceId",
    "instance-state-code": "State.Code",
    "instance-state-name": "State.Name",
    "instance-type": "InstanceType",
    "instance.group-id": "SecurityGroups.GroupId",
    "instance.group-name": "SecurityGroups.GroupName",
    "ip-address": "PublicIpAddress",
    "key-name": "KeyName",
    "network-interface.group-id": "NetworkInterfaces.Groups.GroupId",
    "network-interface.network-interface-id": "NetworkInterfaces.NetworkInterfaceId",
    "network-interface.subnet-id": "NetworkInterfaces.SubnetId",
    "network-interface.addresses.private-ip-address": "NetworkInterfaces.PrivateIpAddress",
    "private-dns-name": "PrivateDnsName",
    "private-ip-address": "PrivateIpAddress",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
}


class LaunchFailures:
    """What is told of machines that end while they start: `tell` takes cloud, id and reason."""

    tell: Callable[[CloudApi, str, str], None] = staticmethod(lambda cloud, key, why: None)


def set_state(instance: Any, name: str) -> None:
    """Set the state of an instance of moto."""
    instance._state.name, instance._state.code = name, CODES[name]


def _run(cloud: CloudApi, call: Call) -> dict[str, Any]:
    ec2, launch = ec2_backend(cloud, call), check_run_instances(cloud, call)
    draw_addresses(cloud, ec2, launch.subnet, launch.count)
    created = cloud.ask_action(call, "RunInstances", **_request(launch))
    ids = [item["InstanceId"] for item in created["Instances"]]
    instances = ec2.get_multi_instances_by_id(ids)
    if token := launch.params.get("ClientToken"):
        cloud.store_of(LaunchTokens)[call.region, token] = list(instances)
    for instance in instances:
        _complete_instance(instance, launch)
        cloud.schedule("instance running", _launch_instances(cloud, ec2, instance))
    return describe.describe_reservation(ec2, ec2.reservations[created["ReservationId"]])


def _launch_instances(cloud: CloudApi, ec2: Any, instance: Any) -> Any:
    def run() -> None:
        if instance.state != "pending":
            return
        failure = cloud.faults.launch_failure(instance.instance_type)
        if failure is None:
            set_state(instance, "running")
            return
        _finish_termination(cloud, ec2, instance)()
        # API_StateReason: the code has the side that is at fault as its prefix.
        instance.state_reason = SimpleNamespace(code=failure[0], message=failure[1])
        instance._reason = failure[0].split(".")[-1]
        cloud.store_of(LaunchFailures).tell(cloud, instance.id, failure[1])

    return run


def _request(launch: CheckedLaunch) -> dict[str, Any]:
    """Return the request with network interfaces: the form that moto handles correctly."""
    params = launch.params
    request = {name: params[name] for name in PASSED_ON if params.get(name)}
    tagged = [
        t for t in request.get("TagSpecifications", []) if t["ResourceType"] in TAGGED_BY_MOTO
    ]
    if "IamInstanceProfile" in request:
        request["IamInstanceProfile"] = _by_name(request["IamInstanceProfile"])
    return request | {
        "ImageId": launch.image["ImageId"],
        "InstanceType": params["InstanceType"],
        "MinCount": launch.count,
        "MaxCount": launch.count,
        "TagSpecifications": tagged,
        "NetworkInterfaces": [_interface(launch)],
        "BlockDeviceMappings": _disks(launch),
    }


TAGGED_BY_MOTO = ("instance", "volume")


def _by_name(profile: dict[str, str]) -> dict[str, str]:
    return {"Name": profile.get("Name") or profile["Arn"].rpartition("/")[2]}


def _interface(launch: CheckedLaunch) -> dict[str, Any]:
    requested = next(iter(requested_interfaces(launch.params)), {})
    public = requested.get("AssociatePublicIpAddress", launch.subnet.map_public_ip_on_launch)
    interface = {
        "DeviceIndex": 0,
        "SubnetId": launch.subnet.id,
        "Groups": [group.id for group in launch.groups],
        "AssociatePublicIpAddress": public,
        "DeleteOnTermination": requested.get("DeleteOnTermination", True),
        "Description": requested.get("Description", ""),
    }
    address = private_address(launch.params)
    return interface | ({"PrivateIpAddress": address} if address else {})


def _disks(launch: CheckedLaunch) -> list[dict[str, Any]]:
    """Return the AMI's disks, overridden by those of the request.

    Their snapshots are in a store of this package (image_copies), which moto does not know.
    """
    disks = {
        disk["DeviceName"]: {key: it for key, it in disk["Ebs"].items() if key != "SnapshotId"}
        for disk in launch.image["BlockDeviceMappings"]
    }
    image_sizes = {name: disk["VolumeSize"] for name, disk in disks.items()}
    for mapping in launch.params.get("BlockDeviceMappings") or []:
        name = mapping["DeviceName"]
        if "NoDevice" in mapping:
            disks.pop(name, None)
            continue
        new = disks.setdefault(name, {"DeleteOnTermination": True, "VolumeType": "gp3"})
        new.update(mapping.get("Ebs", {}))
        if not new.get("VolumeSize") or new["VolumeSize"] < image_sizes.get(name, 0):
            message = f"Volume of size {new.get('VolumeSize')}GB is smaller than snapshot, {name}"
            raise AwsError("InvalidBlockDeviceMapping", message)
    return [{"DeviceName": name, "Ebs": disk} for name, disk in disks.items()]


def _complete_instance(instance: Any, launch: CheckedLaunch) -> None:
    """Set what moto leaves out: groups, interface tags, the template's tags."""
    set_state(instance, "pending")
    instance.security_groups = list(launch.groups)
    instance.virtualization_type = "hvm"
    instance.lifecycle = "spot" if is_spot(launch.params) else None
    instance.client_token = launch.params.get("ClientToken", "")
    instance.disable_api_termination = bool(launch.params.get("DisableApiTermination"))
    for interface in instance.nics.values():
        if interface.public_ip:
            interface.public_ip = loopback_address(interface)
        interface._group_set = list(launch.groups)
        interface.add_tags(tags_for(launch.params, "network-interface"))
    if launch.template is not None:
        instance.add_tags(
            {
                "aws:ec2launchtemplate:id": launch.template.template.id,
                "aws:ec2launchtemplate:version": str(launch.template.number),
            }
        )


def loopback_address(interface: Any) -> str:
    """Return a public address on loopback, so that no connection reaches a real machine.

    It is 127 and the last three numbers of the private address, the first of which grows with each
    start: an instance gets another public address when it is started (EC2 user guide, "Public IPv4
    addresses").
    """
    numbers = str(interface.private_ip_address).split(".")
    second = (int(numbers[1]) + getattr(interface, "starts", 0)) % 256
    return ".".join(["127", str(second), *numbers[2:]])


def _check_run(cloud: CloudApi, call: Call) -> None:
    """Reject a dry run for the same reasons as a real run."""
    if call.params.get("DryRun"):
        _disks(check_run_instances(cloud, call))


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    ec2, filters = ec2_backend(cloud, call), call.params.get("Filters", [])
    requested_ids = set(call.params.get("InstanceIds", []))
    if requested_ids and call.params.get("MaxResults"):
        message = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise AwsError("InvalidParameterCombination", message)
    found = []
    for reservation in ec2.reservations.values():
        ids = {instance.id for instance in reservation.instances}
        if requested_ids and not ids & requested_ids:
            continue
        described = describe.describe_reservation(ec2, reservation)
        chosen = [
            instance
            for instance in described["Instances"]
            if not requested_ids or instance["InstanceId"] in requested_ids
        ]
        volumes, interfaces = cloud.faults.stuck("volume"), cloud.faults.stuck("interface")
        for instance in chosen:
            describe.hold(instance, volumes=volumes, interfaces=interfaces)
        described["Instances"] = apply_filters(chosen, filters, FILTERS)
        found.append(described)
    return paginate(call, [item for item in found if item["Instances"]], "Reservations")


def _terminate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    ec2, ids = ec2_backend(cloud, call), call.params["InstanceIds"]
    instances = ec2.get_multi_instances_by_id(ids)
    for instance in instances:
        if instance.disable_api_termination:
            message = f"The instance '{instance.id}' may not be terminated. Modify its"
            message += " 'disableApiTermination' instance attribute and try again."
            raise AwsError("OperationNotPermitted", message)
    changes = []
    for instance in instances:
        before = _state(instance)
        if instance.state not in ("shutting-down", "terminated"):
            set_state(instance, "shutting-down")
            cloud.schedule("instance terminated", _finish_termination(cloud, ec2, instance))
        change = {"InstanceId": instance.id, "PreviousState": before}
        changes.append(change | {"CurrentState": _state(instance)})
    cloud.backend("autoscaling", call.region).notify_terminate_instances(ids)
    return {"TerminatingInstances": changes}


def _state(instance: Any) -> dict[str, Any]:
    return {"Code": instance.state_code, "Name": instance.state}


def _finish_termination(cloud: CloudApi, ec2: Any, instance: Any) -> Any:
    def forget() -> None:
        for key, reservation in list(ec2.reservations.items()):
            if instance in reservation.instances:
                reservation.instances.remove(instance)
                if not reservation.instances:
                    del ec2.reservations[key]

    def end() -> None:
        instance.terminate()
        for address in ec2.addresses:
            if address.instance is instance or address.eni in instance.nics.values():
                address.instance = address.eni = address.association_id = None
        cloud.clock.after_real(LISTED_AFTER_TERMINATION_SECONDS, forget)

    return end


def _check_ids(cloud: CloudApi, call: Call) -> None:
    """Reject ids that do not exist, also in a dry run."""
    known = {i.id for i in ec2_backend(cloud, call).all_instances()}
    missing = [
        instance_id
        for instance_id in call.params.get("InstanceIds", [])
        if instance_id not in known
    ]
    if missing:
        names = ", ".join(missing)
        message = f"The instance ID '{names}' does not exist"
        raise AwsError("InvalidInstanceID.NotFound", message)


check_call = refuse_ended_token

INSTANCE_ANSWERS = {
    ("ec2", "RunInstances"): _run,
    ("ec2", "DescribeInstances"): _describe,
    ("ec2", "TerminateInstances"): _terminate,
}
BEFORE = {
    ("ec2", "RunInstances"): _check_run,
    ("ec2", "TerminateInstances"): _check_ids,
    ("ec2", "StopInstances"): _check_ids,
    ("ec2", "StartInstances"): _check_ids,
    ("ec2", "DescribeInstances"): _check_ids,
}


LIMIT = 64 * 1024
"""Bytes of the output that EC2 stores."""


class ConsoleOutput:
    """The source of console output: `read` returns the text of an instance, "" for none."""

    read: Callable[[str], str] = staticmethod(lambda instance_id: "")


class Listeners:
    """What listens on the instances: `is_listening` takes a private address and a TCP port."""

    is_listening: Callable[[str, int], bool] = staticmethod(lambda address, port: True)


def _output(cloud: CloudApi, call: Call) -> dict[str, Any]:
    instance_id = call.params["InstanceId"]
    instance = ec2_backend(cloud, call).get_instance_by_id(instance_id)
    if instance is None:
        message = f"The instance ID '{instance_id}' does not exist"
        raise AwsError("InvalidInstanceID.NotFound", message)
    printed = "" if instance.state == "pending" else cloud.store_of(ConsoleOutput).read(instance_id)
    answer: dict[str, Any] = {"InstanceId": instance_id, "Timestamp": datetime.now(UTC)}
    if printed:
        answer["Output"] = base64.b64encode(printed.encode()[-LIMIT:]).decode()
    return answer


CONSOLE_ANSWERS = {("ec2", "GetConsoleOutput"): _output}

ANSWERS = {**INSTANCE_ANSWERS, **CONSOLE_ANSWERS}

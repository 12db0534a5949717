"""States of networks and their interfaces, and of instances that are stopped and started.

EC2 user guide, "Stop and start Amazon EC2 instances"; data types Vpc and Subnet.
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.ec2.instances import loopback_address, set_state
from aws_setup.rehearsal.aws.ec2.limits import (
    check_capacity,
    vcpu_limit_exceeded,
    vcpus,
    vcpus_used,
)
from aws_setup.rehearsal.aws.ec2.lookup import ec2_backend, find_subnet, free_addresses
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


def _vpc_pending(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    vpc = ec2_backend(cloud, call).vpcs[answer["Vpc"]["VpcId"]]
    _pending(cloud, vpc, "vpc", answer["Vpc"])


def _subnet_pending(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    subnet = find_subnet(ec2_backend(cloud, call), answer["Subnet"]["SubnetId"])
    _pending(cloud, subnet, "subnet", answer["Subnet"])


def _pending(cloud: CloudApi, resource: Any, latency: str, described: dict[str, Any]) -> None:
    resource.state = described["State"] = "pending"
    cloud.schedule(latency, lambda: setattr(resource, "state", "available"))


def _disassociate_deleted_subnet(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """A deleted subnet is no longer associated with its route table and network ACL."""
    ec2, subnet = ec2_backend(cloud, call), call.params["SubnetId"]
    for table in ec2.route_tables.values():
        for key, target in list(table._associations.items()):
            if target == subnet:
                del table._associations[key]
    for acl in ec2.network_acls.values():
        for key, held in list(acl._associations.items()):
            if held.subnet_id == subnet:
                del acl._associations[key]


def _delete_default_acl(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """A deleted VPC's default network ACL is deleted with it.

    https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
    """
    acls = ec2_backend(cloud, call).network_acls
    for acl in list(acls.values()):
        if acl.vpc_id == call.params["VpcId"]:
            del acls[acl.id]


def _stop(cloud: CloudApi, call: Call) -> dict[str, Any]:
    def stopped(instance: Any, reason: str) -> None:
        if instance.state == "stopping":
            instance.stop()
            instance._reason = reason

    changes = []
    for instance in _named_instances(
        cloud, call, allowed=("pending", "running", "stopping", "stopped")
    ):
        before = _state(instance)
        if str(instance.disable_api_stop).lower() == "true":
            message = f"The instance '{instance.id}' may not be stopped. Modify its"
            message += " 'disableApiStop' instance attribute and try again."
            raise AwsError("OperationNotPermitted", message)
        if instance.lifecycle == "spot":
            # EC2 user guide, "Stop a Spot Instance": only persistent requests allow it.
            message = (
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with "
                "a one-time Spot Instance request. You can only stop Spot Instances associated "
                "with persistent Spot Instance requests."
            )
            raise AwsError("UnsupportedOperation", message)
        if instance.state in ("pending", "running"):
            set_state(instance, "stopping")
            # Data type Instance, StateTransitionReason: the time of the request, in GMT.
            reason = f"User initiated ({cloud.clock.today():%Y-%m-%d %H:%M:%S} GMT)"
            cloud.schedule("instance stopped", lambda item=instance, why=reason: stopped(item, why))
        changes.append(_change(instance, before))
    return {"StoppingInstances": changes}


def _start(cloud: CloudApi, call: Call) -> dict[str, Any]:
    def running(instance: Any) -> None:
        if instance.state == "pending":
            set_state(instance, "running")

    changes = []
    chosen = _named_instances(cloud, call, allowed=("pending", "running", "stopped"))
    _check_room(cloud, call.region, [item for item in chosen if item.state == "stopped"])
    for instance in chosen:
        before = _state(instance)
        if instance.state == "stopped":
            instance.start()
            # Data type Instance, LaunchTime: "the time that the instance was last launched"; the
            # first launch is the AttachTime of its primary interface.
            instance.launch_time = cloud.clock.today()
            for interface in instance.nics.values():
                interface.starts = getattr(interface, "starts", 0) + 1
                interface.public_ip = interface.public_ip and loopback_address(interface)
            set_state(instance, "pending")
            cloud.schedule("instance running", lambda item=instance: running(item))
        changes.append(_change(instance, before))
    return {"StartingInstances": changes}


def _check_room(cloud: CloudApi, region: str, stopped: list[Any]) -> None:
    """Reject a start for which there is no capacity or no quota: a stopped instance has neither.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
    """
    for instance in stopped:
        check_capacity(cloud, instance.placement.zone, instance.instance_type)
    wanted = sum(vcpus(instance.instance_type) for instance in stopped)
    if wanted and vcpus_used(cloud, region) + wanted > cloud.settings.quotas.vcpus:
        raise vcpu_limit_exceeded(cloud)


def _named_instances(cloud: CloudApi, call: Call, *, allowed: tuple[str, ...]) -> list[Any]:
    """Return the instances that a call names; raises IncorrectInstanceState."""
    chosen: list[Any] = ec2_backend(cloud, call).get_multi_instances_by_id(
        call.params["InstanceIds"]
    )
    for instance in chosen:
        if instance.state not in allowed:
            message = f"The instance '{instance.id}' is not in a state in which this is possible."
            raise AwsError("IncorrectInstanceState", message)
    return chosen


def _state(instance: Any) -> dict[str, Any]:
    return {"Code": instance.state_code, "Name": instance.state}


def _change(instance: Any, before: dict[str, Any]) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "PreviousState": before,
        "CurrentState": _state(instance),
    }


def _create_interface(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Create an interface at a random free address, if the request names none.

    moto would hand out any address of the subnet, also one that is in use or reserved.
    """
    if call.params.get("PrivateIpAddress") or call.params.get("PrivateIpAddresses"):
        return cloud.ask(call)
    ec2 = ec2_backend(cloud, call)
    subnet = find_subnet(ec2, call.params["SubnetId"])
    address = next(free_addresses(cloud, ec2, subnet), "")
    if not address:
        message = f"There are not enough free addresses in subnet '{subnet.id}'"
        raise AwsError("InsufficientFreeAddressesInSubnet", message)
    return cloud.ask(call, PrivateIpAddress=address)


def _sync_interface_groups(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    """An instance's security groups are those of its primary interface."""
    if call.params.get("Groups"):
        instance = ec2_backend(cloud, call).get_instance(call.params["InstanceId"])
        instance.nics[0]._group_set = list(instance.security_groups)


def _sync_instance_groups(cloud: CloudApi, call: Call, answer: dict[str, Any]) -> None:
    interface = ec2_backend(cloud, call).enis.get(call.params["NetworkInterfaceId"])
    if call.params.get("Groups") and interface.instance and interface.device_index == 0:
        interface.instance.security_groups = list(interface._group_set)


ANSWERS = {
    ("ec2", "CreateNetworkInterface"): _create_interface,
    ("ec2", "StopInstances"): _stop,
    ("ec2", "StartInstances"): _start,
}
AFTER = {
    ("ec2", "CreateVpc"): _vpc_pending,
    ("ec2", "CreateSubnet"): _subnet_pending,
    ("ec2", "DeleteSubnet"): _disassociate_deleted_subnet,
    ("ec2", "DeleteVpc"): _delete_default_acl,
    ("ec2", "ModifyInstanceAttribute"): _sync_interface_groups,
    ("ec2", "ModifyNetworkInterfaceAttribute"): _sync_instance_groups,
}

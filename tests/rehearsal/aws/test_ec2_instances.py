"""RunInstances and what follows, against the EC2 API reference's pages and error codes."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import IMAGE, Network, client, network, refused, run, tagged, where

ZOOKEEPER = "ami-0700bf4465e5fd16d"


@pytest.fixture
def ec2(cloud: RehearsalCloud) -> Any:
    return client("ec2")


@pytest.fixture
def net(ec2: Any) -> Network:
    return network(ec2)


def described(ec2: Any, **filters: str) -> list[dict[str, Any]]:
    answer = ec2.describe_instances(Filters=where(**filters))
    return [
        instance for reservation in answer["Reservations"] for instance in reservation["Instances"]
    ]


def interface(net: Network, **more: Any) -> list[dict[str, Any]]:
    return [{"DeviceIndex": 0, "SubnetId": net.subnet, "Groups": [net.group]} | more]


def by_interface(ec2: Any, net: Network, **more: Any) -> dict[str, Any]:
    answer = ec2.run_instances(
        ImageId=IMAGE,
        InstanceType="r5.xlarge",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=interface(net, **more),
    )
    return dict(answer["Instances"][0])


def test_groups_of_interfaces_show_on_the_instance(ec2: Any, net: Network) -> None:
    # API_Instance: SecurityGroups; DescribeInstances filter instance.group-id
    made = by_interface(ec2, net, PrivateIpAddress="10.0.6.227")
    assert [group["GroupId"] for group in made["SecurityGroups"]] == [net.group]
    found = ec2.describe_instances(Filters=[{"Name": "instance.group-id", "Values": [net.group]}])
    assert found["Reservations"][0]["Instances"][0]["PrivateIpAddress"] == "10.0.6.227"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"SecurityGroupIds": ["sg-00000000"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-00000000"}, "InvalidSubnetID.NotFound"),
        ({"ImageId": "ami-00000000"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "ami-xyz"}, "InvalidAMIID.Malformed"),
        ({"KeyName": "missing"}, "InvalidKeyPair.NotFound"),
        ({"InstanceType": "r5.gigantic"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "10.0.99.1"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "10.0.0.2"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "10.0.15.255"}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "missing"}}, "InvalidParameterValue"),
        ({"UserData": "x" * 17000}, "InvalidParameterValue"),
        ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"),
        ({"MinCount": 161, "MaxCount": 161}, "VcpuLimitExceeded"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-0"}}, "InvalidLaunchTemplateId.NotFound"),
        ({"TagSpecifications": tagged("instance", **{"aws:x": "y"})}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}]}, "InvalidParameterCombination"),
    ],
)
def test_refusals(ec2: Any, net: Network, change: dict[str, Any], code: str) -> None:
    # EC2 API reference, "Error codes for the Amazon EC2 API"; RunInstances
    request = {"ImageId": IMAGE, "InstanceType": "r5.xlarge", "MinCount": 1, "MaxCount": 1}
    request |= {"SubnetId": net.subnet, "SecurityGroupIds": [net.group]}
    assert refused(ec2.run_instances, **request | change) == code
    assert refused(ec2.run_instances, DryRun=True, **request | change) == code
    assert not described(ec2)


def test_address_in_use(ec2: Any, net: Network) -> None:
    # error code InvalidIPAddress.InUse
    run(ec2, net, PrivateIpAddress="10.0.8.233")
    with pytest.raises(Exception, match=r"InvalidIPAddress\.InUse"):
        run(ec2, net, PrivateIpAddress="10.0.8.233")


def test_an_interface_gets_a_free_address_that_is_not_reserved(ec2: Any, net: Network) -> None:
    # "Subnet CIDR reservations": an address of an explicit one goes to requests that name it
    subnet = ec2.create_subnet(VpcId=net.vpc, CidrBlock="10.0.255.0/28")["Subnet"]["SubnetId"]
    ec2.create_subnet_cidr_reservation(
        SubnetId=subnet, Cidr="10.0.255.8/30", ReservationType="explicit"
    )
    made = [ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"] for _ in range(7)]
    expected = {f"10.0.255.{last}" for last in (4, 5, 6, 7, 12, 13, 14)}
    assert {item["PrivateIpAddress"] for item in made} == expected
    with pytest.raises(Exception, match="InsufficientFreeAddressesInSubnet"):
        ec2.create_network_interface(SubnetId=subnet)


def test_type_not_offered_in_zone(cloud: RehearsalCloud, ec2: Any, net: Network) -> None:
    # error code Unsupported; DescribeInstanceTypeOfferings
    cloud.settings.not_offered = {"us-east-1a": ["r5.xlarge"]}
    with pytest.raises(Exception, match="Unsupported"):
        run(ec2, net)
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=where(instance_type="r5.xlarge")
    )["InstanceTypeOfferings"]
    zones = {offer["Location"] for offer in offers}
    assert "us-east-1a" not in zones
    assert "us-east-1b" in zones


def test_as_many_as_fit(cloud: RehearsalCloud, ec2: Any, net: Network) -> None:
    # RunInstances, MaxCount: "the largest possible number of instances above MinCount"
    cloud.settings.quotas.vcpus = 12
    answer = ec2.run_instances(
        ImageId=IMAGE, InstanceType="r5.xlarge", MinCount=1, MaxCount=5, SubnetId=net.subnet
    )
    assert len(answer["Instances"]) == 3
    with pytest.raises(Exception, match="VcpuLimitExceeded"):
        run(ec2, net)


def test_termination_frees_address_and_disks(ec2: Any, net: Network) -> None:
    # EC2 user guide, "Terminate Amazon EC2 instances": DeleteOnTermination is true by default
    made = run(ec2, net, PrivateIpAddress="10.0.8.233")
    change = ec2.terminate_instances(InstanceIds=[made["InstanceId"]])["TerminatingInstances"][0]
    assert change["CurrentState"]["Name"] == "shutting-down"
    assert [item["State"]["Name"] for item in described(ec2)] == ["terminated"]
    assert not described(ec2, private_ip_address="10.0.8.233")
    assert not ec2.describe_volumes()["Volumes"]
    assert not ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert run(ec2, net, PrivateIpAddress="10.0.8.233")["PrivateIpAddress"] == "10.0.8.233"


def test_the_second_disk_is_kept_by_default(ec2: Any, net: Network) -> None:
    # EC2 user guide, "Preserve data when an instance is terminated"; facts of the ZooKeeper AMI
    mapping = [{"DeviceName": "/dev/sdb", "Ebs": {"DeleteOnTermination": True}}]
    first = run(ec2, net, ImageId=ZOOKEEPER)
    second = run(ec2, net, ImageId=ZOOKEEPER, BlockDeviceMappings=mapping)
    ec2.terminate_instances(InstanceIds=[first["InstanceId"], second["InstanceId"]])
    left = ec2.describe_volumes()["Volumes"]
    assert [(disk["Size"], disk["State"]) for disk in left] == [(100, "available")]


def test_encrypted_disks_and_metadata_options(ec2: Any, net: Network) -> None:
    # pages of the types EbsBlockDevice and InstanceMetadataOptionsRequest
    disks = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "Encrypted": True}}]
    made = run(ec2, net, BlockDeviceMappings=disks, MetadataOptions={"HttpTokens": "required"})
    assert made["MetadataOptions"]["HttpTokens"] == "required"
    volume = ec2.describe_volumes()["Volumes"][0]
    assert (volume["Size"], volume["Encrypted"]) == (20, True)


def test_tags_of_everything_launched(ec2: Any, net: Network) -> None:
    # RunInstances, TagSpecifications: instances, volumes and network interfaces
    kinds = ("instance", "volume", "network-interface")
    run(ec2, net, TagSpecifications=[t for kind in kinds for t in tagged(kind, owner="me")])
    mine = [{"Name": "tag:owner", "Values": ["m*"]}]
    assert len(ec2.describe_instances(Filters=mine)["Reservations"]) == 1
    assert len(ec2.describe_volumes(Filters=mine)["Volumes"]) == 1
    assert len(ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]) == 1


def test_launch_template_keeps_its_image(ec2: Any, net: Network) -> None:
    # RunInstances, LaunchTemplate: parameters of the request override the template's
    data = {
        "ImageId": ZOOKEEPER,
        "InstanceType": "r5.xlarge",
        "NetworkInterfaces": interface(net),
        "TagSpecifications": tagged("instance", owner="template"),
    }
    ec2.create_launch_template(LaunchTemplateName="ttt", LaunchTemplateData=data)
    named = {"LaunchTemplateName": "ttt"}
    made = ec2.run_instances(LaunchTemplate=named, MinCount=1, MaxCount=1)["Instances"][0]
    assert made["ImageId"] == ZOOKEEPER
    assert {"Key": "owner", "Value": "template"} in made["Tags"]
    bigger = {"LaunchTemplate": named, "InstanceType": "r5.2xlarge"}
    made = ec2.run_instances(MinCount=1, MaxCount=1, **bigger)["Instances"][0]
    assert made["InstanceType"] == "r5.2xlarge"


def test_states_have_delays(slow_cloud: RehearsalCloud) -> None:
    # EC2 user guide, "Amazon EC2 instance state changes"
    assert isinstance(slow_cloud.clock, ManualClock)
    ec2 = client("ec2")
    instance = run(ec2, network(ec2))["InstanceId"]

    def state() -> str:
        return str(described(ec2, instance_id=instance)[0]["State"]["Name"])

    assert state() == "pending"
    slow_cloud.clock.advance(12)
    assert state() == "running"
    ec2.terminate_instances(InstanceIds=[instance])
    assert state() == "shutting-down"
    slow_cloud.clock.advance(45)
    assert state() == "terminated"
    slow_cloud.clock.advance(3600)
    assert not described(ec2)


def test_unknown_filter_is_refused(ec2: Any) -> None:
    # EC2 error code InvalidParameterValue; a typing error must not read as "nothing found"
    for call in (
        ec2.describe_instances,
        ec2.describe_vpcs,
        ec2.describe_security_groups,
        ec2.describe_volumes,
    ):
        assert refused(call, Filters=where(nonsense="x")) == "InvalidParameterValue"


def test_stop_and_start(slow_cloud: RehearsalCloud) -> None:
    # EC2 user guide, "Stop and start": the public address goes, the private one stays
    assert isinstance(slow_cloud.clock, ManualClock)
    ec2 = client("ec2")
    made = run(ec2, network(ec2))
    named = {"InstanceIds": [made["InstanceId"]]}
    slow_cloud.clock.advance(12)
    assert ec2.stop_instances(**named)["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
    assert refused(ec2.start_instances, **named) == "IncorrectInstanceState"
    slow_cloud.clock.advance(30)
    shown = described(ec2)[0]
    assert (shown["State"]["Name"], shown.get("PublicIpAddress")) == ("stopped", None)
    assert shown["PrivateIpAddress"] == made["PrivateIpAddress"]
    ec2.start_instances(**named)
    slow_cloud.clock.advance(12)
    shown = described(ec2)[0]
    assert (shown["State"]["Name"], shown["PublicIpAddress"][:4]) == ("running", "127.")
    ec2.terminate_instances(**named)
    assert refused(ec2.stop_instances, **named) == "IncorrectInstanceState"


def test_images(ec2: Any) -> None:
    # EC2 user guide, "Deprecate an AMI": hidden unless asked for by id or with IncludeDeprecated
    assert not ec2.describe_images()["Images"]
    assert len(ec2.describe_images(IncludeDeprecated=True)["Images"]) == 7
    image = ec2.describe_images(ImageIds=[ZOOKEEPER])["Images"][0]
    assert image["DeprecationTime"].startswith("2025")
    disks = {disk["DeviceName"]: disk["Ebs"] for disk in image["BlockDeviceMappings"]}
    assert disks["/dev/sdb"]["DeleteOnTermination"] is False
    elsewhere = client("ec2", "eu-west-1")
    assert refused(elsewhere.describe_images, ImageIds=[ZOOKEEPER]) == "InvalidAMIID.NotFound"


def test_copied_image(slow_cloud: RehearsalCloud) -> None:
    # CopyImage: pending, then available, owned by the account
    assert isinstance(slow_cloud.clock, ManualClock)
    other_region = client("ec2", "eu-west-1")
    source = {"SourceImageId": ZOOKEEPER, "SourceRegion": "us-east-1", "Name": "zookeeper"}
    copied = other_region.copy_image(**source)["ImageId"]
    request = {"ImageId": copied, "InstanceType": "r5.xlarge", "MinCount": 1, "MaxCount": 1}
    assert refused(other_region.run_instances, **request) == "InvalidAMIID.Unavailable"
    slow_cloud.clock.advance(300)
    assert other_region.describe_images(Owners=["self"])["Images"][0]["State"] == "available"
    assert [resource.kind for resource in slow_cloud.snapshot()] == [
        "image",
        "snapshot",
        "snapshot",
    ]
    other_region.run_instances(**request)
    other_region.deregister_image(ImageId=copied)
    assert not other_region.describe_images(Owners=["self"])["Images"]


def test_existing_interfaces_are_not_emulated(ec2: Any, net: Network) -> None:
    nics = [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-00000000"}]
    request = {"ImageId": IMAGE, "InstanceType": "r5.xlarge", "MinCount": 1, "MaxCount": 1}
    assert refused(ec2.run_instances, NetworkInterfaces=nics, **request) == "InvalidParameterValue"

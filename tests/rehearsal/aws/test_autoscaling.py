"""Auto Scaling and Classic load balancers of the rehearsal cloud.

Pages: Auto Scaling API reference (API_CreateAutoScalingGroup, API_DeleteAutoScalingGroup,
API_UpdateAutoScalingGroup, API_SetDesiredCapacity) and user guide (tagging,
ts-as-instancelaunchfailure); Elastic Load Balancing API reference 2012-06-01
(API_CreateLoadBalancer, API_DeleteLoadBalancer).
"""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.rehearsal.aws.test_iam import upload
from tests.support.aws import client, refused
from tests.support.eks import EksEnvironment, advance, instances, make

IMAGE = "ami-079ac4c46055b2bdf"
LISTENER = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}


class Machines:
    """A launch template in a environment, from which groups are made."""

    def __init__(self) -> None:
        self.environment: EksEnvironment = make()
        self.ec2, self.scaling = client("ec2"), client("autoscaling")
        made = self.ec2.create_security_group(
            GroupName="g", Description="g", VpcId=self.environment.vpc
        )
        self.group = made["GroupId"]
        interface = {"DeviceIndex": 0, "Groups": [self.group], "AssociatePublicIpAddress": True}
        owned = [{"Key": "owner", "Value": "me"}]
        data = {
            "ImageId": IMAGE,
            "InstanceType": "r5.xlarge",
            "NetworkInterfaces": [interface],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": owned} for kind in ("instance", "volume")
            ],
        }
        self.ec2.create_launch_template(LaunchTemplateName="template", LaunchTemplateData=data)

    def create(self, **more: Any) -> None:
        request = {
            "AutoScalingGroupName": "clients",
            "MinSize": 0,
            "MaxSize": 4,
            "DesiredCapacity": 2,
            "VPCZoneIdentifier": ",".join(self.environment.subnets),
            "LaunchTemplate": {"LaunchTemplateName": "template", "Version": "$Latest"},
            "Tags": [
                {"Key": "seen", "Value": "1", "PropagateAtLaunch": True},
                {"Key": "hidden", "Value": "1", "PropagateAtLaunch": False},
            ],
        }
        desired = {key: value for key, value in (request | more).items() if value is not None}
        self.scaling.create_auto_scaling_group(**desired)

    def found(self) -> dict[str, Any]:
        (group,) = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["clients"])[
            "AutoScalingGroups"
        ]
        return dict(group)


@pytest.fixture
def machines(cloud: RehearsalCloud) -> Machines:
    return Machines()


def test_a_group_launches_instances(machines: Machines) -> None:
    """Tagging and launch-templates: template's groups and tags, propagating tags, zones."""
    machines.create()
    made = instances(**{"aws:autoscaling:groupName": "clients"})
    assert {item["InstanceId"] for item in made} == {
        instance["InstanceId"] for instance in machines.found()["Instances"]
    }
    assert {item["SubnetId"] for item in made} == set(machines.environment.subnets)
    for item in made:
        tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        assert (tags["owner"], tags["seen"]) == ("me", "1")
        assert "hidden" not in tags
        assert [group["GroupId"] for group in item["SecurityGroups"]] == [machines.group]
        assert item["ImageId"] == IMAGE
    owned = [{"Name": "tag:owner", "Values": ["me"]}]
    assert machines.ec2.describe_volumes(Filters=owned)["Volumes"]


def test_rejected_requests(machines: Machines) -> None:
    """API_CreateAutoScalingGroup: AlreadyExists; ValidationError for sizes and references."""
    assert refused(machines.create, DesiredCapacity=5) == "ValidationError"
    assert refused(machines.create, MinSize=3, MaxSize=2) == "ValidationError"
    assert refused(machines.create, VPCZoneIdentifier=None) == "ValidationError"
    assert refused(machines.create, VPCZoneIdentifier="subnet-0123") == "ValidationError"
    no_template = {"LaunchTemplateName": "other"}
    assert refused(machines.create, LaunchTemplate=no_template) == "ValidationError"
    old = {"LaunchTemplateName": "template", "Version": "7"}
    assert refused(machines.create, LaunchTemplate=old) == "ValidationError"
    machines.create()
    assert refused(machines.create) == "AlreadyExists"


def test_the_quota_of_groups(cloud: RehearsalCloud, machines: Machines) -> None:
    """Quotas page of Auto Scaling, L-CDE20ADC: LimitExceeded."""
    cloud.settings.quotas.auto_scaling_groups = 1
    machines.create()
    assert refused(machines.create, AutoScalingGroupName="two") == "LimitExceeded"


def test_the_capacity_is_reached(machines: Machines) -> None:
    """API_SetDesiredCapacity, API_UpdateAutoScalingGroup: up, down, within the bounds."""
    machines.create(DesiredCapacity=0)
    named = {"AutoScalingGroupName": "clients"}
    machines.scaling.set_desired_capacity(**named, DesiredCapacity=4)
    assert len(instances()) == 4
    code = refused(machines.scaling.set_desired_capacity, **named, DesiredCapacity=5)
    assert code == "ValidationError"
    machines.scaling.update_auto_scaling_group(**named, MaxSize=1)
    assert len(instances()) == machines.found()["DesiredCapacity"] == 1
    code = refused(machines.scaling.update_auto_scaling_group, **named, MinSize=2)
    assert code == "ValidationError"
    assert machines.found()["MinSize"] == 0
    other = {"AutoScalingGroupName": "other", "DesiredCapacity": 1}
    assert refused(machines.scaling.set_desired_capacity, **other) == "ValidationError"


def test_a_terminated_instance_is_replaced(machines: Machines) -> None:
    """ec2-auto-scaling-health-checks: a terminated instance is replaced."""
    machines.create()
    before = {instance["InstanceId"] for instance in instances()}
    machines.ec2.terminate_instances(InstanceIds=[min(before)])
    after = {instance["InstanceId"] for instance in instances()}
    assert len(after) == 2
    assert len(before & after) == 1


def test_a_stopped_instance_is_terminated_and_replaced(machines: Machines) -> None:
    """health-checks-overview: any state but running is unhealthy."""
    machines.create()
    stopped = min(instance["InstanceId"] for instance in instances())
    machines.ec2.stop_instances(InstanceIds=[stopped])
    after = {instance["InstanceId"] for instance in instances()}
    assert len(after) == 2
    assert stopped not in after


def test_suspended_processes_do_nothing_until_they_are_resumed(machines: Machines) -> None:
    """as-suspend-resume-processes: Launch and Terminate; all where none is named."""
    machines.create()
    named = {"AutoScalingGroupName": "clients"}
    machines.scaling.suspend_processes(**named, ScalingProcesses=["Launch"])
    machines.scaling.set_desired_capacity(**named, DesiredCapacity=4)
    assert len(instances()) == 2
    (shown,) = machines.found()["SuspendedProcesses"]
    assert shown["ProcessName"] == "Launch"
    machines.scaling.resume_processes(**named)
    assert len(instances()) == 4
    machines.scaling.suspend_processes(**named)
    machines.scaling.set_desired_capacity(**named, DesiredCapacity=0)
    machines.ec2.stop_instances(InstanceIds=[instances()[0]["InstanceId"]])
    assert len(machines.found()["Instances"]) == 4
    machines.scaling.resume_processes(**named)
    assert instances() == []
    wrong = {**named, "ScalingProcesses": ["Start"]}
    assert refused(machines.scaling.suspend_processes, **wrong) == "ValidationError"


def test_a_protected_instance_stays_in_a_smaller_group(machines: Machines) -> None:
    """ec2-auto-scaling-instance-protection."""
    machines.create()
    named = {"AutoScalingGroupName": "clients"}
    kept, protect = instances()[0]["InstanceId"], machines.scaling.set_instance_protection
    protect(**named, InstanceIds=[kept], ProtectedFromScaleIn=True)
    machines.scaling.set_desired_capacity(**named, DesiredCapacity=0)
    assert [instance["InstanceId"] for instance in instances()] == [kept]
    protect(**named, InstanceIds=[kept], ProtectedFromScaleIn=False)
    assert instances() == []
    gone = {**named, "InstanceIds": [kept], "ProtectedFromScaleIn": True}
    assert refused(protect, **gone) == "ValidationError"


def test_deletion(slow_cloud: RehearsalCloud) -> None:
    """API_DeleteAutoScalingGroup: ResourceInUse without force; gone with its instances."""
    machines = Machines()
    machines.create()
    advance(slow_cloud, 30)
    named = {"AutoScalingGroupName": "clients"}
    assert refused(machines.scaling.delete_auto_scaling_group, **named) == "ResourceInUse"
    machines.scaling.delete_auto_scaling_group(**named, ForceDelete=True)
    assert machines.found()["Status"] == "Delete in progress"
    again = refused(machines.scaling.delete_auto_scaling_group, **named)
    assert again == "ScalingActivityInProgress"
    advance(slow_cloud, 46)
    assert machines.scaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert not instances()
    machines.create(DesiredCapacity=0)
    machines.scaling.delete_auto_scaling_group(**named)
    assert [t for t in slow_cloud.snapshot() if t.service == "autoscaling"] == []


def test_a_failed_launch_is_recorded_and_retried(slow_cloud: RehearsalCloud) -> None:
    """ts-as-instancelaunchfailure: a Failed activity with EC2's message, then another try."""
    machines = Machines()
    slow_cloud.settings.quotas.vcpus = 4
    machines.create()
    advance(slow_cloud, 20)
    assert len(instances()) == 1
    activities = machines.scaling.describe_scaling_activities(AutoScalingGroupName="clients")
    failed = [
        activity for activity in activities["Activities"] if activity["StatusCode"] == "Failed"
    ]
    assert "VcpuLimitExceeded" in failed[0]["StatusMessage"]
    slow_cloud.settings.quotas.vcpus = 64
    advance(slow_cloud, 61)
    assert len(instances()) == 2


def test_tags_of_groups(machines: Machines) -> None:
    """API_CreateOrUpdateTags, API_DescribeAutoScalingGroups with filters, API_DeleteTags."""
    machines.create(DesiredCapacity=0)
    tag = {"ResourceId": "clients", "ResourceType": "auto-scaling-group", "Key": "new"}
    machines.scaling.create_or_update_tags(Tags=[tag | {"Value": "v", "PropagateAtLaunch": True}])
    by_tag = [{"Name": "tag:new", "Values": ["v"]}]
    found = machines.scaling.describe_auto_scaling_groups(Filters=by_tag)["AutoScalingGroups"]
    assert [item["AutoScalingGroupName"] for item in found] == ["clients"]
    machines.scaling.delete_tags(Tags=[tag])
    assert not machines.scaling.describe_auto_scaling_groups(Filters=by_tag)["AutoScalingGroups"]


def test_metrics_are_enabled_and_disabled(machines: Machines) -> None:
    """API_EnableMetricsCollection, API_DisableMetricsCollection: some, all, unknown ones."""
    machines.create(DesiredCapacity=0)
    named: dict[str, Any] = {"AutoScalingGroupName": "clients"}
    minute = named | {"Granularity": "1Minute"}
    enable = machines.scaling.enable_metrics_collection
    disable = machines.scaling.disable_metrics_collection

    def enabled() -> set[str]:
        found = machines.found()["EnabledMetrics"]
        assert {item["Granularity"] for item in found} <= {"1Minute"}
        return {item["Metric"] for item in found}

    assert enabled() == set()
    disable(**named)
    for name in ("GroupMinSize", "GroupMaxSize"):
        enable(**minute, Metrics=[name])
    assert enabled() == {"GroupMinSize", "GroupMaxSize"}
    disable(**named, Metrics=["GroupMaxSize", "GroupTotalInstances"])
    assert enabled() == {"GroupMinSize"}
    enable(**minute)
    assert len(enabled()) == 20
    unknown = {"Metrics": ["GroupMinSize", "GroupSize"]}
    assert refused(disable, **named, **unknown) == "ValidationError"
    assert refused(enable, **minute, **unknown) == "ValidationError"
    assert refused(enable, **named, Granularity="5Minute") == "ValidationError"
    assert refused(disable, AutoScalingGroupName="other") == "ValidationError"
    assert len(enabled()) == 20
    disable(**named)
    assert enabled() == set()


def balance(environment: EksEnvironment, **more: Any) -> dict[str, Any]:
    request = {"LoadBalancerName": "lb", "Listeners": [LISTENER], "Subnets": environment.subnets}
    return dict(client("elb").create_load_balancer(**(request | more)))


def test_a_load_balancer_blocks_deletions(slow_cloud: RehearsalCloud) -> None:
    """elb-internet-facing: interfaces "ELB NAME" in its subnets; they go after it is deleted."""
    environment, ec2, elb = make(), client("ec2"), client("elb")
    group = ec2.create_security_group(GroupName="k8s-elb-x", Description="x", VpcId=environment.vpc)
    group_id = group["GroupId"]
    assert balance(environment, SecurityGroups=[group_id])["DNSName"].endswith(
        ".us-east-1.elb.rehearsal.invalid"
    )
    found = elb.describe_load_balancers(LoadBalancerNames=["lb"])["LoadBalancerDescriptions"][0]
    assert (found["VPCId"], found["SecurityGroups"]) == (environment.vpc, [group_id])
    named = [{"Name": "description", "Values": ["ELB lb"]}]
    (interface, _) = ec2.describe_network_interfaces(Filters=named)["NetworkInterfaces"]
    assert refused(ec2.delete_network_interface, NetworkInterfaceId=interface["NetworkInterfaceId"])
    blocked = "DependencyViolation"
    assert refused(ec2.delete_security_group, GroupId=group_id) == blocked
    assert refused(ec2.delete_subnet, SubnetId=environment.subnets[0]) == blocked
    gateway = {"InternetGatewayId": environment.gateway, "VpcId": environment.vpc}
    assert refused(ec2.detach_internet_gateway, **gateway) == blocked
    assert [t.id for t in slow_cloud.snapshot() if t.service == "elb" and t.bills] == ["lb"]
    elb.delete_load_balancer(LoadBalancerName="lb")
    assert refused(ec2.delete_subnet, SubnetId=environment.subnets[0]) == blocked
    advance(slow_cloud, 61)
    ec2.delete_subnet(SubnetId=environment.subnets[0])
    ec2.delete_security_group(GroupId=group_id)
    ec2.detach_internet_gateway(**gateway)
    elb.delete_load_balancer(LoadBalancerName="lb")


def test_rejected_load_balancers(cloud: RehearsalCloud) -> None:
    """API_CreateLoadBalancer, Errors."""
    environment = make()
    assert refused(lambda: balance(environment, Subnets=["subnet-0123"])) == "SubnetNotFound"
    assert refused(lambda: balance(environment, Subnets=[])) == "ValidationError"
    stray = {"SecurityGroups": ["sg-0123456789abcdef0"]}
    assert refused(lambda: balance(environment, **stray)) == "InvalidSecurityGroup"
    secure = LISTENER | {"Protocol": "HTTPS", "SSLCertificateId": "arn:aws:iam::1:x"}
    assert refused(lambda: balance(environment, Listeners=[secure])) == "CertificateNotFound"
    cloud.settings.quotas.classic_load_balancers = 1
    balance(environment)
    assert refused(lambda: balance(environment)) == "DuplicateLoadBalancerName"
    assert refused(lambda: balance(environment, LoadBalancerName="two")) == "TooManyLoadBalancers"


def test_a_certificate_in_use_is_not_deleted(cloud: RehearsalCloud) -> None:
    """API_DeleteServerCertificate: DeleteConflict while a load balancer uses it."""
    environment, iam, elb = make(), client("iam"), client("elb")
    arn = upload(iam)["Arn"]
    secure = LISTENER | {"Protocol": "HTTPS", "SSLCertificateId": arn, "LoadBalancerPort": 443}
    balance(environment, Listeners=[secure])
    named = {"ServerCertificateName": "zoo"}
    assert refused(iam.delete_server_certificate, **named) == "DeleteConflict"
    elb.delete_load_balancer(LoadBalancerName="lb")
    iam.delete_server_certificate(**named)

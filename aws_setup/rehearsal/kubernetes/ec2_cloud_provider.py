"""The cloud provider of a cluster: volumes and Classic Load Balancers in the emulated AWS.

https://kubernetes.io/docs/concepts/services-networking/service/#aws-nlb-support (annotations)
https://github.com/kubernetes-sigs/aws-ebs-csi-driver (docs/tagging.md)
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.aws.ec2.instances import Listeners
from aws_setup.rehearsal.aws.ec2.reachability import IpAddress, Node, reaches
from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.types import AwsError
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.balancer_requests import (
    FRAGMENTATION_NEEDED,
    additional_tags,
    allow_all_from,
    annotation,
    listeners,
    permission,
    source_ranges,
)
from aws_setup.rehearsal.kubernetes.controllers.context import (
    CloudProvider,
    CloudProviderError,
    PortState,
    is_internal,
    load_balancer_name,
)


class Ec2CloudProvider(CloudProvider):
    """Calls the emulated EC2 and Elastic Load Balancing for one cluster."""

    def __init__(self, cloud: Cloud, *, cluster: str, region: str) -> None:
        """Act for a cluster; used under the cloud's lock."""
        self._cloud, self._cluster, self._region = cloud, cluster, region

    def create_volume(
        self, claim: KubeObject, *, size: int, zone: str, parameters: dict[str, str]
    ) -> str:
        """Create an EBS volume with the driver's tags and those of the StorageClass."""
        meta = claim["metadata"]
        name = f"pvc-{meta['uid']}"
        tags = self._cluster_tag() | {
            "Name": f"{self._cluster}-dynamic-{name}",
            "KubernetesCluster": self._cluster,
            "CSIVolumeName": name,
            "ebs.csi.aws.com/cluster": "true",
            "kubernetes.io/created-for/pv/name": name,
            "kubernetes.io/created-for/pvc/name": meta["name"],
            "kubernetes.io/created-for/pvc/namespace": meta["namespace"],
        }
        for key, value in parameters.items():
            if key.startswith("tagSpecification_"):
                tag, _, text = value.partition("=")
                tags[tag] = text
        created = self._call(
            "ec2",
            "CreateVolume",
            AvailabilityZone=zone or f"{self._region}a",
            Size=size,
            VolumeType=parameters.get("type", "gp3"),
            TagSpecifications=[{"ResourceType": "volume", "Tags": _listed(tags)}],
        )
        return str(created["VolumeId"])

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume; already deleted is no error."""
        self._call_if_exists("ec2", "DeleteVolume", "InvalidVolume.NotFound", VolumeId=volume_id)

    def connect(self, node: str, host: str, port: int) -> PortState:
        """Return the outcome by the rules of the network; a program must listen on the VM."""
        if not reaches(self._cloud, Node(node), IpAddress(host), port=port, region=self._region):
            return PortState.DROPPED
        listens = self._cloud.store_of(Listeners).is_listening(host, port)
        return PortState.OPEN if listens else PortState.REFUSED

    def ensure_load_balancer(self, service: KubeObject) -> str:
        """Create a Service's load balancer and security group, or update its listeners.

        The scheme of an existing one stays, whatever its annotation says: ensureLoadBalancer in
        github.com/kubernetes/cloud-provider-aws (pkg/providers/v1/aws_loadbalancer.go).
        """
        name, scheme = load_balancer_name(service), "internal" if is_internal(service) else ""
        current = self._load_balancer(name)
        if current:
            group = self._group(service)
            self._update_listeners(current, service)
            self._update_rules(group, service)
            self._balance_zones(service)
            self._let_reach_nodes(group)
            return str(current["DNSName"])
        subnets = self._subnets(internal=bool(scheme))
        group = self._group(service)
        self._update_rules(group, service)
        created = self._call(
            "elb",
            "CreateLoadBalancer",
            LoadBalancerName=name,
            Listeners=listeners(service),
            Subnets=subnets,
            SecurityGroups=[group],
            Tags=_listed(self._tags(service)),
            **({"Scheme": scheme} if scheme else {}),
        )
        self._balance_zones(service)
        self._let_reach_nodes(group)
        return str(created["DNSName"])

    def _balance_zones(self, service: KubeObject) -> None:
        """Set whether the nodes of one zone serve the addresses of all; the default is that of AWS.

        The same ensureLoadBalancer, ServiceAnnotationLoadBalancerCrossZoneLoadBalancingEnabled.
        """
        enabled = annotation(service, "cross-zone-load-balancing-enabled") == "true"
        self._call(
            "elb",
            "ModifyLoadBalancerAttributes",
            LoadBalancerName=load_balancer_name(service),
            LoadBalancerAttributes={"CrossZoneLoadBalancing": {"Enabled": enabled}},
        )

    def delete_load_balancer(self, service: KubeObject) -> None:
        """Delete the load balancer, then its group, which its interfaces block for a while."""
        self._call("elb", "DeleteLoadBalancer", LoadBalancerName=load_balancer_name(service))
        group = self._group_id(service)
        if not group:
            return
        nodes = self._network()["clusterSecurityGroupId"]
        rule = allow_all_from(group)
        self._call_if_exists(
            "ec2",
            "RevokeSecurityGroupIngress",
            "InvalidPermission.NotFound",
            GroupId=nodes,
            IpPermissions=rule,
        )
        self._call_if_exists("ec2", "DeleteSecurityGroup", "InvalidGroup.NotFound", GroupId=group)

    def _call(self, service: str, action: str, **params: Any) -> dict[str, Any]:
        try:
            done: dict[str, Any] = self._cloud.call(service, action, region=self._region, **params)
        except AwsError as error:
            raise CloudProviderError(f"{error.code}: {error.message}") from error
        return done

    def _call_if_exists(self, service: str, action: str, absent: str, **params: Any) -> None:
        try:
            self._cloud.call(service, action, region=self._region, **params)
        except AwsError as error:
            if error.code != absent:
                raise CloudProviderError(f"{error.code}: {error.message}") from error

    def _cluster_tag(self) -> dict[str, str]:
        return {f"kubernetes.io/cluster/{self._cluster}": "owned"}

    def _tags(self, service: KubeObject) -> dict[str, str]:
        meta = service["metadata"]
        name = {"kubernetes.io/service-name": f"{meta['namespace']}/{meta['name']}"}
        return self._cluster_tag() | name | additional_tags(service)

    def _network(self) -> dict[str, Any]:
        clusters = self._cloud.store_of(EksStore).regions[self._region].clusters
        if self._cluster not in clusters:
            raise CloudProviderError("the cluster is deleted")
        return clusters[self._cluster].vpc

    def _load_balancer(self, name: str) -> dict[str, Any]:
        try:
            found = self._cloud.call(
                "elb", "DescribeLoadBalancers", region=self._region, LoadBalancerNames=[name]
            )
        except AwsError as error:
            if error.code in {"LoadBalancerNotFound", "AccessPointNotFound"}:
                return {}
            raise CloudProviderError(f"{error.code}: {error.message}") from error
        return dict(found["LoadBalancerDescriptions"][0])

    def _update_listeners(self, current: dict[str, Any], service: KubeObject) -> None:
        """Replace the listeners that differ from the Service."""
        desired = {listener["LoadBalancerPort"]: listener for listener in listeners(service)}
        held = {
            description["Listener"]["LoadBalancerPort"]: description["Listener"]
            for description in current["ListenerDescriptions"]
        }
        keys = ("Protocol", "InstancePort", "SSLCertificateId")
        outdated = [
            port
            for port, item in held.items()
            if [item.get(k) for k in keys] != [desired.get(port, {}).get(k) for k in keys]
        ]
        name = current["LoadBalancerName"]
        if outdated:
            self._call(
                "elb",
                "DeleteLoadBalancerListeners",
                LoadBalancerName=name,
                LoadBalancerPorts=outdated,
            )
        missing = [item for port, item in desired.items() if port in outdated or port not in held]
        if missing:
            self._call(
                "elb", "CreateLoadBalancerListeners", LoadBalancerName=name, Listeners=missing
            )

    def _subnets(self, *, internal: bool) -> list[str]:
        """Return one subnet of the VPC in each zone: with the role tag, else public or any."""
        vpc = [{"Name": "vpc-id", "Values": [self._network()["vpcId"]]}]
        found = self._call("ec2", "DescribeSubnets", Filters=vpc)["Subnets"]
        role = f"kubernetes.io/role/{'internal-elb' if internal else 'elb'}"
        tagged = [item for item in found if role in {tag["Key"] for tag in item.get("Tags", [])}]
        usable = tagged or [item for item in found if internal or self._is_public(item)]
        if not usable:
            raise CloudProviderError("could not find any suitable subnets for creating the ELB")
        zones = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in usable}
        return [zones[zone] for zone in sorted(zones)]

    def _is_public(self, subnet: dict[str, Any]) -> bool:
        for name, value in (
            ("association.subnet-id", subnet["SubnetId"]),
            ("association.main", "true"),
        ):
            filters = [
                {"Name": name, "Values": [value]},
                {"Name": "vpc-id", "Values": [subnet["VpcId"]]},
            ]
            tables = self._call("ec2", "DescribeRouteTables", Filters=filters)["RouteTables"]
            if tables:
                routes = tables[0]["Routes"]
                return any(str(route.get("GatewayId", "")).startswith("igw-") for route in routes)
        return False

    def _group_id(self, service: KubeObject) -> str:
        name = f"k8s-elb-{load_balancer_name(service)}"
        filters = [{"Name": "group-name", "Values": [name]}]
        found = self._call("ec2", "DescribeSecurityGroups", Filters=filters)["SecurityGroups"]
        return str(found[0]["GroupId"]) if found else ""

    def _group(self, service: KubeObject) -> str:
        """Return the load balancer's security group; creates it."""
        if held := self._group_id(service):
            return held
        meta, network = service["metadata"], self._network()
        name = load_balancer_name(service)
        # buildELBSecurityGroupList of cloud-provider-aws: with the Service's additional tags.
        own = self._cluster_tag() | additional_tags(service)
        tags = [{"ResourceType": "security-group", "Tags": _listed(own)}]
        group = self._call(
            "ec2",
            "CreateSecurityGroup",
            GroupName=f"k8s-elb-{name}",
            Description=(
                f"Security group for Kubernetes ELB {name} ({meta['namespace']}/{meta['name']})"
            ),
            VpcId=network["vpcId"],
            TagSpecifications=tags,
        )["GroupId"]
        return str(group)

    def _let_reach_nodes(self, group: str) -> None:
        """Let a load balancer's group reach the nodes, unless a rule of theirs names it.

        updateInstanceSecurityGroupsForLoadBalancer of cloud-provider-aws (pkg/providers/v1/aws.go),
        which EnsureLoadBalancer calls, be the group new or not.
        """
        nodes = self._network()["clusterSecurityGroupId"]
        filters = [{"Name": "ip-permission.group-id", "Values": [group]}]
        named = self._call("ec2", "DescribeSecurityGroups", Filters=filters)["SecurityGroups"]
        if nodes not in [item["GroupId"] for item in named]:
            self._call(
                "ec2",
                "AuthorizeSecurityGroupIngress",
                GroupId=nodes,
                IpPermissions=allow_all_from(group),
            )

    def _update_rules(self, group: str, service: KubeObject) -> None:
        """Allow each port of the Service from its source ranges, and from nothing else.

        Each range has a rule for ICMP's type "fragmentation needed", too, which counts against
        the quota of rules: EnsureLoadBalancer in github.com/kubernetes/cloud-provider-aws
        (pkg/providers/v1/aws.go), "Allow ICMP fragmentation packets, important for MTU discovery".
        New rules are added in one call, before others go: setSecurityGroupIngress there.
        """
        found = self._call("ec2", "DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"]
        current = {
            (item["IpProtocol"], item["FromPort"], item["ToPort"], allowed["CidrIp"])
            for item in found[0]["IpPermissions"]
            for allowed in item["IpRanges"]
        }
        ports = [("tcp", port["port"], port["port"]) for port in service["spec"]["ports"]]
        desired = {
            (*rule, cidr)
            for rule in (*ports, FRAGMENTATION_NEEDED)
            for cidr in source_ranges(service)
        }
        for action, rules in (
            ("AuthorizeSecurityGroupIngress", desired - current),
            ("RevokeSecurityGroupIngress", current - desired),
        ):
            if rules:
                permissions = [permission(*rule) for rule in sorted(rules)]
                self._call("ec2", action, GroupId=group, IpPermissions=permissions)


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]

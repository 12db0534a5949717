"""The state of the emulated AWS, a line for each resource."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.trust.client import KEY, DirectClient, aws_client
from tests.trust.masks import is_strict, line, without

READS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ec2": (
        ("describe_vpcs", "Vpcs"),
        ("describe_subnets", "Subnets"),
        ("describe_internet_gateways", "InternetGateways"),
        ("describe_nat_gateways", "NatGateways"),
        ("describe_addresses", "Addresses"),
        ("describe_route_tables", "RouteTables"),
        ("describe_security_groups", "SecurityGroups"),
        ("describe_instances", "Reservations"),
        ("describe_volumes", "Volumes"),
        ("describe_network_interfaces", "NetworkInterfaces"),
        ("describe_launch_templates", "LaunchTemplates"),
        ("describe_key_pairs", "KeyPairs"),
    ),
    "autoscaling": (("describe_auto_scaling_groups", "AutoScalingGroups"),),
    "iam": (
        ("list_roles", "Roles"),
        ("list_server_certificates", "ServerCertificateMetadataList"),
        ("list_open_id_connect_providers", "OpenIDConnectProviderList"),
    ),
    "elb": (("describe_load_balancers", "LoadBalancerDescriptions"),),
}
"""Service -> the calls that list what is compared, and the member of their answers."""

GONE = {"terminated", "shutting-down", "deleted", "deleting"}
"""States in which AWS shows what no longer exists."""


def _gone(item: Mapping[str, Any]) -> bool:
    if is_strict():
        return False
    state = item.get("State")
    state = state.get("Name") if isinstance(state, Mapping) else state
    return state in GONE or item.get("Status") in ("Delete in progress",)


@contextmanager
def all_allowed(cloud: RehearsalCloud) -> Iterator[None]:
    """Let callers do everything meanwhile: the policies are those of the runs."""
    held, cloud.settings.policies = cloud.settings.policies, []
    try:
        yield
    finally:
        cloud.settings.policies = held


def described(cloud: RehearsalCloud, key: str = KEY) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what the list calls of an account show: the call's name, and each resource."""
    for service, calls in READS.items():
        direct = key == KEY
        client = DirectClient(cloud, service) if direct else aws_client(cloud, service, key=key)
        for name, member in calls:
            for item in getattr(client, name)()[member]:
                for one in item["Instances"] if member == "Reservations" else [item]:
                    yield name, one


def aws_lines(cloud: RehearsalCloud) -> Iterator[str]:
    """Yield a line for each resource of AWS but those of EKS."""
    for name, item in described(cloud):
        if not _gone(item):
            yield line(f"aws {name.removeprefix('describe_')}", item)
    yield from _roles(cloud)
    yield from _schedules(cloud)
    yield from _parameters(cloud)


def _roles(cloud: RehearsalCloud) -> Iterator[str]:
    """Yield what each role may do."""
    for role in cloud.backend("iam").roles.values():
        attached, inline = sorted(role.managed_policies), sorted(role.policies)
        yield line("aws role", {"name": role.name, "attached": attached, "inline": inline})


def _schedules(cloud: RehearsalCloud) -> Iterator[str]:
    """Yield the schedules of the deadline, each without its time."""
    for group in cloud.store_of(ScheduleStore).groups.values():
        yield line("aws schedules", {"group": group.tags, "names": list(group.schedules)})


LOCK = re.compile(r"(?<=/lock/)\d+$")
"""The number of a run lock's generation: it says how many runs there were."""


def _parameters(cloud: RehearsalCloud) -> Iterator[str]:
    """Yield the parameters; of a run lock, whose it is, and whether a run holds it."""
    for (region, name), found in cloud.store_of(Parameters).items():
        lock = LOCK.search(name)
        value = json.loads(found.value)["state"] if lock else found.value
        shown = {"region": region, "value": value, "tags": found.tags}
        yield line(f"aws parameter {LOCK.sub('N', name)}", shown)


def eks_lines(cloud: RehearsalCloud) -> Iterator[str]:
    """Yield a line for each cluster, node group, add-on and access entry."""
    yield from _clusters(DirectClient(cloud, "eks"))


def _clusters(client: Any) -> Iterator[str]:
    for name in client.list_clusters()["clusters"]:
        cluster = client.describe_cluster(name=name)["cluster"]
        yield line("eks cluster", without(cluster, "certificateAuthority"))
        for group in client.list_nodegroups(clusterName=name)["nodegroups"]:
            found = client.describe_nodegroup(clusterName=name, nodegroupName=group)
            yield line("eks node group", without(found["nodegroup"], "version", "resources"))
        for addon in client.list_addons(clusterName=name)["addons"]:
            found = client.describe_addon(clusterName=name, addonName=addon)
            yield line("eks add-on", found["addon"])
        for arn in client.list_access_entries(clusterName=name)["accessEntries"]:
            found = client.describe_access_entry(clusterName=name, principalArn=arn)
            yield line("eks access entry", found["accessEntry"])

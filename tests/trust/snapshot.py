"""The state of the whole world in a form that two runs can be compared by.

What differs between two undisturbed runs is left out or replaced: ids, times, addresses that AWS
draws, generated secrets, and how often helm has written a release. Everything else is compared:
resources with their settings and tags, objects, znodes, files on machines, registered actions.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import Environment
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.trust import unlisted
from tests.trust.client import aws_client

Snapshot = Counter[str]
"""Each line is one thing with all that is compared of it; the number is how often it exists."""

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

VARYING = frozenset(
    {
        "AllocationTime", "AssociationId", "AttachTime", "AttachmentId", "Arn", "CreateDate",
        "CreateTime", "CreatedBy", "CreatedTime", "CurrentInstanceCount", "DeleteTime",
        "DNSName", "CanonicalHostedZoneName", "DryRun", "Expiration", "Fingerprint",
        "KeyFingerprint", "LastLaunchTime", "LaunchTime", "LatestVersionNumber", "MacAddress",
        "NatGatewayAddresses", "OwnerId", "PrivateDnsName", "PrivateDnsNames", "PrivateIpAddress",
        "PrivateIpAddresses", "PublicDnsName", "PublicIp", "PublicIpAddress", "ReservationId",
        "RoleLastUsed", "StartTime", "StateTransitionReason", "UploadDate",
        "UsageOperationUpdateTime",
        "createdAt", "modifiedAt", "DefaultVersionNumber", "Version", "ClientToken",
        "SnapshotId", "HealthStatus", "ResponseMetadata", "AutoScalingGroupARN", "InstanceId",
        "AvailabilityZone", "AvailabilityZoneId", "AvailabilityZones", "AvailableIpAddressCount",
        "Placement", "SSLCertificateId", "ServerCertificateId", "VPCZoneIdentifier",
    }
)  # fmt: skip
"""Members whose values AWS draws or counts."""

COUNTED = frozenset(
    {"CurrentInstanceCount", "DefaultVersionNumber", "HealthStatus", "LatestVersionNumber",
     "Version"}
)  # fmt: skip
"""Those of them that say how often something was done: a later run can read them."""

SPENT = frozenset({"hours", "usd_at_deadline", "usd_so_far"})
"""Members of the receipt that grow with the time that runs took; a destroy ends with them."""

_strict: ContextVar[bool] = ContextVar("strict", default=False)

PAUSED_SECONDS = "lambda-fs:paused-seconds"
"""Tag that adds up the pauses so far: a pause that was disturbed is one of them."""

VARYING_TAGS = (
    "lambda-fs:fingerprint", "lambda-fs:paused", PAUSED_SECONDS, "lambda-fs:created",
    "lambda-fs:deadline", "lambda-fs:ended-nat", "aws:ec2launchtemplate:version",
    "aws:ec2launchtemplate:id",
)  # fmt: skip
"""Tags whose values contain ids or times; their keys are compared."""

_ID = re.compile(
    r"\b(vpc|subnet|igw|nat|eipalloc|eipassoc|rtb|rtbassoc|sg|sgr|i|vol|eni|eni-attach|lt|r|acl|dopt"
    r"|key|pvc|eks)-[0-9a-f-]{8,40}\b|\bAROA\w+|(?<=cluster-)\d{5,12}\b|(?<=id/)\w+|\ba[0-9a-f]{31}\b|(?<=openwhisk-)[0-9a-f]{16}\b|\b[0-9A-F]{32}\b|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22,27}"
)
MASKS = (
    (re.compile(r"\.\d{8}T\d{4}Z\.[0-9a-f]{8}\b"), ".DEADLINE"),
    (_ID, "ID"),
    (re.compile(r"127\.0\.0\.\d:\d+|localhost:\d+|(?<=:)\d{5}\b"), "HOST"),
    (re.compile(r'((?:[A-Z][A-Za-z]*Port|[a-z_]*port)": "?|TCP:)[3-6]\d{4}\b'), r"\1N"),
    (re.compile(r"-\d+(?=\.us-east-1\.elb\.)"), "-N"),
    (re.compile(r"\bip-10-0-\d+-\d+"), "NODE"),
    (re.compile(r"-----BEGIN CERTIFICATE-----[^-]*"), "CERTIFICATE"),
)
"""What is replaced, and by what: ids, ports of this computer, node ports, names of load balancers,
nodes, certificates."""


def take(environment: Environment, folder: Path, *, locks: bool = False) -> Snapshot:
    """Return the state of AWS, Kubernetes, machines, OpenWhisk and the operator's folder.

    With `locks` the run lock is compared, too: what it says of ended runs depends on them, but
    destroy must delete it.
    """
    lines: Snapshot = Counter()
    for text in (
        *(text for text in _aws(environment) if locks or "/lock/N " not in text),
        *_eks(environment),
        *_kubernetes(environment),
        *_machines(environment),
        *_actions(environment),
        *_files(folder),
        *(_line(*shown) for shown in unlisted.of_account(environment.cloud)),
        *(_line(*shown) for shown in unlisted.secret_values(environment)),
        *(_line(*shown) for shown in unlisted.credentials(environment, folder)),
    ):
        lines[text] += 1
    return lines


def take_strictly(environment: Environment, folder: Path) -> Snapshot:
    """Return the state with what the comparison of two ends leaves out and a later run can read.

    That is also what AWS still shows of deleted resources, numbers of versions, all revisions of
    helm's releases, the objects that controllers make, and the content of the operator's files.
    """
    token = _strict.set(True)
    try:
        return take(environment, folder, locks=True)
    finally:
        _strict.reset(token)


def take_aws(cloud: RehearsalCloud) -> Snapshot:
    """Return the state of AWS alone."""
    environment: Any = SimpleNamespace(cloud=cloud)
    return Counter([*_aws(environment), *_eks(environment)])


def take_cloud(cloud: RehearsalCloud, hooks: EksApiServers) -> Snapshot:
    """Return the state of AWS, without the run lock, and that of Kubernetes."""
    environment: Any = SimpleNamespace(cloud=cloud, hooks=hooks)
    in_aws = (text for text in _aws(environment) if "/lock/N " not in text)
    return Counter([*in_aws, *_eks(environment), *_kubernetes(environment)])


def differences(expected: Snapshot, found: Snapshot, *, most: int = 12) -> str:
    """Return what is missing (-) and what is too much (+); '' when both are equal."""
    missing, extra = sorted((expected - found).elements()), sorted((found - expected).elements())
    lines = [f"- {_near(text, extra)}" for text in missing]
    lines += [f"+ {_near(text, missing)}" for text in extra]
    more = [f"… and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])


def outside(one: Snapshot, other: Snapshot, found: Snapshot) -> str:
    """Return what is missing of that which both have, and what neither has; '' for nothing."""
    least, most = one & other, one | other
    return differences(least, found & least) + differences(most, found | most)


def _near(text: str, others: list[str]) -> str:
    """Return the kind of a line, and the part in which it differs from the most similar other."""
    kind = " ".join(text.split()[:2])
    same = [other for other in others if other.startswith(kind)]
    near = max(same, key=lambda other: len(set(text.split()) & set(other.split())), default="")
    pairs = enumerate(zip(text, near, strict=False))
    shared = next((at for at, (one, other) in pairs if one != other), len(kind))
    return f"{kind} … {text[max(len(kind), shared - 100) : shared + 200]}"


def _line(kind: str, value: Any) -> str:
    return f"{kind} {_masked(json.dumps(normalised(value), sort_keys=True, default=str))}"


@lru_cache(8192)
def _masked(text: str) -> str:
    """Return a text with the same word for everything that differs between two runs."""
    for pattern, shown in MASKS:
        text = pattern.sub(shown, text)
    return text


def normalised(value: Any) -> Any:
    """Return a value without what varies; lists of tags as objects, other lists sorted."""
    if isinstance(value, Mapping):
        return {
            str(key): "…" if key in VARYING_TAGS else normalised(member)
            for key, member in value.items()
            if _strict.get() or key != PAUSED_SECONDS
            if key not in SPENT
            if key not in VARYING or (key in COUNTED and _strict.get())
        }
    if isinstance(value, list | tuple):
        if value and all(
            isinstance(item, Mapping) and {"Key", "Value"} <= set(item) for item in value
        ):
            return normalised({item["Key"]: item["Value"] for item in value})
        return sorted(
            (normalised(item) for item in value),
            key=lambda item: _ID.sub("ID", json.dumps(item, sort_keys=True, default=str)),
        )
    return value


def _gone(item: Mapping[str, Any]) -> bool:
    if _strict.get():
        return False
    state = item.get("State")
    state = state.get("Name") if isinstance(state, Mapping) else state
    return state in GONE or item.get("Status") in ("Delete in progress",)


def _aws(environment: Environment) -> Iterator[str]:
    held, environment.cloud.settings.policies = environment.cloud.settings.policies, []
    try:
        for service, calls in READS.items():
            client = aws_client(environment.cloud, service)
            for name, member in calls:
                for item in getattr(client, name)()[member]:
                    for one in item["Instances"] if member == "Reservations" else [item]:
                        if not _gone(one):
                            yield _line(f"aws {name.removeprefix('describe_')}", one)
        yield from _roles(environment)
        yield from _schedules(environment)
        yield from _parameters(environment)
    finally:
        environment.cloud.settings.policies = held


def _roles(environment: Environment) -> Iterator[str]:
    """Yield what each role may do."""
    for role in environment.cloud.backend("iam").roles.values():
        attached, inline = sorted(role.managed_policies), sorted(role.policies)
        yield _line("aws role", {"name": role.name, "attached": attached, "inline": inline})


def _schedules(environment: Environment) -> Iterator[str]:
    """Yield the schedules of the deadline, each without its time."""
    for group in environment.cloud.store_of(ScheduleStore).groups.values():
        yield _line("aws schedules", {"group": group.tags, "names": list(group.schedules)})


LOCK = re.compile(r"(?<=/lock/)\d+$")
"""The number of a run lock's generation: it says how many runs there were."""


def _parameters(environment: Environment) -> Iterator[str]:
    """Yield the parameters; of a run lock, whose it is, and whether a run holds it."""
    for (region, name), found in environment.cloud.store_of(Parameters).items():
        lock = LOCK.search(name)
        value = json.loads(found.value)["state"] if lock else found.value
        shown = {"region": region, "value": value, "tags": found.tags}
        yield _line(f"aws parameter {LOCK.sub('N', name)}", shown)


def _eks(environment: Environment) -> Iterator[str]:
    held, environment.cloud.settings.policies = environment.cloud.settings.policies, []
    try:
        yield from _clusters(aws_client(environment.cloud, "eks"))
    finally:
        environment.cloud.settings.policies = held


def _clusters(client: Any) -> Iterator[str]:
    for name in client.list_clusters()["clusters"]:
        cluster = client.describe_cluster(name=name)["cluster"]
        cluster.pop("certificateAuthority", None)
        yield _line("eks cluster", cluster)
        for group in client.list_nodegroups(clusterName=name)["nodegroups"]:
            found = client.describe_nodegroup(clusterName=name, nodegroupName=group)
            found["nodegroup"].pop("resources", None)
            yield _line("eks node group", _without(found["nodegroup"], "version"))
        for addon in client.list_addons(clusterName=name)["addons"]:
            found = client.describe_addon(clusterName=name, addonName=addon)
            yield _line("eks add-on", found["addon"])
        for arn in client.list_access_entries(clusterName=name)["accessEntries"]:
            found = client.describe_access_entry(clusterName=name, principalArn=arn)
            yield _line("eks access entry", found["accessEntry"])


def _without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in names}


SKIPPED_OBJECTS = frozenset(
    {"events", "pods", "replicasets", "endpoints", "endpointslices", "leases", "nodes",
     "persistentvolumes",
        "jobs", "controllerrevisions"}
)  # fmt: skip
"""Objects that controllers make from others, with names of their own; Jobs run once and end."""

UNREAD_OBJECTS = frozenset({"events", "leases", "controllerrevisions"})
"""Objects whose number tells nothing to a later run."""

METADATA = ("name", "namespace", "labels", "annotations", "finalizers")
_CHECKSUM = re.compile(r"checksum|deployment.kubernetes.io/revision|helm.sh/revision")


def _kubernetes(environment: Environment) -> Iterator[str]:
    for cluster, api in environment.hooks.apis.items():
        releases: dict[str, str] = {}
        for (plural, _, _), item in list(api.state.objects.items()):
            if plural in SKIPPED_OBJECTS:
                if _strict.get() and plural not in UNREAD_OBJECTS:
                    yield _line(f"kubernetes {cluster} {plural}", _made(item))
                continue
            labels = item["metadata"].get("labels") or {}
            if labels.get("owner") == "helm":
                name, version = labels["name"], int(labels["version"])
                shown = f"{version:06} {labels['status']}"
                releases[name] = max(releases.get(name, ""), shown)
                if _strict.get():
                    yield f"helm {name} revision {shown}"
                continue
            yield _line(f"kubernetes {cluster} {plural}", _object(item))
        for name, shown in releases.items():
            yield f"helm {name} {shown.partition(' ')[2]}"


def _object(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: item["metadata"].get(key) for key in METADATA}
    for part in ("labels", "annotations"):
        held = metadata[part] or {}
        metadata[part] = {key: value for key, value in held.items() if not _CHECKSUM.search(key)}
    body = _without(item, "metadata", "status", "apiVersion", "kind")
    template = body.get("spec", {}).get("template") if isinstance(body.get("spec"), dict) else None
    if template:
        # The chart waits for the database where it initialises it: never again after an upgrade.
        pod = _without(template["spec"], "initContainers")
        body["spec"] = {**body["spec"], "template": {**template, "spec": pod}}
    if "data" in body and "type" in body:
        # A Secret: what is generated differs.
        body["data"] = sorted(body["data"] or {})
    return {"metadata": metadata, **_spec(body)}


def _made(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return of an object that a controller has made whose it is and how it is."""
    metadata, status = item["metadata"], item.get("status") or {}
    owners = sorted(f"{it['kind']} {it['name']}" for it in metadata.get("ownerReferences") or ())
    return {
        "namespace": metadata.get("namespace"),
        "owners": [_DRAWN_NAME.sub("-N", owner) for owner in owners],
        "phase": status.get("phase"),
        "conditions": {it["type"]: it.get("status") for it in status.get("conditions") or ()},
    }


_DRAWN_NAME = re.compile(r"-[0-9a-f]{5,10}\b")


def _spec(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is wanted of an object, without what its cluster has filled in."""
    text = json.dumps(body, default=str)
    text = re.sub(r'"[^"]*checksum[^"]*": "[^"]*",?', "", text)
    for name in ("volumeName", "clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort", "uid",
                 "kubectl.kubernetes.io/restartedAt"):  # fmt: skip
        text = re.sub(rf'"{name}": ("[^"]*"|\[[^\]]*\]|\d+)', f'"{name}": 0', text)
    found: dict[str, Any] = json.loads(text.replace(", }", "}").replace("{, ", "{"))
    return found


def _machines(environment: Environment) -> Iterator[str]:
    machines = environment.machines
    ensemble = machines.ensemble  # type: ignore[union-attr]
    yield f"znodes {sorted(ensemble.znodes)}"
    for vm in machines.vms.values():  # type: ignore[union-attr]
        shell = vm.machine
        name = _vm_name(environment, vm.id)
        yield f"machine {name} zookeeper {shell.private_ip in ensemble.running}"
        yield from _disk(name, shell.disk.root)


def _vm_name(environment: Environment, instance_id: str) -> str:
    tags = environment.cloud.backend("ec2").tags.get(instance_id, {})
    return str(tags.get("Name", tags.get("lambda-fs:step", "?")))


def _disk(machine: str, root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            shown = path.relative_to(root)
            content = path.read_bytes() if path.is_file() else b""
            if shown.suffix not in (".pid", ".log", ".sock"):
                yield f"file {machine}:{shown} {_digest(name, content)}"


@lru_cache(8192)
def _digest(name: str, content: bytes) -> str:
    """Return a digest of a file of a machine, without what is drawn."""
    text = _masked(content.decode("latin1"))
    if name == "config.yaml":
        # The followers have addresses that AWS draws.
        text = re.sub(r"\b10\.0\.\d+\.\d+", "ADDRESS", text)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _actions(environment: Environment) -> Iterator[str]:
    whisk = environment.openwhisk.whisk
    if not environment.hooks.apis:
        return
    for store in (whisk.store, whisk.system):
        for name, action in store.actions.items():
            shown = _without(action, "updated", "activationId")
            yield _line(f"action {name} {store.code.get(name, '')[:12]}", shown)


RECORDS = re.compile(
    r"\.(out|err|log|jsonl|html|1|prices)$|\.before\.yaml$|"
    r"infrastructure_json/[^.]*\.(json|lock\.yaml)$"
)
"""Local files that record what runs did: outputs, logs, prices of the day, receipt, versions,
replaced documents."""


def _files(folder: Path) -> Iterator[str]:
    """Yield the names of the operator's files that runs leave: logs and reports are not state."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("machines", "cache")]
        for name in names:
            path = Path(root) / name
            shown = path.relative_to(folder)
            if not RECORDS.search(str(path)):
                yield f"local {shown} {path.stat().st_mode & 0o777:o}"
            if _strict.get() and not UNREAD_FILES.search(str(shown)):
                yield f"content {shown} {_content(path, folder)}"


UNREAD_FILES = re.compile(r"\.(out|err|log|jsonl|html|1|jar)$|\.kube/cache/")
"""Local files that no later run reads, or that no run changes."""

DRAWN = (
    *MASKS,
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*( ?UTC|Z|\+00:00)?"), "TIME"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+\b|\b\d+-\d+-\d+-\d+\b"), "ADDRESS"),
    (re.compile(r"\bus-east-1[a-f]\b"), "ZONE"),
    (re.compile(r"(?<=Port )\d+|(?<=_port: )\d+"), "PORT"),
    (re.compile(r"\bSHA256:[\w+/]{43}"), "KEY"),
    (re.compile(r"PRIVATE KEY-----[^-]*"), "KEY"),
    (re.compile(r"\b(AAAA|LS0t)[\w+/=]{20,}"), "KEY"),
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "HEX"),
    (re.compile(r"(?<=seconds\": )[\d.]+|(?<=[=:])[\w-]{20,}\b"), "N"),
)
"""What is replaced in the operator's files, too: times, addresses, zones, keys, and secrets."""


def _content(path: Path, world: Path) -> str:
    """Return a digest of a local file without what is drawn, a time, or the world's own folder.

    Without the folder equal states of two processes are equal: each has a world of its own.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    return _content_digest(path.suffix, text.replace(str(world.parent), "FOLDER"))


@lru_cache(8192)
def _content_digest(suffix: str, text: str) -> str:
    if suffix == ".json":
        with suppress(ValueError):
            text = json.dumps(normalised(json.loads(text)), sort_keys=True, indent=1)
    for pattern, shown in DRAWN:
        text = pattern.sub(shown, text)
    return hashlib.sha256("\n".join(sorted(text.splitlines())).encode()).hexdigest()[:12]

"""What differs between two undisturbed runs: values that AWS draws or counts, times, secrets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

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


@contextmanager
def strictly() -> Iterator[None]:
    """Leave out less: what a later run can read is compared, too."""
    token = _strict.set(True)
    try:
        yield
    finally:
        _strict.reset(token)


def is_strict() -> bool:
    """Whether what a later run can read is compared, too."""
    return _strict.get()


def line(kind: str, value: Any) -> str:
    """Return the line of a thing, with all that is compared of it."""
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
            if is_strict() or key != PAUSED_SECONDS
            if key not in SPENT
            if key not in VARYING or (key in COUNTED and is_strict())
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


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a document without some of its members."""
    return {key: value for key, value in document.items() if key not in names}


@lru_cache(8192)
def file_digest(name: str, content: bytes) -> str:
    """Return a digest of a file of a machine, without what is drawn."""
    text = _masked(content.decode("latin1"))
    if name == "config.yaml":
        # The followers have addresses that AWS draws.
        text = re.sub(r"\b10\.0\.\d+\.\d+", "ADDRESS", text)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def content_digest(path: Path, world: Path) -> str:
    """Return a digest of a local file without what is drawn, a time, or the world's own folder.

    Without the folder equal states of two processes are equal: each has a world of its own.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    return _text_digest(path.suffix, text.replace(str(world.parent), "FOLDER"))


@lru_cache(8192)
def _text_digest(suffix: str, text: str) -> str:
    if suffix == ".json":
        with suppress(ValueError):
            text = json.dumps(normalised(json.loads(text)), sort_keys=True, indent=1)
    for pattern, shown in DRAWN:
        text = pattern.sub(shown, text)
    return hashlib.sha256("\n".join(sorted(text.splitlines())).encode()).hexdigest()[:12]

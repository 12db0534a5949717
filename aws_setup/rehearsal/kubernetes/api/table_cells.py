"""The cells of each kind's columns, as the real server's printers write them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject

NONE = "<none>"
MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY
STAGES = (
    (2 * MINUTE, "s", 1, "", 1),
    (10 * MINUTE, "m", MINUTE, "s", 1),
    (3 * HOUR, "m", MINUTE, "", 1),
    (8 * HOUR, "h", HOUR, "m", MINUTE),
    (2 * DAY, "h", HOUR, "", 1),
    (8 * DAY, "d", DAY, "h", HOUR),
    (2 * YEAR, "d", DAY, "", 1),
    (8 * YEAR, "y", YEAR, "d", DAY),
)
"""Seconds below which a duration has a unit of so many seconds, and a smaller unit beside it."""

ACCESS = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
ROLE_LABEL = "node-role.kubernetes.io/"


def age(since: Any, now: datetime) -> str:
    """Return the time since a timestamp as kubectl writes it: two parts while they matter."""
    if not since:
        return "<unknown>"
    started = datetime.strptime(str(since)[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return duration(int((now - started).total_seconds()))


def duration(seconds: int) -> str:
    """Return a duration in the form of HumanDuration (k8s.io/apimachinery, duration.go)."""
    seconds = max(0, seconds)
    for limit, unit, size, small, small_size in STAGES:
        if seconds < limit:
            rest = seconds % size // small_size if small else 0
            return f"{seconds // size}{unit}" + (f"{rest}{small}" if rest else "")
    return f"{seconds // YEAR}y"


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Return labels as `a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector_text(selector: KubeObject | None) -> str:
    """Return a LabelSelector as text."""
    selector = selector or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or []:
        values = ",".join(rule.get("values") or [])
        word = {"In": "in", "NotIn": "notin"}.get(rule["operator"])
        absent = "!" if rule["operator"] == "DoesNotExist" else ""
        terms.append(f"{rule['key']} {word} ({values})" if word else f"{absent}{rule['key']}")
    return ",".join(terms) or NONE


def images(spec: KubeObject) -> tuple[str, str]:
    """Return the names and the images of a pod spec's containers."""
    held = spec.get("containers") or []
    return ",".join(item["name"] for item in held), ",".join(item["image"] for item in held)


def template_images(obj: KubeObject) -> tuple[str, str]:
    """Return the names and the images of a workload's containers."""
    return images(obj["spec"]["template"].get("spec") or {})


def pod_reason(pod: KubeObject) -> str:
    """Return the column STATUS of a pod: its phase, or why a container waits or has ended."""
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase", "Unknown")
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        if why := (state.get("waiting") or {}).get("reason"):
            reason = why
        elif ended := state.get("terminated"):
            reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode', 0)}"
        elif container.get("ready") and state.get("running"):
            running = True
    if reason == "Completed" and running:
        reason = "Running"
    return "Terminating" if "deletionTimestamp" in pod["metadata"] else str(reason)


def node_status(node: KubeObject) -> str:
    """Return the column STATUS of a node."""
    found = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}
    ready = {"True": "Ready"}.get(found.get("Ready", ""), "NotReady" if found else "Unknown")
    return ready + (",SchedulingDisabled" if node["spec"].get("unschedulable") else "")


def node_roles(node: KubeObject) -> str:
    """Return the column ROLES of a node, from its labels."""
    labels = node["metadata"].get("labels") or {}
    roles = [key.removeprefix(ROLE_LABEL) for key in labels if key.startswith(ROLE_LABEL)]
    return ",".join(sorted(roles)) or NONE


def address(node: KubeObject, kind: str) -> str:
    """Return an address of a node."""
    held = node["status"].get("addresses") or []
    return next((item["address"] for item in held if item["type"] == kind), NONE)


def external_address(service: KubeObject) -> str:
    """Return the column EXTERNAL-IP of a Service."""
    spec = service["spec"]
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    given = list(spec.get("externalIPs") or [])
    if kind == "LoadBalancer":
        ingress = (service["status"].get("loadBalancer") or {}).get("ingress") or []
        held = [item.get("ip") or item.get("hostname", "") for item in ingress] + given
        return ",".join(held) or "<pending>"
    return ",".join(given) or NONE


def ports(service: KubeObject) -> str:
    """Return the column PORT(S) of a Service."""
    held = service["spec"].get("ports") or []
    return (
        ",".join(
            f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}"
            f"/{port.get('protocol', 'TCP')}"
            for port in held
        )
        or NONE
    )


def access_modes(spec: KubeObject) -> str:
    """Return access modes, abbreviated."""
    return ",".join(ACCESS.get(mode, mode) for mode in spec.get("accessModes") or [])


def job_status(job: KubeObject) -> str:
    """Return the column STATUS of a Job."""
    found = {
        item["type"] for item in job["status"].get("conditions") or [] if item["status"] == "True"
    }
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    for name in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if name in found:
            return name
    return "Running"


def job_duration(job: KubeObject, now: datetime) -> str:
    """Return the column DURATION of a Job."""
    status = job["status"]
    if not status.get("startTime"):
        return ""
    end = status.get("completionTime")
    until = datetime.strptime(end, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) if end else now
    return age(status["startTime"], until)


def completions(job: KubeObject) -> str:
    """Return the column COMPLETIONS of a Job."""
    wanted, done = job["spec"].get("completions"), job["status"].get("succeeded", 0)
    parallel = job["spec"].get("parallelism", 1)
    if wanted is not None:
        return f"{done}/{wanted}"
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"

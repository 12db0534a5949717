"""Pods that try TCP connections: busybox containers that run `nc` for each argument."""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers.context import CloudProvider, PortState

PROGRAM = "nc -z "
OUTCOMES = {PortState.OPEN: "0,0", PortState.REFUSED: "1,0", PortState.DROPPED: "1,5"}
"""Outcome of a connection -> exit code of `nc -w 5` and its seconds."""


def connection_output(provider: CloudProvider, pod: KubeObject) -> str:
    """Return what such a pod prints, `address=code,seconds` for each argument; '' for others."""
    container = pod["spec"]["containers"][0]
    command = " ".join(container.get("command") or [])
    if "busybox" not in container["image"] or PROGRAM not in command:
        return ""
    node, found = pod["spec"].get("nodeName", ""), []
    for address in container.get("args") or []:
        host, _, port = str(address).rpartition(":")
        found.append(f"{address}={OUTCOMES[provider.connect(node, host, int(port))]}")
    return " ".join(found)

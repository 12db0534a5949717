"""Validation of Services.

https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
"""

from __future__ import annotations

import ipaddress
from typing import Any

from aws_setup.rehearsal.kubernetes.api import metadata
from aws_setup.rehearsal.kubernetes.api.errors import (
    FieldError,
    KubeObject,
    duplicate,
    not_allowed,
    required,
    unsupported,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.pod_validation import PROTOCOLS, check_port_number

NODE_PORTS = range(30000, 32768)
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def check_service(obj: KubeObject) -> list[FieldError]:
    """Return the problems of a Service."""
    spec = obj.get("spec") or {}
    ports, kind = spec.get("ports") or [], spec.get("type", "ClusterIP")
    found: list[FieldError] = []
    if kind not in TYPES:
        found.append(unsupported("spec.type", kind, TYPES))
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        found.append(required("spec.ports"))
    if headless and kind in {"LoadBalancer", "NodePort"}:
        why = f"may not be set to 'None' for {kind} services"
        found.append(wrong("spec.clusterIPs[0]", "None", why))
    if kind == "ExternalName" and not spec.get("externalName"):
        found.append(required("spec.externalName"))
    if kind != "ExternalName" and not headless and not _is_address(spec.get("clusterIP")):
        why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        found.append(wrong("spec.clusterIPs", spec.get("clusterIP"), why))
    if spec.get("sessionAffinity", "None") not in {"None", "ClientIP"}:
        allowed = ("ClientIP", "None")
        found.append(unsupported("spec.sessionAffinity", spec["sessionAffinity"], allowed))
    found += metadata.check_labels("spec.selector", spec.get("selector") or {})
    return found + _check_service_ports(ports, kind) + _check_source_ranges(spec)


def _check_service_ports(ports: list[KubeObject], kind: str) -> list[FieldError]:
    found: list[FieldError] = []
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    for at, port in enumerate(ports):
        path, name = f"spec.ports[{at}]", port.get("name", "")
        if len(ports) > 1 and not name:
            found.append(required(f"{path}.name"))
        elif name and (why := metadata.label(name)):
            found.append(wrong(f"{path}.name", name, why))
        if name and name in names:
            found.append(duplicate(f"{path}.name", name))
        names.add(name)
        found += check_port_number(f"{path}.port", port.get("port"))
        if isinstance(target := port.get("targetPort"), int):
            found += check_port_number(f"{path}.targetPort", target)
        if port.get("protocol", "TCP") not in PROTOCOLS:
            found.append(unsupported(f"{path}.protocol", port["protocol"], PROTOCOLS))
        node_port = port.get("nodePort")
        if node_port and kind == "ClusterIP":
            why = "may not be used when `type` is 'ClusterIP'"
            found.append(not_allowed(f"{path}.nodePort", why))
        elif node_port and node_port not in NODE_PORTS:
            why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            found.append(wrong(f"{path}.nodePort", node_port, why))
        number = (port.get("port"), port.get("protocol"))
        if number in numbers:
            found.append(duplicate(path, {"port": number[0], "protocol": number[1]}))
        numbers.add(number)
    return found


def _check_source_ranges(spec: KubeObject) -> list[FieldError]:
    ranges = spec.get("loadBalancerSourceRanges") or []
    path = "spec.LoadBalancerSourceRanges"
    if ranges and spec.get("type") != "LoadBalancer":
        return [not_allowed(path, "may only be used when `type` is 'LoadBalancer'")]
    return [
        wrong(f"{path}[{at}]", item, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")
        for at, item in enumerate(ranges)
        if not _is_network(item.strip())
    ]


def _is_address(text: Any) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text

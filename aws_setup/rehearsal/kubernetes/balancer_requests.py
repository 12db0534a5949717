"""What a Service of type LoadBalancer asks AWS for: listeners, rules and tags of its balancer."""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers.context import SOURCE_RANGES

ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"

FRAGMENTATION_NEEDED = ("icmp", 3, 4)
"""Protocol, type and code of what the load balancer's group allows beside its ports."""


def source_ranges(service: KubeObject) -> list[str]:
    """Return the ranges of the Service's spec, else of its annotation; by default everything.

    https://kubernetes.io/docs/concepts/services-networking/service/#aws-nlb-support and
    https://kubernetes.io/docs/reference/labels-annotations-taints/
    """
    annotations = service["metadata"].get("annotations") or {}
    text = str(annotations.get("service.beta.kubernetes.io/load-balancer-source-ranges", ""))
    listed = [cidr.strip() for cidr in text.split(",") if cidr.strip()]
    return list(service["spec"].get(SOURCE_RANGES) or listed or ["0.0.0.0/0"])


def permission(protocol: str, first: int, last: int, cidr: str) -> dict[str, Any]:
    """Return a permission of EC2 for a range."""
    ranges = [{"CidrIp": cidr}]
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "IpRanges": ranges}


def allow_all_from(group: str) -> list[dict[str, Any]]:
    """Return the permission for all traffic from a group."""
    return [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]


def annotation(service: KubeObject, name: str) -> str:
    """Return a Service's annotation for its load balancer, '' when it has none."""
    annotations = service["metadata"].get("annotations") or {}
    return str(annotations.get(ANNOTATION + name, ""))


def listeners(service: KubeObject) -> list[dict[str, Any]]:
    """Return the listeners by the annotations; port names that match no port are ignored."""
    certificate = annotation(service, "ssl-cert")
    secured = set((annotation(service, "ssl-ports") or "*").split(","))
    http = annotation(service, "backend-protocol") in {"http", "https"}
    found = []
    for port in service["spec"]["ports"]:
        names = {"*", str(port["port"]), port.get("name", "")}
        tls = bool(certificate and secured & names)
        plain, secret = ("HTTP", "HTTPS") if http else ("TCP", "SSL")
        found.append(
            {
                "Protocol": secret if tls else plain,
                "LoadBalancerPort": port["port"],
                "InstanceProtocol": plain,
                "InstancePort": 30000 + port["port"] % 2768,
            }
            | ({"SSLCertificateId": certificate} if tls else {})
        )
    return found


def additional_tags(service: KubeObject) -> dict[str, str]:
    """Return the tags that a Service names for its load balancer."""
    pairs = annotation(service, "additional-resource-tags").split(",")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs) if key}

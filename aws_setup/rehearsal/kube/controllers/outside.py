"""What a cluster asks of the cloud around it: volumes and load balancers.

This is the made-up cloud of a cluster that stands alone; `hooks` has one that asks the
emulated EC2.
"""

from __future__ import annotations

from aws_setup.rehearsal.kube.errors import KubeObject

INTERNAL = "service.beta.kubernetes.io/aws-load-balancer-internal"


class CloudProviderError(Exception):
    """The cloud refused; the text becomes an event."""


class CloudProvider:
    """A cloud that always delivers and keeps no books."""

    def volume_made(self, claim: KubeObject, *, size: int, zone: str, parameters: dict[str, str]) -> str:
        """Make a volume of `size` GiB for a claim by its class's parameters; returns its id."""
        return "vol-" + str(claim["metadata"]["uid"]).replace("-", "")[:17]

    def volume_deleted(self, volume_id: str) -> None:
        """Delete a volume; already gone is fine."""

    def balancer_made(self, service: KubeObject) -> str:
        """Make or change the load balancer of a Service; returns its host name."""
        prefix = "internal-" if is_internal(service) else ""
        return f"{prefix}{load_balancer_name(service)}-1234567890.us-east-1.elb.amazonaws.com"

    def balancer_deleted(self, service: KubeObject) -> None:
        """Delete the load balancer of a Service; already gone is fine."""


def load_balancer_name(service: KubeObject) -> str:
    """Return the load balancer's name: `a` and the Service's uid, 32 characters in all."""
    uid = str(service["metadata"]["uid"]).replace("-", "")
    return f"a{uid}"[:32]


def is_internal(service: KubeObject) -> bool:
    """Say whether a Service wants an internal balancer: any value but empty and "false"."""
    annotations = service["metadata"].get("annotations") or {}
    return annotations.get(INTERNAL, "false") not in {"", "false"}

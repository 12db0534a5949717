"""The interface between the emulated EKS and the API servers of its clusters.

Without an API server, an endpoint is an address that does not resolve.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PRESERVED = "PRESERVED"
"""What hooks are told of an add-on that was deleted while its software stays (DeleteAddon)."""


@dataclass(frozen=True)
class Endpoint:
    """The URL of a cluster's API server, and its CA: PEM, encoded in base64."""

    url: str
    authority: str


@dataclass(frozen=True)
class NodeInfo:
    """One node of a cluster."""

    instance_id: str
    private_ip: str
    private_dns: str
    instance_type: str
    zone: str


@dataclass(frozen=True)
class NodegroupInfo:
    """The nodes of one node group, with their Kubernetes labels and taints."""

    cluster: str
    name: str
    labels: dict[str, str]
    taints: tuple[dict[str, str], ...]
    nodes: tuple[NodeInfo, ...]


class ClusterHooks(Protocol):
    """The calls of the emulated EKS to whatever emulates the API servers."""

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        """Return the endpoint of a new cluster; called once, when the cluster is ACTIVE."""

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        """Update the nodes of a group; a deleted group has none."""

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        """Update the access entries of a cluster, by principal ARN, with their policies."""

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        """Update the state of an add-on; empty: deleted; PRESERVED: but not its software."""

    def install_default_addons(self, *, cluster: str) -> None:
        """Install the add-ons that a new cluster has unless it is asked for without."""

    def deleted(self, *, name: str, region: str) -> None:
        """Remove a deleted cluster."""


class NoApiServer:
    """Endpoints without API servers: a name that does not resolve, and a valid CA."""

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        """Return an address like those of EKS, and the CA of this process.

        The domain never resolves (RFC 2606): no token reaches another server.
        """
        identifier = name.encode().hex().upper()[:32].ljust(32, "0")
        return Endpoint(
            f"https://{identifier}.gr7.{region}.eks.rehearsal.invalid", self_signed_ca()
        )

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        """Do nothing."""

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        """Do nothing."""

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        """Do nothing."""

    def install_default_addons(self, *, cluster: str) -> None:
        """Do nothing."""

    def deleted(self, *, name: str, region: str) -> None:
        """Do nothing."""


@lru_cache(maxsize=1)
def self_signed_ca() -> str:
    """Return a self-signed CA certificate, valid for ten years, as base64 of PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode()

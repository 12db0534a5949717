"""What stands behind a cluster's endpoint: by default an address where nobody answers.

A rehearsal that also wants a Kubernetes API server gives the cloud an object of its own.
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


@dataclass(frozen=True)
class Endpoint:
    """Where a cluster's API server answers, and the base64 text of the PEM CA that vouches."""

    url: str
    authority: str


@dataclass(frozen=True)
class NodeInfo:
    """One node as the cluster sees it."""

    instance_id: str
    private_ip: str
    private_dns: str
    instance_type: str
    zone: str


@dataclass(frozen=True)
class NodegroupInfo:
    """The nodes of one node group, with the labels and taints that Kubernetes shows on them."""

    cluster: str
    name: str
    labels: dict[str, str]
    taints: tuple[dict[str, str], ...]
    nodes: tuple[NodeInfo, ...]


class ClusterHooks(Protocol):
    """What the emulated EKS tells and asks the thing that plays the API servers."""

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        """Return the endpoint of a new cluster; called once, when the cluster is ACTIVE."""

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        """Note that nodes joined or left a group; no nodes are left when it was deleted."""

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        """Note the access entries of a cluster, by principal ARN, with their policies."""

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        """Note the state of an add-on; status is empty when it is gone."""

    def deleted(self, *, name: str, region: str) -> None:
        """Note that the cluster is gone."""


class NoApiServer:
    """Made-up endpoints: a real name and a real CA, and nothing that answers."""

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        """Return an address in the manner of EKS, and a CA made for this process.

        The domain never resolves (RFC 2606): no token may reach a stranger's server.
        """
        identifier = name.encode().hex().upper()[:32].ljust(32, "0")
        return Endpoint(
            f"https://{identifier}.gr7.{region}.eks.rehearsal.invalid", self_signed_ca()
        )

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        """Nobody listens."""

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        """Nobody listens."""

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        """Nobody listens."""

    def deleted(self, *, name: str, region: str) -> None:
        """Nobody listens."""


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

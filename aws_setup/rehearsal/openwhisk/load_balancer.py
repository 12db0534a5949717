"""Serves OpenWhisk behind the load balancer of its chart, on one port of loopback.

It answers while the release in an emulated cluster is ready, with the certificate of the load
balancer's listener, and authenticates with the keys that the release's Secret had when the job
init-couchdb ran: that job alone writes them to the database.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.aws.certificates import PrivateKeys, ServerCertificates
from aws_setup.rehearsal.aws.ec2.network import End, Instance, LoadBalancer, Node, Operator
from aws_setup.rehearsal.aws.ec2.packet_rules import Traffic
from aws_setup.rehearsal.aws.ec2.reachability import read_network
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.loopback import LOOPBACK, PacketDropped
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.kubernetes.controllers import database
from aws_setup.rehearsal.kubernetes.controllers.context import (
    is_internal,
    load_balancer_name,
    part_of,
)
from aws_setup.rehearsal.kubernetes.controllers.scheduling import ZONE
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.faults import OpenWhiskFaults
from aws_setup.rehearsal.openwhisk.invocation import Invocation, NameNode, NoContainerError
from aws_setup.rehearsal.openwhisk.namenode import VmServices
from aws_setup.rehearsal.openwhisk.namenode_pods import NameNodePods
from aws_setup.rehearsal.openwhisk.server import Certificate, OpenWhiskServer, serve


@dataclass(frozen=True)
class Release:
    """A release of OpenWhisk with a load balancer: the Service of its nginx, and its cluster."""

    service: KubeObject
    state: ObjectStore

    @property
    def name(self) -> str:
        """The release's name."""
        return str(self.service["metadata"]["name"]).removesuffix("-nginx")

    @property
    def services(self) -> list[KubeObject]:
        """Every Service with a load balancer that leads to the nginx, its own first."""
        selector = self.service.get("spec", {}).get("selector")
        others = [
            service
            for service in self.state.all("services", self.namespace)
            if selector
            and service["spec"].get("selector") == selector
            and service["metadata"]["name"] != self.service["metadata"]["name"]
            and service.get("status", {}).get("loadBalancer", {}).get("ingress")
        ]
        return [self.service, *others]

    @property
    def has_empty_public_service(self) -> bool:
        """Whether there is a public load balancer whose Service selects no pods."""
        return any(
            service.get("status", {}).get("loadBalancer", {}).get("ingress")
            and not is_internal(service)
            and not service["spec"].get("selector")
            for service in self.state.all("services", self.namespace)
        )

    def secret(self, part: str, key: str) -> str:
        """Return a value of one of its Secrets; '' without it."""
        held = self.state.get("secrets", f"{self.name}-{part}", self.namespace)
        return base64.b64decode((held or {}).get("data", {}).get(key, "")).decode()

    def ready(self, part: str) -> int:
        """Return how many pods of one of its StatefulSets are ready."""
        held = self.state.get("statefulsets", f"{self.name}-{part}", self.namespace)
        return int((held or {}).get("status", {}).get("readyReplicas") or 0)

    @property
    def database(self) -> str:
        """What identifies its database: the claim of CouchDB's volume, else the Service."""
        name = f"{self.name}-couchdb-pvc"
        claim = self.state.get("persistentvolumeclaims", name, self.namespace)
        return str((claim or self.service)["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        """The namespace of its objects."""
        return str(self.service["metadata"]["namespace"])


def _release_of(pod: KubeObject) -> tuple[str, str]:
    return str(pod["metadata"]["namespace"]), part_of(pod)[0]


def subjects_of(hooks: EksApiServers, pod: KubeObject) -> dict[str, str]:
    """Return the keys that the job init-couchdb of a pod writes to the database; {} for none.

    Those are the release's at that moment: what its Secret has later the database does not know.
    """
    namespace, name = _release_of(pod)
    for api in hooks.apis.values():
        held = api.state.read("secrets", f"{name}-whisk.auth", namespace)
        same = api.state.read("pods", pod["metadata"]["name"], namespace)
        if held and same and same["metadata"]["uid"] == pod["metadata"]["uid"]:
            keys = held["data"].items()
            return {key: base64.b64decode(value).decode() for key, value in keys}
    return {}


class OpenWhiskFrontend:
    """The OpenWhisk of a cloud's clusters: the first release with a load balancer answers."""

    def __init__(self, cloud: Cloud, hooks: EksApiServers) -> None:
        """Serve the load balancers of one cloud."""
        self.whisk = OpenWhiskServer(faults=OpenWhiskFaults(random_faults=cloud.random_faults))
        self.port = self.vm_port = 0
        self._cloud, self._hooks = cloud, hooks
        self._database = ""
        self._subjects: dict[tuple[str, str], dict[str, str]] = {}
        """The keys that the database of a namespace and release knows."""
        self._connections = 0
        hooks.job_effects.append(self._run_job)
        self._contexts: dict[str, ssl.SSLContext] = {}

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context of the load balancer's listener for the operator.

        Raises:
            ConnectionRefusedError: there is no load balancer, its release is not ready, or the
                load balancer reaches none of the nodes.
            PacketDropped: the network does not allow connections from the operator.
        """
        return self._accept(Operator(), internal=False)

    def _run_job(self, pod: KubeObject) -> None:
        """Do what the program of a Job's pod does: the one of the database wipes it."""
        if database.wipes(pod):
            self.whisk.wipe()
            key = _release_of(pod)
            self._subjects[key] = subjects_of(self._hooks, pod) or self._subjects.get(key, {})

    def vm_tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for a VM's connection, which `connect_from_vm` has checked."""
        return self._accept(None, internal=True)

    def connect_from_vm(self, instance_id: str, internal_port: int) -> socket.socket | None:
        """Return a VM's connection to a load balancer; None where the network drops packets.

        `internal_port` is the internal load balancer's port, 0 for the public load balancer.

        Raises:
            OSError: the connection is refused.
        """
        try:
            self._accept(Instance(instance_id), internal=internal_port > 0, port=internal_port)
        except PacketDropped:
            return None
        return socket.create_connection((LOOPBACK, self.vm_port))

    def _accept(
        self, source: End | None, *, internal: bool, port: int = 0
    ) -> ssl.SSLContext | None:
        """Check the release, and the way from `source` to `port` if set; return the TLS context."""
        with self._cloud.lock:
            self._cloud.clock.apply_due()
            release = self._release()
            if release is None:
                raise ConnectionRefusedError("no OpenWhisk release has a load balancer")
            balancer = self._balancer(release, internal=internal)
            if source:
                self._check_network(release, balancer, source, port=port)
            if not release.ready("controller"):
                raise ConnectionRefusedError("no OpenWhisk release is ready")
            if release.database != self._database:
                self._database = release.database
                self.whisk.replace_database()
            known = self._subjects.get((release.namespace, release.name), {})
            self.whisk.auth = known.get("guest") or release.secret("whisk.auth", "guest")
            self.whisk.system_auth = known.get("system") or release.secret("whisk.auth", "system")
            self.whisk.healthy = release.ready("invoker")
            return self._context(balancer)

    def connect_namenodes(self, services: VmServices) -> None:
        """Let invoked NameNodes connect to the servers on the VMs; else they connect to nothing."""

        def start(invocation: Invocation) -> NameNode:
            with self._cloud.lock:
                release = self._release()
            if release is None:
                raise NoContainerError("The release of OpenWhisk is deleted")
            pods = NameNodePods(
                self._cloud, release.state, release.name, release.namespace, services
            )
            return pods.start(invocation)

        self.whisk.namenodes = start

    def _release(self) -> Release | None:
        for api in self._hooks.apis.values():
            for service in api.state.all("services"):
                ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress")
                if ingress and service["metadata"]["name"].endswith("-nginx"):
                    return Release(service, api.state)
        return None

    def _balancer(self, release: Release, *, internal: bool) -> Any:
        """Return moto's load balancer of a release: the internal or the public one, or its only."""
        held = self._cloud.backend("elb").load_balancers
        services = release.services
        fitting = [service for service in services if is_internal(service) == internal]
        if not fitting and not internal and release.has_empty_public_service:
            # AWS answers such an HTTPS request with 503; here all that is not served is refused.
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/ts-elb-error-message.html
            raise ConnectionRefusedError("no node of the public load balancer is in service")
        balancer = held.get(load_balancer_name((fitting or services)[0]))
        if balancer is None:
            raise ConnectionRefusedError("the load balancer is deleted")
        return balancer

    def _check_network(self, release: Release, balancer: Any, source: End, *, port: int) -> None:
        """Check the way from the source to the load balancer, and from there to a node."""
        if why := self._cloud.faults.out_of_service(balancer.name):
            raise ConnectionRefusedError(why)
        end, network = LoadBalancer(balancer.name), read_network(self._cloud)
        instance_ports = {
            int(item.load_balancer_port): int(item.instance_port) for item in balancer.listeners
        }
        port = port or _https_port(instance_ports)
        if port not in instance_ports:
            # Its security group allows the ports of its listeners only (EnsureLoadBalancer in
            # https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws.go).
            raise PacketDropped(f"no listener of {balancer.name} has the port {port}")
        verdict = network.verdict(source, end, Traffic("tcp", port))
        if not verdict:
            raise PacketDropped(verdict.reason)
        traffic = Traffic("tcp", instance_ports[port])
        self._check_zone(release, balancer)
        nodes = [Node(str(node["metadata"]["name"])) for node in release.state.all("nodes")]
        if nodes and not any(network.verdict(end, node, traffic) for node in nodes):
            raise ConnectionRefusedError(network.verdict(end, nodes[0], traffic).reason)

    def _check_zone(self, release: Release, balancer: Any) -> None:
        """Refuse every other connection whose zone has no node, unless nodes serve all zones.

        AWS has an address for each zone of the balancer's subnets, and answers 503 at one without
        a node: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/ts-elb-error-message.html
        """
        held = balancer.attributes["cross_zone_load_balancing"].items()
        if ("enabled", "true") in {(name.lower(), str(value).lower()) for name, value in held}:
            return
        subnets = self._cloud.backend("ec2").describe_subnets(subnet_ids=balancer.subnets)
        zones = sorted({subnet.availability_zone for subnet in subnets})
        labels = [node["metadata"].get("labels", {}) for node in release.state.all("nodes")]
        served = {label[ZONE] for label in labels if ZONE in label}
        self._connections += 1
        zone = zones[self._connections % len(zones)] if zones else ""
        if zone and served and zone not in served:
            raise ConnectionRefusedError(f"{balancer.name} has no node in {zone}: 503")

    def _context(self, balancer: Any) -> ssl.SSLContext | None:
        """Return the TLS context of the listener on 443; None without a certificate."""
        arns = {
            int(listener.load_balancer_port): listener.ssl_certificate_id
            for listener in balancer.listeners
        }
        arn = arns.get(_https_port(arns))
        if not arn:
            return None
        if arn not in self._contexts:
            body = next(
                certificate["CertificateBody"]
                for certificate in self._cloud.store_of(ServerCertificates).values()
                if certificate["ServerCertificateMetadata"]["Arn"] == arn
            )
            key = self._cloud.store_of(PrivateKeys)[arn]
            self._contexts[arn] = Certificate(body.encode() + b"\n", key.encode()).context()
        return self._contexts[arn]


def _https_port(ports: Collection[int]) -> int:
    """Return the port of a balancer's listeners that `port` of loopback stands for."""
    return 443 if 443 in ports else min(ports, default=443)


@contextmanager
def serve_openwhisk(
    cloud: Cloud, hooks: EksApiServers, *, port: int = 0
) -> Iterator[OpenWhiskFrontend]:
    """Serve the OpenWhisk of a cloud's clusters on `port` until the block ends.

    Raises:
        OSError: the port is in use.
    """
    frontend = OpenWhiskFrontend(cloud, hooks)
    with (
        serve(frontend.whisk, tls_context=frontend.vm_tls_context) as vm_url,
        serve(frontend.whisk, port=port, tls_context=frontend.tls_context) as url,
    ):
        frontend.vm_port = int(vm_url.rpartition(":")[2])
        frontend.port = int(url.rpartition(":")[2])
        yield frontend

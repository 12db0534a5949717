"""The NameNodes of a release: their pods on the invokers' nodes, with the image of their kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_setup.rehearsal.aws.ec2.reachability import IpAddress, Node, reaches, read_network
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.openwhisk.activations import Invocation
from aws_setup.rehearsal.openwhisk.namenode import (
    NameNodeStart,
    Pod,
    StartError,
    VmServices,
    read_configuration,
)
from aws_setup.rehearsal.openwhisk.namenode_image import ContainerImages, image_of

MANIFEST = "RUNTIMES_MANIFEST"
"""Environment variable of the invokers: the image of each kind."""


@dataclass(frozen=True)
class NameNodePods:
    """Starts the NameNodes of one release in an emulated cluster.

    `release` is its name, `namespace` that of its objects.
    """

    cloud: Cloud
    state: ObjectStore
    release: str
    namespace: str
    services: VmServices

    def start(self, invocation: Invocation) -> str:
        """Start the NameNode of an action; return its error, '' when it serves requests."""
        name = str(invocation.action["name"])
        number = int((re.search(r"\d+$", name) or ["0"])[0])
        kind = str(invocation.action["exec"]["kind"])
        try:
            site, ndb = read_configuration(invocation.files, self._image_files(kind))
            pod = self._pod(number)
        except StartError as error:
            return str(error)
        return NameNodeStart(number, site, ndb, pod, self.services).run(invocation.arguments)

    def _image_files(self, kind: str) -> dict[str, bytes]:
        """Return the configuration files of the kind's image; none of an unknown image."""
        invoker = self.state.get("statefulsets", f"{self.release}-invoker", self.namespace) or {}
        template = invoker.get("spec", {}).get("template", {}).get("spec", {})
        variables = [
            variable
            for container in template.get("containers", ())
            for variable in container.get("env", ())
        ]
        manifest = next((v.get("value", "") for v in variables if v["name"] == MANIFEST), "")
        images = self.cloud.store_of(ContainerImages).files
        return dict(images.get(image_of(kind, manifest), {}))

    def _pod(self, number: int) -> Pod:
        """Return the pod of a NameNode: on the nodes of the running invokers, in turn."""
        nodes = sorted({str(pod["spec"]["nodeName"]) for pod in self._invokers()})
        if not nodes:
            raise StartError("The invoker could not create a container: no invoker is running")
        node = Node(nodes[number % len(nodes)])
        with self.cloud.lock:
            network = read_network(self.cloud)
        address = network.instances[network.nodes[node.name]].private_ip

        def reachable(host: str, port: int) -> bool:
            return bool(reaches(self.cloud, node, IpAddress(host), port=port))

        return Pod(address, reachable)

    def _invokers(self) -> list[KubeObject]:
        return [
            pod
            for pod in self.state.all("pods", self.namespace)
            if (pod["metadata"].get("labels") or {}).get("name") == f"{self.release}-invoker"
            if pod.get("status", {}).get("phase") == "Running" and pod["spec"].get("nodeName")
        ]

"""The NameNodes of a release: their pods on the invokers' nodes, with the image of their kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_setup.rehearsal.aws.ec2.reachability import IpAddress, Node, reaches, read_network
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.openwhisk.invocation import Invocation, NoContainerError
from aws_setup.rehearsal.openwhisk.namenode import Pod, VmNameNode, VmServices, read_configuration
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

    def start(self, invocation: Invocation) -> VmNameNode:
        """Start the NameNode of an action.

        Raises:
            NoContainerError: there is no node for it.
            StartError: it cannot start.
        """
        name = str(invocation.action["name"])
        number = int((re.search(r"\d+$", name) or ["0"])[0])
        pod = self._pod(number)
        kind = str(invocation.action["exec"]["kind"])
        site, ndb = read_configuration(invocation.files, self._image_files(kind))
        namenode = VmNameNode(number, site, ndb, pod, self.services)
        namenode.start()
        return namenode

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
            raise NoContainerError("No invokers available to run the action")
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

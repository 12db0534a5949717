"""The NameNodes of a release: their pods on the invokers' nodes, with the image of their kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_setup.rehearsal.aws.ec2.limits import vcpus
from aws_setup.rehearsal.aws.ec2.reachability import IpAddress, Node, reaches, read_network
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.openwhisk.container_pool import UNSCHEDULABLE, ContainerPool, Invoker
from aws_setup.rehearsal.openwhisk.invocation import Invocation, NoContainerError
from aws_setup.rehearsal.openwhisk.namenode import Pod, VmNameNode, VmServices, read_configuration
from aws_setup.rehearsal.openwhisk.namenode_image import ContainerImages, image_of

NOT_PROVISIONED = "Failed to provision resources to run the action."
"""What OpenWhisk answers, which names no cause.
https://github.com/apache/openwhisk/blob/3e6138d/common/scala/src/main/scala/org/apache/openwhisk/http/ErrorResponse.scala
"""

MANIFEST = "RUNTIMES_MANIFEST"
"""Environment variable of the invokers: the image of each kind."""


@dataclass
class InvokerPools:
    """Instance -> the containers that its invoker has started."""

    pools: dict[str, ContainerPool] = field(default_factory=dict)


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
        kind = str(invocation.action["exec"]["kind"])
        site, ndb = read_configuration(invocation.files, self._image_files(kind))
        pod = self._pod(invocation.action, number)
        namenode = VmNameNode(number, site, ndb, pod, self.services)
        namenode.start()
        return namenode

    def _image_files(self, kind: str) -> dict[str, bytes]:
        """Return the configuration files of the kind's image; none of an unknown image."""
        variables = self._invoker().get("env", ())
        manifest = next((v.get("value", "") for v in variables if v["name"] == MANIFEST), "")
        images = self.cloud.store_of(ContainerImages).files
        return dict(images.get(image_of(kind, manifest), {}))

    def _invoker(self) -> Mapping[str, Any]:
        """Return the invokers' container, empty without one."""
        invoker = self.state.get("statefulsets", f"{self.release}-invoker", self.namespace) or {}
        template = invoker.get("spec", {}).get("template", {}).get("spec", {})
        found: Mapping[str, Any] = next(iter(template.get("containers", ())), {})
        return found

    def _pod(self, action: Mapping[str, Any], number: int) -> Pod:
        """Return the pod of a NameNode: on the nodes of the running invokers, in turn."""
        nodes = sorted({str(pod["spec"]["nodeName"]) for pod in self._invokers()})
        if not nodes:
            raise NoContainerError("No invokers available to run the action")
        node = Node(nodes[number % len(nodes)])
        with self.cloud.lock:
            network = read_network(self.cloud)
            instance = network.nodes[node.name]
            self._start_container(action, instance)
        address = network.instances[instance].private_ip

        def reachable(host: str, port: int) -> bool:
            return bool(reaches(self.cloud, node, IpAddress(host), port=port))

        return Pod(address, reachable)

    def _start_container(self, action: Mapping[str, Any], instance: str) -> None:
        """Raise NoContainerError when the invoker on an instance has no room for an action."""
        settings = Invoker.of(self._invoker())
        pools = self.cloud.store_of(InvokerPools).pools
        pool = pools.get(instance)
        if pool is None or pool.invoker != settings:
            instances = self.cloud.backend("ec2", "us-east-1").all_instances()
            kind = next(each.instance_type for each in instances if each.id == instance)
            pool = pools[instance] = ContainerPool(settings, 1000 * vcpus(kind))
        memory = int((action.get("limits") or {}).get("memory", 256))
        name = str(action["name"])
        failure = pool.start(name, str(action["exec"]["kind"]), memory)
        if UNSCHEDULABLE in failure:
            self._note_pending(name, failure.partition(UNSCHEDULABLE)[2])
        if failure:
            raise NoContainerError(NOT_PROVISIONED)

    def _note_pending(self, action: str, message: str) -> None:
        """Record the event of a pod that was Pending until its invoker deleted it, a minute."""
        name = f"wsk{self.release}-invoker-00-{len(self.state.all('events'))}-guest-{action}"
        metadata = {"name": name, "namespace": self.namespace, "uid": name}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        self.state.event(pod, reason="FailedScheduling", message=message, warning=True)

    def _invokers(self) -> list[KubeObject]:
        return [
            pod
            for pod in self.state.all("pods", self.namespace)
            if (pod["metadata"].get("labels") or {}).get("name") == f"{self.release}-invoker"
            if pod.get("status", {}).get("phase") == "Running" and pod["spec"].get("nodeName")
        ]

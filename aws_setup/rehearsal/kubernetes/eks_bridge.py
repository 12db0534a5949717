"""The API servers of an emulated EKS: one for each cluster, with its nodes and add-ons.

`with EksApiServers(cloud) as hooks:` installs them; `hooks.apis["name"]` is a cluster's server.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from aws_setup.rehearsal.aws.eks.access_entries import is_live
from aws_setup.rehearsal.aws.eks.hooks import PRESERVED, Endpoint, NoApiServer, NodegroupInfo
from aws_setup.rehearsal.aws.eks.store import Cluster, EksStore, install_hooks
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.kubernetes.addon_workloads import (
    DEFAULT_ADDONS,
    install_addon,
    remove_addon,
)
from aws_setup.rehearsal.kubernetes.api import authentication
from aws_setup.rehearsal.kubernetes.api import authentication as tokens
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.faults import KubernetesFaults, RandomApiFaults
from aws_setup.rehearsal.kubernetes.api.http_requests import ADMINS, User
from aws_setup.rehearsal.kubernetes.controllers.context import (
    EBS_DRIVER,
    JobEffect,
    PodDependency,
    SecretDependency,
)
from aws_setup.rehearsal.kubernetes.controllers.nodes_and_namespaces import node
from aws_setup.rehearsal.kubernetes.ec2_cloud_provider import Ec2CloudProvider
from aws_setup.rehearsal.kubernetes.endpoint_access import admit_operator
from aws_setup.rehearsal.kubernetes.server import KubeApiServer

GROUP = "eks.amazonaws.com/nodegroup"
EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}
TEST_SECRET_KEYS = ("made-up", "not-a-secret")
"""Secret keys of the rehearsal's users and of its tests."""


class EksApiServers:
    """The API servers of one cloud's clusters, on the cloud's clock and under its lock."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        secrets: Sequence[str] = (),
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Serve the clusters of a cloud.

        Args:
            cloud: the emulated AWS.
            secrets: additional valid secret keys, beside the environment's.
            now: returns the time for the expiry of tokens; by default the computer's clock.
        """
        self.apis: dict[str, KubeApiServer] = {}
        self.faults = KubernetesFaults()
        if cloud.random_faults:
            self.faults.random_faults = RandomApiFaults(cloud.random_faults, cloud.clock)
        self.refusals: list[str] = []
        self.annotate_role = True
        self.job_effects: list[JobEffect] = []
        """What the programs of Jobs do, in every cluster."""
        self._cloud, self._now = cloud, now
        self._secrets = [*secrets, *TEST_SECRET_KEYS, os.environ.get("AWS_SECRET_ACCESS_KEY", "")]
        self._regions: dict[str, str] = {}
        self._managed: set[tuple[str, str]] = set()
        self._joined: set[tuple[str, str]] = set()
        """Cluster and machine of each node that has registered: a kubelet does so once."""
        self._entries: dict[str, dict[str, dict[str, object]]] = {}

    def __enter__(self) -> EksApiServers:
        """Install the hooks in the cloud."""
        install_hooks(self._cloud, self)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all servers."""
        install_hooks(self._cloud, NoApiServer())
        for name in list(self.apis):
            self.deleted(name=name, region=self._regions[name])

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        """Start the API server of a new cluster."""

        def authenticate(header: str) -> User:
            return self._user(name, header)

        api = KubeApiServer(
            clock=self._cloud.clock,
            lock=self._cloud.lock,
            authenticate=authenticate,
            cloud_provider=Ec2CloudProvider(self._cloud, cluster=name, region=region),
            faults=self.faults,
            version=f"v{version}.0-eks-rehearsal",
            admit=partial(admit_operator, self._cloud, name, region),
        ).__enter__()
        api.controllers.drivers.clear()
        api.controllers.context.job_effects = self.job_effects
        api.controllers.context.pod_dependencies += OPENWHISK_WAITS
        api.controllers.context.secret_dependencies += OPENWHISK_NEEDS
        api.state.put("storageclasses", GP2_STORAGE_CLASS)
        self.apis[name], self._regions[name] = api, region
        return Endpoint(api.url, base64.b64encode(api.ca_pem.encode()).decode())

    def deleted(self, *, name: str, region: str) -> None:
        """Stop the server of a deleted cluster."""
        self._managed = {pair for pair in self._managed if pair[0] != name}
        self._joined = {pair for pair in self._joined if pair[0] != name}
        api = self.apis.pop(name, None)
        if api is not None:
            api.__exit__()

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        """Store the access entries of a cluster."""
        self._entries[cluster] = entries

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        """Add and remove nodes."""
        api = self.apis.get(group.cluster)
        if api is None:
            return
        desired = {
            item["metadata"]["name"]: item for item in _nodes(group, self._regions, api.version)
        }
        for held in api.state.all("nodes"):
            name = held["metadata"]["name"]
            if held["metadata"]["labels"].get(GROUP) == group.name and name not in desired:
                api.state.remove("nodes", held)
        for name, new in desired.items():
            machine = (group.cluster, new["spec"]["providerID"])
            if machine not in self._joined and api.state.get("nodes", name) is None:
                api.state.put("nodes", new)
            self._joined.add(machine)
        self._map_node_role(api, group)
        _run_controllers(api)

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        """Add or remove an add-on's workloads and driver."""
        api = self.apis.get(cluster)
        if api is None:
            return
        if addon == "aws-ebs-csi-driver":
            api.controllers.drivers.discard(EBS_DRIVER)
            api.controllers.drivers.update({EBS_DRIVER} if status in ("ACTIVE", PRESERVED) else ())
        managed = (cluster, addon)
        if status in ("", PRESERVED):
            self._managed.discard(managed)
            if not status:
                remove_addon(api, addon)
        else:
            role = role_arn if self.annotate_role else ""
            # CreateAddon with OVERWRITE: every setting is EKS's default.
            install_addon(api, addon, role=role, overwrite=managed not in self._managed)
            self._managed.add(managed)
        _run_controllers(api)

    def install_default_addons(self, *, cluster: str) -> None:
        """Install the add-ons that EKS installs, and does not manage, in a new cluster."""
        for addon in DEFAULT_ADDONS:
            install_addon(self.apis[cluster], addon)

    def _map_node_role(self, api: KubeApiServer, group: NodegroupInfo) -> None:
        """Add the node role to aws-auth, as EKS does for managed nodes if the cluster reads it."""
        cluster = self._cluster(group.cluster)
        if cluster is None or not _reads_aws_auth(cluster) or group.name not in cluster.nodegroups:
            return
        if api.state.get("configmaps", "aws-auth", "kube-system") is not None:
            return
        role = cluster.nodegroups[group.name].document["nodeRole"]
        rows = (
            "- groups:\n  - system:bootstrappers\n  - system:nodes\n"
            f"  rolearn: {role}\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n"
        )
        meta = {"name": "aws-auth", "namespace": "kube-system"}
        api.state.put("configmaps", {"metadata": meta, "data": {"mapRoles": rows}})

    def _cluster(self, name: str) -> Cluster | None:
        store = self._cloud.store_of(EksStore)
        region = store.regions.get(self._regions.get(name, ""))
        return region.clusters.get(name) if region else None

    def _user(self, name: str, header: str) -> User:
        """Return the user of a token; raises ApiError 401 without one."""
        try:
            tokens.check_token(
                tokens.bearer_token(header), cluster=name, secrets=self._secrets, now=self._now
            )
        except tokens.InvalidToken as error:
            self.refusals.append(str(error))
            raise tokens.unauthorized() from error
        with self._cloud.lock:
            self._cloud.clock.apply_due()
            user = self._mapped(name) if self._cloud.settings.credentials == "valid" else None
        if user is None:
            self.refusals.append(f"{self._cloud.settings.principal} has no access to this cluster")
            raise tokens.unauthorized()
        return user

    def _mapped(self, name: str) -> User | None:
        cluster, arn = self._cluster(name), self._cloud.settings.principal
        if cluster is None:
            return None
        mode = cluster.document["accessConfig"]["authenticationMode"]
        if mode != "CONFIG_MAP":
            found = authentication.user_of_access_entry(arn, self._live_entries(name, cluster))
            if found is not None:
                return found
        if not _reads_aws_auth(cluster):
            return None
        if mode == "CONFIG_MAP" and authentication.principal_of_session(
            arn
        ) == authentication.principal_of_session(cluster.creator):
            return User("kubernetes-admin", admin=True, groups=(ADMINS,))
        config_map = self.apis[name].state.get("configmaps", "aws-auth", "kube-system")
        return authentication.user_of_aws_auth(arn, config_map)

    def _live_entries(self, name: str, cluster: Cluster) -> dict[str, dict[str, object]]:
        """Return the entries whose principal is still the one for which they were created."""
        return {
            arn: entry
            for arn, entry in self._entries.get(name, {}).items()
            if arn not in cluster.entries or is_live(self._cloud, cluster.entries[arn])
        }


def _reads_aws_auth(cluster: Cluster) -> bool:
    return "CONFIG_MAP" in str(cluster.document["accessConfig"]["authenticationMode"])


def _run_controllers(api: KubeApiServer) -> None:
    """Run the controllers without advancing the clock, which the cloud does."""
    api.controllers.invalidate()
    api.controllers.run()
    with api.changed:
        api.changed.notify_all()


def _nodes(group: NodegroupInfo, regions: dict[str, str], version: str) -> list[KubeObject]:
    taints: list[KubeObject] = [
        {"key": taint["key"], "value": taint.get("value", ""), "effect": EFFECTS[taint["effect"]]}
        for taint in group.taints
    ]
    return [
        node(
            item.private_dns,
            labels=group.labels
            | {
                GROUP: group.name,
                "node.kubernetes.io/instance-type": item.instance_type,
                "topology.kubernetes.io/region": regions[group.cluster],
            },
            zone=item.zone,
            taints=taints,
            version=version,
            providerID=f"aws:///{item.zone}/{item.instance_id}",
        )
        for item in group.nodes
    ]


OPENWHISK_WAITS = (
    PodDependency("kafka", on="zookeeper"),
    PodDependency("init-couchdb", on="couchdb"),
    PodDependency("controller", on="couchdb"),
    PodDependency("controller", on="kafka"),
    PodDependency("invoker", on="controller"),
    PodDependency("scheduler", on="controller"),
    PodDependency("install-packages", on="invoker"),
)
"""The start order of OpenWhisk's parts."""

OPENWHISK_NEEDS = (
    SecretDependency(
        "gen-certs",
        secret="nginx",
        log="problems making Certificate Request: string too long:maxsize=64",
    ),
)
"""Without the Secret <release>-nginx the chart creates a certificate; ELB names are too long."""

GP2_STORAGE_CLASS: KubeObject = {
    "metadata": {"name": "gp2"},
    "provisioner": "kubernetes.io/aws-ebs",
    "parameters": {"type": "gp2", "fsType": "ext4"},
    "volumeBindingMode": "WaitForFirstConsumer",
}
"""The StorageClass that EKS creates; since Kubernetes 1.30 it is not the default."""


def _kubernetes_faults(cloud: Cloud) -> KubernetesFaults:
    hooks = cloud.store_of(EksStore).hooks
    return hooks.faults if isinstance(hooks, EksApiServers) else KubernetesFaults()


def _list_faults(cloud: Cloud, _: Any) -> Any:
    return [rule.model_dump() for rule in _kubernetes_faults(cloud).rules]


def _add_faults(cloud: Cloud, body: Any) -> Any:
    """Activate faults in every cluster; raises ValueError for invalid ones."""
    _kubernetes_faults(cloud).add(*(body if isinstance(body, list) else [body]))
    return _list_faults(cloud, None)


def _clear_faults(cloud: Cloud, _: Any) -> Any:
    _kubernetes_faults(cloud).clear()
    return []


ADMIN_ROUTES: dict[tuple[str, str], Callable[[Cloud, Any], Any]] = {
    ("GET", "kube/faults"): _list_faults,
    ("POST", "kube/faults"): _add_faults,
    ("DELETE", "kube/faults"): _clear_faults,
}
"""Routes below /_rehearsal/, by method and path."""

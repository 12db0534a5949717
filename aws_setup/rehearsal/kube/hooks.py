"""Plays the API servers of an emulated EKS: each cluster gets one, with its nodes and add-ons.

`with KubeHooks(cloud) as hooks:` installs it; `hooks.apis["name"]` is a cluster's server.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from datetime import datetime

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.context import EksStore, install_hooks
from aws_setup.rehearsal.eks.hooks import Endpoint, NodegroupInfo, NoApiServer
from aws_setup.rehearsal.eks.model import Cluster
from aws_setup.rehearsal.kube import access, presets, tokens
from aws_setup.rehearsal.kube.chaos import RandomApiFaults
from aws_setup.rehearsal.kube.controllers.desk import EBS_DRIVER
from aws_setup.rehearsal.kube.controllers.nodes import node
from aws_setup.rehearsal.kube.ec2 import Ec2CloudProvider
from aws_setup.rehearsal.kube.errors import KubeObject
from aws_setup.rehearsal.kube.faults import KubernetesFaults
from aws_setup.rehearsal.kube.requests import ADMINS, User
from aws_setup.rehearsal.kube.server import KubeApi

GROUP = "eks.amazonaws.com/nodegroup"
ROLE = "eks.amazonaws.com/role-arn"
EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}
TEST_SECRET_KEYS = ("made-up", "not-a-secret")
"""Secret keys that the rehearsal gives to its users and its tests."""


class EksApiServers:
    """The API servers of one cloud's clusters, on the cloud's clock and under its lock."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        secrets: Sequence[str] = (),
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """Play for a cloud.

        Args:
            cloud: the emulated AWS.
            secrets: more secret keys whose signatures are good, beside the environment's.
            now: the time by which tokens expire; the machine's by default.
        """
        self.apis: dict[str, KubeApi] = {}
        self.faults = KubernetesFaults()
        if cloud.chaos:
            self.faults.chaos = RandomApiFaults(cloud.chaos, cloud.clock)
        self.refusals: list[str] = []
        self.annotate_role = True
        self._cloud, self._now = cloud, now
        self._secrets = [*secrets, *TEST_SECRET_KEYS, os.environ.get("AWS_SECRET_ACCESS_KEY", "")]
        self._regions: dict[str, str] = {}
        self._entries: dict[str, dict[str, dict[str, object]]] = {}

    def __enter__(self) -> EksApiServers:
        """Let the cloud's clusters be played from now on."""
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

        api = KubeApi(
            clock=self._cloud.clock,
            lock=self._cloud.lock,
            authenticate=authenticate,
            outside=Ec2CloudProvider(self._cloud, cluster=name, region=region),
            faults=self.faults,
            version=f"v{version}.0-eks-rehearsal",
        ).__enter__()
        api.controllers.drivers.clear()
        api.controllers.desk.waits += presets.OPENWHISK_WAITS
        api.controllers.desk.needs += presets.OPENWHISK_NEEDS
        api.state.put("storageclasses", presets.GP2_STORAGE_CLASS)
        self.apis[name], self._regions[name] = api, region
        return Endpoint(api.url, base64.b64encode(api.ca_pem.encode()).decode())

    def deleted(self, *, name: str, region: str) -> None:
        """Stop the server of a cluster that is gone."""
        api = self.apis.pop(name, None)
        if api is not None:
            api.__exit__()

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        """Note who may come in."""
        self._entries[cluster] = entries

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        """Let nodes join and leave."""
        api = self.apis.get(group.cluster)
        if api is None:
            return
        wanted = {one["metadata"]["name"]: one for one in _nodes(group, self._regions)}
        for held in api.state.all("nodes"):
            name = held["metadata"]["name"]
            if held["metadata"]["labels"].get(GROUP) == group.name and name not in wanted:
                api.state.remove("nodes", held)
        for name, new in wanted.items():
            if api.state.get("nodes", name) is None:
                api.state.put("nodes", new)
        self._map_node_role(api, group)
        _run_controllers(api)

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        """Let an add-on's workloads and driver come and go."""
        api = self.apis.get(cluster)
        if api is None:
            return
        if addon == "aws-ebs-csi-driver":
            api.controllers.drivers.discard(EBS_DRIVER)
            api.controllers.drivers.update({EBS_DRIVER} if status == "ACTIVE" else ())
        for plural, name, account in presets.ADDON_WORKLOADS.get(addon, ()):
            if status:
                self._workload(api, plural, name, account, role_arn)
            elif held := api.state.get(plural, name, "kube-system"):
                api.state.remove(plural, held)
        _run_controllers(api)

    def _workload(self, api: KubeApi, plural: str, name: str, account: str, role: str) -> None:
        state = api.state
        held = state.get("serviceaccounts", account, "kube-system")
        if held is None:
            meta: KubeObject = {"name": account, "namespace": "kube-system"}
            if role and self.annotate_role and not account.endswith("node-sa"):
                meta["annotations"] = {ROLE: role}
            state.put("serviceaccounts", {"metadata": meta})
        if state.get(plural, name, "kube-system") is None:
            state.put(plural, presets.addon_workload(plural, name, account))

    def _map_node_role(self, api: KubeApi, group: NodegroupInfo) -> None:
        """Write the node role into aws-auth, as EKS does for managed nodes when it is read."""
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
        store = self._cloud.room(EksStore)
        region = store.regions.get(self._regions.get(name, ""))
        return region.clusters.get(name) if region else None

    def _user(self, name: str, header: str) -> User:
        """Return who a token stands for; raises ApiError 401 for nobody."""
        try:
            tokens.check_token(tokens.bearer_token(header), cluster=name, secrets=self._secrets, now=self._now)
        except tokens.InvalidToken as error:
            self.refusals.append(str(error))
            raise tokens.unauthorized() from error
        with self._cloud.lock:
            self._cloud.clock.apply_due()
            user = self._mapped(name) if self._cloud.settings.credentials == "valid" else None
        if user is None:
            self.refusals.append(f"{self._cloud.settings.principal} is nobody in this cluster")
            raise tokens.unauthorized()
        return user

    def _mapped(self, name: str) -> User | None:
        cluster, arn = self._cluster(name), self._cloud.settings.principal
        if cluster is None:
            return None
        mode = cluster.document["accessConfig"]["authenticationMode"]
        if mode != "CONFIG_MAP":
            found = access.user_of_access_entry(arn, self._entries.get(name, {}))
            if found is not None:
                return found
        if not _reads_aws_auth(cluster):
            return None
        if mode == "CONFIG_MAP" and access.principal_of_session(arn) == access.principal_of_session(cluster.creator):
            return User("kubernetes-admin", admin=True, groups=(ADMINS,))
        config_map = self.apis[name].state.get("configmaps", "aws-auth", "kube-system")
        return access.user_of_aws_auth(arn, config_map)


def _reads_aws_auth(cluster: Cluster) -> bool:
    return "CONFIG_MAP" in str(cluster.document["accessConfig"]["authenticationMode"])


def _run_controllers(api: KubeApi) -> None:
    """Let the controllers work; the clock is in the cloud's hands here."""
    api.controllers.poke()
    api.controllers.run()
    with api.changed:
        api.changed.notify_all()


def _nodes(group: NodegroupInfo, regions: dict[str, str]) -> list[KubeObject]:
    taints: list[KubeObject] = [
        {"key": one["key"], "value": one.get("value", ""), "effect": EFFECTS[one["effect"]]}
        for one in group.taints
    ]
    return [
        node(
            one.private_dns,
            labels=group.labels
            | {
                GROUP: group.name,
                "node.kubernetes.io/instance-type": one.instance_type,
                "topology.kubernetes.io/region": regions[group.cluster],
            },
            zone=one.zone,
            taints=taints,
            providerID=f"aws:///{one.zone}/{one.instance_id}",
        )
        for one in group.nodes
    ]

"""The controllers: pods, workloads, Jobs, claims, nodes and load balancers, and their faults."""

from __future__ import annotations

from typing import Any

import pytest
import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers.context import CloudProvider, CloudProviderError
from aws_setup.rehearsal.kubernetes.eks_bridge import OPENWHISK_NEEDS, OPENWHISK_WAITS
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import connect, core, pass_time

TWO_ON_HOSTS = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
        ]
    }
}


def pod_spec(**more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "image:1"}], **more}


def template(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"a": "b"} | (labels or {})}, "spec": pod_spec(**spec)}


def workload(name: str, replicas: int = 2, **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"a": "b"}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": selector, "template": template(**spec)},
    }


def job(name: str, part: str = "", **spec: Any) -> dict[str, Any]:
    labels = {"release": "owdev", "name": f"owdev-{part}"} if part else {}
    held = template(labels, restartPolicy="Never")
    return {"metadata": {"name": name}, "spec": {"template": held, **spec}}


def phases(api: KubeApiServer) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in api.state.all("pods")}


def reasons(api: KubeApiServer, name: str) -> set[str]:
    events = api.state.all("events")
    return {event["reason"] for event in events if event["involvedObject"]["name"].startswith(name)}


def test_the_states_of_a_pod(slow_kube: KubeApiServer) -> None:
    v1 = core(slow_kube)
    v1.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": pod_spec()})
    pod = v1.read_namespaced_pod("p", "default")
    assert (pod.status.phase, pod.spec.node_name) == ("Pending", None)
    assert reasons(slow_kube, "p") == {"FailedScheduling"}
    pass_time(slow_kube, 21)
    pod = v1.read_namespaced_pod("p", "default")
    assert pod.spec.node_name
    assert pod.status.container_statuses[0].state.waiting.reason == "ContainerCreating"
    with pytest.raises(ApiException) as caught:
        v1.read_namespaced_pod_log("p", "default")
    assert caught.value.status == 400
    pass_time(slow_kube, 20)
    assert v1.read_namespaced_pod("p", "default").status.phase == "Running"
    assert "running" in v1.read_namespaced_pod_log("p", "default")
    v1.delete_namespaced_pod("p", "default")
    assert v1.read_namespaced_pod("p", "default").metadata.deletion_timestamp
    pass_time(slow_kube, 10)
    assert phases(slow_kube) == {}


def test_a_chain_of_delays_does_not_depend_on_requests(slow_kube: KubeApiServer) -> None:
    core(slow_kube).create_namespaced_pod(
        "default", {"metadata": {"name": "p"}, "spec": pod_spec(restartPolicy="Never")}
    )
    pass_time(slow_kube, 62)
    assert phases(slow_kube) == {"p": "Succeeded"}


def test_one_pod_for_each_host_and_the_reason_for_the_rest(kube: KubeApiServer) -> None:
    apps = client.AppsV1Api(connect(kube))
    spec = {"affinity": TWO_ON_HOSTS, "nodeSelector": {"openwhisk-role": "invoker"}}
    body = workload("s", replicas=3, **spec)
    body["spec"]["podManagementPolicy"] = "Parallel"
    apps.create_namespaced_stateful_set("default", body)
    assert apps.read_namespaced_stateful_set("s", "default").status.ready_replicas == 2
    pending = core(kube).read_namespaced_pod("s-2", "default").status.conditions[0].message
    assert pending.startswith("0/3 nodes are available: ")
    assert "2 node(s) didn't match pod anti-affinity rules" in pending
    kube.add_node("invoker-2", openwhisk_role="invoker")
    assert apps.read_namespaced_stateful_set("s", "default").status.ready_replicas == 3


def test_a_deployment_rolls_and_scales(kube: KubeApiServer) -> None:
    apps = client.AppsV1Api(connect(kube))
    apps.create_namespaced_deployment("default", workload("d"))
    before = set(phases(kube))
    change = {"spec": {"template": {"metadata": {"labels": {"new": "1"}}}}}
    apps.patch_namespaced_deployment("d", "default", change)
    status = apps.read_namespaced_deployment("d", "default").status
    assert (status.ready_replicas, status.updated_replicas) == (2, 2)
    assert not before & set(phases(kube))
    apps.patch_namespaced_deployment_scale("d", "default", {"spec": {"replicas": 1}})
    assert len(phases(kube)) == 1


def test_dependants_are_deleted_or_orphaned(kube: KubeApiServer) -> None:
    apps = client.AppsV1Api(connect(kube))
    for name, policy in (("orphan", "Orphan"), ("gone", "Foreground")):
        apps.create_namespaced_stateful_set("default", workload(name, replicas=1))
        apps.delete_namespaced_stateful_set(name, "default", propagation_policy=policy)
    assert set(phases(kube)) == {"orphan-0"}
    with pytest.raises(ApiException):
        apps.read_namespaced_stateful_set("gone", "default")


def test_an_evicted_pod_is_replaced(kube: KubeApiServer) -> None:
    apps, v1 = client.AppsV1Api(connect(kube)), core(kube)
    apps.create_namespaced_stateful_set("default", workload("s", replicas=1))
    uid = v1.read_namespaced_pod("s-0", "default").metadata.uid
    v1.create_namespaced_pod_eviction("s-0", "default", {"metadata": {"name": "s-0"}})
    assert v1.read_namespaced_pod("s-0", "default").metadata.uid != uid


def test_a_job_completes_and_keeps_its_template(kube: KubeApiServer) -> None:
    batch = client.BatchV1Api(connect(kube))
    batch.create_namespaced_job("default", job("j", completions=2))
    status = batch.read_namespaced_job("j", "default").status
    assert (status.succeeded, status.conditions[0].type) == (2, "Complete")
    change = {"spec": {"template": {"metadata": {"labels": {"new": "1"}}}}}
    with pytest.raises(ApiException) as caught:
        batch.patch_namespaced_job("j", "default", change)
    assert caught.value.status == 422
    assert "field is immutable" in caught.value.body


def test_a_crashing_job_fails_at_its_limit_with_a_log(kube: KubeApiServer) -> None:
    kube.faults.add({"fault": "pod-crashes", "pod": "j-*", "log": "line 1\nno such host"})
    batch = client.BatchV1Api(connect(kube))
    batch.create_namespaced_job("default", job("j", backoffLimit=1))
    status = batch.read_namespaced_job("j", "default").status
    assert (status.failed, status.conditions[0].reason) == (2, "BackoffLimitExceeded")
    log = core(kube).read_namespaced_pod_log(next(iter(phases(kube))), "default", tail_lines=1)
    assert log.strip() == "no such host"


def test_gen_certs_fails_without_the_secret(kube: KubeApiServer) -> None:
    kube.controllers.context.secret_dependencies += OPENWHISK_NEEDS
    batch, v1 = client.BatchV1Api(connect(kube)), core(kube)
    batch.create_namespaced_job("default", job("first", "gen-certs", backoffLimit=0))
    assert batch.read_namespaced_job("first", "default").status.conditions[0].type == "Failed"
    log = v1.read_namespaced_pod_log(next(iter(phases(kube))), "default")
    assert "string too long" in log
    v1.create_namespaced_secret("default", {"metadata": {"name": "owdev-nginx"}})
    batch.create_namespaced_job("default", job("second", "gen-certs"))
    assert batch.read_namespaced_job("second", "default").status.succeeded == 1


def test_a_job_leaves_its_pods_unless_the_deletion_says_otherwise(kube: KubeApiServer) -> None:
    batch = client.BatchV1Api(connect(kube))
    for name, policy, remain in (("orphans", None, 1), ("all", "Background", 0)):
        batch.create_namespaced_job("default", job(name))
        batch.read_namespaced_job(name, "default")
        batch.delete_namespaced_job(name, "default", propagation_policy=policy)
        kube.tick()
        found = [pod for pod in phases(kube) if pod.startswith(f"{name}-")]
        assert len(found) == remain, name


def test_install_packages_waits_for_an_invoker(kube: KubeApiServer) -> None:
    kube.controllers.context.pod_dependencies += OPENWHISK_WAITS
    batch, v1 = client.BatchV1Api(connect(kube)), core(kube)
    batch.create_namespaced_job("default", job("j", "install-packages"))
    assert batch.read_namespaced_job("j", "default").status.active == 1
    labels = {"release": "owdev", "name": "owdev-invoker"}
    v1.create_namespaced_pod(
        "default", {"metadata": {"name": "i", "labels": labels}, "spec": pod_spec()}
    )
    assert phases(kube)["i"] == "Pending"
    labels = labels | {"name": "owdev-controller"}
    kube.controllers.context.pod_dependencies[:] = OPENWHISK_WAITS[4:]
    v1.create_namespaced_pod(
        "default", {"metadata": {"name": "c", "labels": labels}, "spec": pod_spec()}
    )
    assert phases(kube)["i"] == "Running"
    assert batch.read_namespaced_job("j", "default").status.succeeded == 1


@pytest.mark.parametrize(
    ("fault", "reason", "phase", "waiting"),
    [
        ("pod-not-ready", "Unhealthy", "Running", None),
        ("pod-crashes", "BackOff", "Running", "CrashLoopBackOff"),
        ("image-pull", "Failed", "Pending", "ImagePullBackOff"),
    ],
)
def test_faults_of_pods(
    kube: KubeApiServer, fault: str, reason: str, phase: str, waiting: str | None
) -> None:
    kube.faults.add({"fault": fault, "pod": "p*"})
    v1 = core(kube)
    v1.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": pod_spec()})
    status = v1.read_namespaced_pod("p", "default").status
    held = status.container_statuses[0]
    assert (status.phase, held.ready) == (phase, False)
    assert (held.state.waiting.reason if held.state.waiting else None) == waiting
    assert reason in reasons(kube, "p")
    kube.faults.clear()
    assert v1.read_namespaced_pod("p", "default").status.container_statuses[0].ready


def test_faults_of_claims_load_balancers_and_nodes(kube: KubeApiServer) -> None:
    kube.faults.add(
        {"fault": "claim-unbound"},
        {"fault": "balancer-pending"},
        {"fault": "node-not-ready", "node": "core-0"},
    )
    v1 = core(kube)
    v1.create_namespaced_service(
        "default",
        {"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}},
    )
    v1.create_namespaced_persistent_volume_claim(
        "default",
        {
            "metadata": {"name": "c"},
            "spec": {
                "resources": {"requests": {"storage": "1Gi"}},
                "accessModes": ["ReadWriteOnce"],
            },
        },
    )
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    v1.create_namespaced_pod(
        "default", {"metadata": {"name": "p"}, "spec": pod_spec(volumes=volumes)}
    )
    assert "ProvisioningFailed" in reasons(kube, "c")
    assert "SyncLoadBalancerFailed" in reasons(kube, "s")
    assert v1.read_node("core-0").status.conditions[0].status == "False"
    kube.faults.clear()
    assert v1.read_namespaced_pod("p", "default").status.phase == "Running"
    assert v1.read_namespaced_service("s", "default").status.load_balancer.ingress
    assert v1.read_node("core-0").status.conditions[0].status == "True"


def test_a_pod_runs_in_the_zone_of_its_volume(kube: KubeApiServer) -> None:
    v1 = core(kube)
    v1.create_namespaced_persistent_volume_claim(
        "default",
        {
            "metadata": {"name": "c"},
            "spec": {
                "resources": {"requests": {"storage": "1Gi"}},
                "accessModes": ["ReadWriteOnce"],
            },
        },
    )
    spec = pod_spec(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
    for name, node in (("first", "invoker-1"), ("second", "core-0")):
        chosen = spec | {"nodeSelector": {"kubernetes.io/hostname": node}}
        v1.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": chosen})
    assert phases(kube) == {"first": "Running", "second": "Pending"}
    message = v1.read_namespaced_pod("second", "default").status.conditions[0].message
    assert "volume node affinity conflict" in message


def test_taints_and_cordons_keep_pods_away_and_no_execute_evicts(kube: KubeApiServer) -> None:
    v1, apps = core(kube), client.AppsV1Api(connect(kube))
    nodes = [str(node.metadata.name) for node in v1.list_node().items]
    tolerant = {"tolerations": [{"operator": "Exists"}]}
    for name, spec in (("agent", {}), ("proxy", tolerant)):
        labels = {"a": name}
        held = {"metadata": {"labels": labels}, "spec": pod_spec(**spec)}
        body = {"selector": {"matchLabels": labels}, "template": held}
        apps.create_namespaced_daemon_set("default", {"metadata": {"name": name}, "spec": body})
    there = pod_spec(nodeSelector={"kubernetes.io/hostname": nodes[0]})
    v1.create_namespaced_pod("default", {"metadata": {"name": "evicted"}, "spec": there})
    taint = {"key": "mine", "effect": "NoExecute"}
    v1.patch_node(nodes[0], {"spec": {"taints": [taint]}})
    for node in nodes[1:]:
        v1.patch_node(node, {"spec": {"unschedulable": True}})
    found = {
        name: apps.read_namespaced_daemon_set(name, "default").status.number_ready
        for name in ("agent", "proxy")
    }
    assert found == {"agent": len(nodes) - 1, "proxy": len(nodes)}
    assert "TaintManagerEviction" in reasons(kube, "evicted")
    assert "evicted" not in phases(kube)
    v1.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": pod_spec()})
    message = v1.read_namespaced_pod("p", "default").status.conditions[0].message
    assert f"{len(nodes) - 1} node(s) were unschedulable" in message
    assert "1 node(s) had untolerated taint" in message
    v1.create_namespaced_pod("default", {"metadata": {"name": "q"}, "spec": pod_spec(**tolerant)})
    assert v1.read_namespaced_pod("q", "default").spec.node_name in nodes


def test_a_restart_breaks_connections_and_a_second_writer_conflicts(kube: KubeApiServer) -> None:
    v1 = core(kube)
    held = v1.create_namespaced_config_map("kube-system", {"metadata": {"name": "aws-auth"}})
    kube.faults.add({"fault": "second-writer", "resource": "configmaps", "name": "aws-auth"})
    with pytest.raises(ApiException) as caught:
        v1.replace_namespaced_config_map("aws-auth", "kube-system", held)
    assert caught.value.status == 409
    held = v1.read_namespaced_config_map("aws-auth", "kube-system")
    assert held.metadata.annotations == {"second-writer": "was-here"}
    v1.replace_namespaced_config_map("aws-auth", "kube-system", held)
    kube.faults.add({"fault": "status", "status": 500, "verb": "list", "resource": "pods"})
    with pytest.raises(ApiException) as caught:
        v1.list_namespaced_pod("default")
    assert caught.value.status == 500
    kube.faults.add({"fault": "restarting", "times": 20})
    with pytest.raises(urllib3.exceptions.HTTPError):
        v1.list_namespaced_pod("default")
    kube.faults.clear()
    assert v1.list_namespaced_pod("default").items == []


class Refusing(CloudProvider):
    """A cloud provider that cannot do anything, and counts how often it was asked."""

    asked = 0

    def ensure_load_balancer(self, service: KubeObject) -> str:
        self.asked += 1
        raise CloudProviderError("Throttling: Rate exceeded")

    def delete_load_balancer(self, service: KubeObject) -> None:
        self.asked += 1
        raise CloudProviderError("DependencyViolation: the group is in use")


def test_what_the_cloud_refuses_for_long_is_retried_once_per_delay(
    slow_kube: KubeApiServer,
) -> None:
    """Each retry scheduled two: after 20 of them the emulated cloud did nothing else."""
    cloud = Refusing()
    slow_kube.controllers.context.cloud_provider = cloud
    ports = [{"port": 80, "targetPort": 80}]
    spec = {"type": "LoadBalancer", "ports": ports, "selector": {"a": "b"}}
    core(slow_kube).create_namespaced_service("default", {"metadata": {"name": "s"}, "spec": spec})
    for delete in (False, True):
        if delete:
            core(slow_kube).delete_namespaced_service("s", "default")
        pass_time(slow_kube, 60)
        before = cloud.asked
        for _ in range(20):
            pass_time(slow_kube, 10)
        once = 2  # a retry runs the controllers, and its event runs them a second time
        assert 20 <= cloud.asked - before <= 20 * once + 2

"""The defaults that the server writes into objects.

https://kubernetes.io/docs/reference/kubernetes-api/ (each field's description names its default)
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind

NAME_LABEL = "kubernetes.io/metadata.name"
FILE_MODE = 0o644
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def set_defaults(kind: ResourceKind, obj: KubeObject) -> None:
    """Fill in the fields that an object's kind has by default; again, it changes nothing."""
    if work := DEFAULTS.get(kind.name):
        work(obj)
    if "status" in kind.subresources:
        obj.setdefault("status", _first_status(kind.name))


def _first_status(kind: str) -> KubeObject:
    first: dict[str, KubeObject] = {
        "Service": {"loadBalancer": {}},
        "StatefulSet": {"replicas": 0},
        "ReplicaSet": {"replicas": 0},
        "Namespace": {"phase": "Active"},
        "Pod": {"phase": "Pending"},
        "PersistentVolume": {"phase": "Pending"},
        "PersistentVolumeClaim": {"phase": "Pending"},
        "Ingress": {"loadBalancer": {}},
        "DaemonSet": {
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        },
    }
    return first.get(kind, {})


def _fill(obj: KubeObject, **values: object) -> KubeObject:
    for key, value in values.items():
        obj.setdefault(key, value)
    return obj


def _secret(obj: KubeObject) -> None:
    texts = obj.pop("stringData", None) or {}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    if encoded:
        obj["data"] = (obj.get("data") or {}) | encoded
    if not obj.get("type"):
        obj["type"] = "Opaque"


def _service(obj: KubeObject) -> None:
    spec = _fill(obj.setdefault("spec", {}), type="ClusterIP", sessionAffinity="None")
    for port in spec.get("ports") or []:
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] == "ExternalName":
        return
    _fill(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in {"LoadBalancer", "NodePort"}:
        _fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)


def _node(obj: KubeObject) -> None:
    obj.setdefault("spec", {})


def _storage_class(obj: KubeObject) -> None:
    _fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _namespace(obj: KubeObject) -> None:
    meta = obj["metadata"]
    meta["labels"] = (meta.get("labels") or {}) | {NAME_LABEL: meta.get("name", "")}
    _fill(obj.setdefault("spec", {}), finalizers=["kubernetes"])


def _claim(obj: KubeObject) -> None:
    _fill(obj.setdefault("spec", {}), volumeMode="Filesystem")


def _volume(obj: KubeObject) -> None:
    _fill(
        obj.setdefault("spec", {}), persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem"
    )


def _template(obj: KubeObject) -> None:
    spec = obj.setdefault("spec", {})
    template = spec.get("template")
    if isinstance(template, dict):
        pod_spec(template.setdefault("spec", {}))
        template.setdefault("metadata", {})


def _rolling(spec: KubeObject, field: str, **values: object) -> None:
    strategy = _fill(spec.setdefault(field, {}), type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), **values)


def _deployment(obj: KubeObject) -> None:
    _template(obj)
    spec = _fill(obj["spec"], replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    _rolling(spec, "strategy", maxUnavailable="25%", maxSurge="25%")


def _statefulset(obj: KubeObject) -> None:
    _template(obj)
    spec = _fill(
        obj["spec"], replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady"
    )
    _rolling(spec, "updateStrategy", partition=0)
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    _fill(spec.setdefault("persistentVolumeClaimRetentionPolicy", {}), **kept)
    for claim in spec.get("volumeClaimTemplates") or []:
        _fill(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _claim(claim)


def _daemonset(obj: KubeObject) -> None:
    _template(obj)
    spec = _fill(obj["spec"], revisionHistoryLimit=10)
    _rolling(spec, "updateStrategy", maxUnavailable=1, maxSurge=0)


def _replicaset(obj: KubeObject) -> None:
    _template(obj)
    _fill(obj["spec"], replicas=1)


def _job(obj: KubeObject) -> None:
    _job_spec(obj.setdefault("spec", {}))
    _template(obj)
    meta = obj["metadata"]
    labels = (obj["spec"].get("template") or {}).get("metadata", {}).get("labels")
    if labels and not meta.get("labels"):
        meta["labels"] = dict(labels)


def _job_spec(spec: KubeObject) -> None:
    if "parallelism" not in spec and "completions" not in spec:
        spec["completions"] = 1
    _fill(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="TerminatingOrFailed",
    )


def _cronjob(obj: KubeObject) -> None:
    spec = obj.setdefault("spec", {})
    _fill(
        spec,
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    if isinstance(spec.get("jobTemplate"), dict):
        _template(spec["jobTemplate"])


def _binding(obj: KubeObject) -> None:
    group = "rbac.authorization.k8s.io"
    if obj.get("roleRef"):
        _fill(obj["roleRef"], apiGroup=group)
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in {"User", "Group"}:
            _fill(subject, apiGroup=group)


def _network_policy(obj: KubeObject) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, podSelector={}, policyTypes=["Ingress", *(["Egress"] if "egress" in spec else [])])
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or []:
            _fill(port, protocol="TCP")


def _pod(obj: KubeObject) -> None:
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    _fill(spec, enableServiceLinks=True)
    for container in containers(spec):
        resources = container["resources"]
        if resources.get("limits"):
            resources["requests"] = resources["limits"] | (resources.get("requests") or {})


def containers(spec: KubeObject) -> Iterator[KubeObject]:
    """Yield every container of a pod's spec, those that initialise it first."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def pod_spec(spec: KubeObject) -> None:
    """Fill in the defaults of a pod's spec."""
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in containers(spec):
        _container(container)
    for volume in spec.get("volumes") or []:
        for source in ("secret", "configMap", "downwardAPI", "projected"):
            if isinstance(volume.get(source), dict):
                _fill(volume[source], defaultMode=FILE_MODE)
        if isinstance(volume.get("hostPath"), dict):
            _fill(volume["hostPath"], type="")


def _container(container: KubeObject) -> None:
    _fill(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
        imagePullPolicy=_pull_policy(str(container.get("image", ""))),
    )
    for port in container.get("ports") or []:
        _fill(port, protocol="TCP")
    for variable in container.get("env") or []:
        if reference := (variable.get("valueFrom") or {}).get("fieldRef"):
            _fill(reference, apiVersion="v1")
    for name in PROBES:
        if probe := container.get(name):
            _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if probe.get("httpGet"):
                _fill(probe["httpGet"], scheme="HTTP", path="/")


def _pull_policy(image: str) -> str:
    """Return the default policy: Always for the tag latest, which is also the missing tag's."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"


DEFAULTS: dict[str, Callable[[KubeObject], None]] = {
    "Secret": _secret,
    "Service": _service,
    "StorageClass": _storage_class,
    "Namespace": _namespace,
    "Node": _node,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "Deployment": _deployment,
    "StatefulSet": _statefulset,
    "DaemonSet": _daemonset,
    "ReplicaSet": _replicaset,
    "Job": _job,
    "CronJob": _cronjob,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "NetworkPolicy": _network_policy,
    "Pod": _pod,
}

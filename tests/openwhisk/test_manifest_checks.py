"""What a chart renders is looked at: runtimes, classes, images, Docker, fixed fields, versions."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from aws_setup.eks.storage import DEFAULT, is_default, other_defaults
from aws_setup.engine.http_deadline import HINT_CLOCK
from aws_setup.kube.errors import HINT_ENDPOINT, HINT_NAME, HINT_NETWORK
from aws_setup.openwhisk.helm_hints import HINT_RERUN, hint_for
from aws_setup.openwhisk.immutable_fields import (
    immutable_changes,
    key_of,
    quantity,
    refusals,
)
from aws_setup.openwhisk.local_program import ProgramFailed
from aws_setup.openwhisk.manifest_checks import (
    class_problems,
    docker_problems,
    image_problems,
    runtimes_problems,
)

GOOD = '{"runtimes": {"any": [{"kind": "generic-namenode:10"}]}}'
OTHER = '{"runtimes": {"java": [{"kind": "java:8"}]}}'


def made(kind: str, name: str, spec: Any = None, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec or {}, **more}


def invoker(*, kind: str = "StatefulSet", image: str = "invoker:1", **more: Any) -> dict[str, Any]:
    container = {"name": "invoker", "image": image} | more
    return made(kind, "owdev-invoker", {"template": {"spec": {"containers": [container]}}})


def variable(text: str | None) -> dict[str, Any]:
    return {"name": "RUNTIMES_MANIFEST", "value": text}


@pytest.mark.kind("B3")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GOOD, ""),
        ("", "is empty"),
        (" \n", "is empty"),
        (None, "is empty"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"runtimes": {"java": [{}]}}', "cannot be read"),
        (OTHER, "has only java:8"),
        ('{"runtimes": {}}', "has only no kinds"),
        (GOOD.replace("generic-namenode:10", "generic-namenodes:10"), "has only"),
    ],
)
def test_runtimes_without_the_namenodes_kind_are_named(text: str | None, why: str) -> None:
    direct = invoker(env=[variable(text)])
    daemon = invoker(kind="DaemonSet", env=[variable(text)])
    reference = {"configMapKeyRef": {"name": "files", "key": "r"}}
    by_key = invoker(env=[{"name": "RUNTIMES_MANIFEST", "valueFrom": reference}])
    by_map = invoker(envFrom=[{"configMapRef": {"name": "files"}}])
    files = made("ConfigMap", "files", data={"r": text, "RUNTIMES_MANIFEST": text})
    for manifest in ([direct], [daemon], [by_key, files], [files, by_map]):
        problems = runtimes_problems(manifest)
        assert bool(problems) == bool(why)
        for problem in problems:
            assert "owdev-invoker" in problem.why
            assert why in problem.why
            assert "whisk.runtimes" in problem.hint
    # Both parts get the same file: one problem.
    assert len(runtimes_problems([direct, daemon])) == bool(why)


@pytest.mark.kind("B3")
def test_runtimes_in_a_config_map_that_does_not_exist_are_empty() -> None:
    reference = {"configMapKeyRef": {"name": "gone", "key": "r"}}
    alone = invoker(env=[{"name": "RUNTIMES_MANIFEST", "valueFrom": reference}])
    assert "is empty" in runtimes_problems([alone])[0].why


@pytest.mark.kind("B3")
def test_volumes_of_a_class_that_does_not_exist_are_named() -> None:
    claim = made("PersistentVolumeClaim", "data", {"storageClassName": "fast"})
    plain, static = (
        made("PersistentVolumeClaim", "plain"),
        made("PersistentVolumeClaim", "static", {"storageClassName": ""}),
    )
    sets = made("StatefulSet", "kafka", {"volumeClaimTemplates": [{"spec": claim["spec"]}]})
    everything = [claim, plain, static, sets]
    assert class_problems(everything, {"fast"}, default=True, existing=()) == []
    found = class_problems(everything, {"gp3"}, default=True, existing=())
    assert [one.what.partition(" asks")[0] for one in found] == ["claim data", "StatefulSet kafka"]
    assert all("fast" in one.what and "gp3" in one.why for one in found)
    (none,) = class_problems(everything, {"fast"}, default=False, existing=())
    assert "plain" in none.what
    assert "no default" in none.why
    # What exists has its volume, whatever became of the class.
    assert class_problems([claim, sets], (), default=False, existing={"data", "kafka"}) == []


@pytest.mark.kind("B3")
@pytest.mark.parametrize(
    ("image", "result"),
    [
        ("invoker:1", "fine"),
        ("localhost:5000/me/invoker:6.25vcpu-40gb", "fine"),
        ("me/invoker@sha256:0123", "fine"),
        ("invoker", "warned"),
        ("localhost:5000/invoker", "warned"),
        ("invoker:", "refused"),
        (":1", "refused"),
        ("", "refused"),
        ("me/:1", "refused"),
        ("<no value>:1", "refused"),
    ],
)
def test_an_image_without_a_tag_is_warned_about_and_no_image_refused(
    image: str, result: str
) -> None:
    job = made("Job", "j", {"template": {"spec": {"initContainers": [{"image": image}]}}})
    cron = made("CronJob", "c", {"jobTemplate": {"spec": job["spec"]}})
    bare = made("Pod", "wskadmin", {"containers": [{"image": image}]})
    for manifest in ([invoker(image=image)], [job], [cron], [bare]):
        refused, warned = image_problems(manifest)
        assert (bool(refused), bool(warned)) == (result == "refused", result == "warned")


@pytest.mark.kind("B9")
def test_an_invoker_that_needs_docker_is_warned_about() -> None:
    docker = {"invoker": {"containerFactory": {"impl": "docker"}}}
    (problem,) = docker_problems((), docker)
    assert "containerd" in problem.why
    option = "-Dwhisk.spi.ContainerFactoryProvider=org.x.DockerContainerFactoryProvider"
    assert docker_problems([invoker(env=[{"name": "INVOKER_OPTS", "value": option}])], {})
    socket = invoker()
    socket["spec"]["template"]["spec"]["volumes"] = [{"hostPath": {"path": "/var/run/docker.sock"}}]
    assert docker_problems([socket], {})
    kubernetes = {"invoker": {"containerFactory": {"impl": "kubernetes"}}}
    fine = invoker(env=[{"name": "O", "value": "KubernetesContainerFactoryProvider"}])
    assert docker_problems([fine], kubernetes) == []
    assert docker_problems([], {"invoker": None}) == []


@pytest.mark.kind("B4")
@pytest.mark.parametrize(
    ("wanted", "version", "fix"),
    [
        (">=1.19.0", "v1.36.0-eks-3ae7b14", '">=1.19.0-0"'),
        (">= 1.19", "v1.36.0-eks-3ae7b14", '">= 1.19-0"'),
        (">=1.19.0 <1.40.0", "v1.36.0-eks-1", '">=1.19.0-0 <1.40.0-0"'),
        (">=1.40.0", "v1.36.0-eks-1", "in >=1.40.0"),
        (">=1.19.0-0, <1.30.0-0", "v1.36.0-eks-1", "in >=1.19.0-0, <1.30.0-0"),
        (">=1.40.0", "v1.36.0", "in >=1.40.0"),
    ],
)
def test_a_charts_kubernetes_version_has_a_fix(wanted: str, version: str, fix: str) -> None:
    why = f"chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {version}"
    hint = hint_for(f"Error: UPGRADE FAILED: {why}")
    assert fix in hint
    assert ("helm 4" in hint) == ("-0" in fix and "in >" not in fix)
    assert hint_for("Error: timed out") == HINT_RERUN


def test_a_version_of_thousands_of_digits_is_no_foreign_error() -> None:
    """Python reads no number of more than 4300 digits."""
    version = "9" * 5000
    why = f"chart requires kubeVersion: >={version} which is incompatible with Kubernetes v1.36.0"
    assert hint_for(f"Error: UPGRADE FAILED: {why}")


def test_a_webhook_that_times_out_is_not_about_the_operators_address() -> None:
    hint = hint_for(
        'Error: Internal error occurred: failed calling webhook "policy.example.com": failed to '
        'call webhook: Post "https://policy.default.svc:443/": dial tcp 10.0.1.2:443: i/o timeout'
    )
    assert hint.startswith("start the pods of this webhook, or delete its configuration")
    assert hint_for("Error: dial tcp 198.51.100.1:443: i/o timeout") == HINT_ENDPOINT


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("dial tcp: lookup zoo.eks.amazonaws.com on 127.0.0.53:53: no such host", HINT_NAME),
        ("dial tcp: lookup zoo.eks.amazonaws.com: server misbehaving", HINT_NAME),
        ("dial tcp 198.51.100.1:443: connect: network is unreachable", HINT_NETWORK),
        ("dial tcp 198.51.100.1:443: connect: no route to host", HINT_NETWORK),
        ("read tcp 10.0.0.2:1->198.51.100.1:443: read: connection reset by peer", HINT_NETWORK),
        (
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
            "current time 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z",
            HINT_CLOCK,
        ),
    ],
)
def test_what_helm_says_of_the_network_has_a_fix_and_is_tried_again(said: str, hint: str) -> None:
    output = f"Error: UPGRADE FAILED: query: Get https://zoo.eks.amazonaws.com/api: {said}"
    assert hint_for(output) == hint
    failed = ProgramFailed("helm upgrade failed", output, hint_for(output), output=output)
    assert failed.unreachable is (hint != HINT_CLOCK)


@pytest.mark.kind("B5")
def test_another_default_class_is_named_with_its_fix() -> None:
    assert is_default({"metadata": {"annotations": {DEFAULT: "true"}}})
    assert not is_default({"metadata": {"annotations": {DEFAULT: "false"}}})
    assert not is_default({"metadata": {}})
    problem = other_defaults(["gp2"])
    assert "gp2" in problem.what
    assert "kubectl annotate storageclass gp2" in problem.hint


CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "storageClassName": "gp3",
    "resources": {"requests": {"storage": "2Gi"}},
}
KAFKA = {
    "serviceName": "kafka",
    "replicas": 1,
    "podManagementPolicy": "Parallel",
    "selector": {"matchLabels": {"name": "kafka"}},
    "template": {"spec": {}},
    "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM}],
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "PersistentVolumeClaim": {"volumeMode": "Filesystem", "volumeName": "pvc-1"},
    "StatefulSet": {"revisionHistoryLimit": 10, "updateStrategy": {"type": "RollingUpdate"}},
    "Service": {"clusterIP": "10.100.0.7", "type": "ClusterIP"},
}
SMALL = {"resources": {"requests": {"storage": "1Gi"}}}
TO_ANOTHER = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM | SMALL}]}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    # Kind, its spec, what changes, the field that is refused ('' for none).
    ("PersistentVolumeClaim", CLAIM, {}, ""),
    ("PersistentVolumeClaim", CLAIM, SMALL, "cannot shrink"),
    ("PersistentVolumeClaim", CLAIM, {"resources": {"requests": {"storage": "2048Mi"}}}, ""),
    ("PersistentVolumeClaim", CLAIM, {"resources": {"requests": {"storage": "3Gi"}}}, ""),
    ("PersistentVolumeClaim", CLAIM, {"storageClassName": "gp2"}, "spec.storageClassName"),
    ("PersistentVolumeClaim", CLAIM, {"accessModes": ["ReadWriteMany"]}, "spec.accessModes"),
    ("PersistentVolumeClaim", CLAIM, {"volumeMode": "Block"}, "spec.volumeMode"),
    ("StatefulSet", KAFKA, {}, ""),
    ("StatefulSet", KAFKA, {"replicas": 3, "minReadySeconds": 5, "template": {"a": 1}}, ""),
    ("StatefulSet", KAFKA, {"serviceName": "other"}, "spec.serviceName"),
    ("StatefulSet", KAFKA, {"serviceName": None}, "spec.serviceName"),
    ("StatefulSet", KAFKA, {"podManagementPolicy": "OrderedReady"}, "spec.podManagementPolicy"),
    ("StatefulSet", KAFKA, {"selector": {"matchLabels": {"name": "b"}}}, "spec.selector"),
    ("StatefulSet", KAFKA, {"selector": {"matchLabels": {}}}, "spec.selector"),
    ("StatefulSet", KAFKA, TO_ANOTHER, "spec.volumeClaimTemplates"),
    ("StatefulSet", KAFKA, {"volumeClaimTemplates": []}, "spec.volumeClaimTemplates"),
    ("Deployment", {"selector": {"matchLabels": {"a": "1"}}}, {"replicas": 2}, ""),
    ("Deployment", {"selector": {"a": "1"}}, {"selector": {"a": "2"}}, "spec.selector"),
    ("DaemonSet", {"selector": {"a": "1"}}, {"selector": {"a": "1", "b": "2"}}, "spec.selector"),
    ("Service", {"ports": [1]}, {"ports": [2], "clusterIP": ""}, ""),
    ("Service", {}, {"clusterIP": "None"}, "spec.clusterIP"),
    ("Service", {}, {"clusterIP": "None", "type": "ExternalName"}, ""),
    ("Service", {"loadBalancerClass": "a/b"}, {"loadBalancerClass": "c/d"}, "loadBalancerClass"),
    ("PriorityClass", {}, {}, ""),
]


@pytest.mark.kind("B8")
@pytest.mark.parametrize(("kind", "spec", "change", "field"), CASES)
def test_fields_that_kubernetes_does_not_change_are_named_before_an_upgrade(
    kind: str, spec: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    before = made(kind, "part", copy.deepcopy(spec))
    exists = made(kind, "part", DEFAULTS.get(kind, {}) | copy.deepcopy(spec))
    after = made(kind, "part", {**spec, **change})
    found = refusals([[before]], [after], {key_of(exists): exists})
    assert [field in str(item) for item in found] == ([True] if field else [])
    assert refusals([[before]], [after], {}) == []


@pytest.mark.kind("B8")
def test_a_claim_grows_only_where_its_class_lets_it() -> None:
    claim = made("PersistentVolumeClaim", "data", CLAIM)
    larger = made("PersistentVolumeClaim", "data", {**CLAIM})
    larger["spec"]["resources"] = {"requests": {"storage": "4Gi"}}
    for allowed in (True, False):
        live = {
            key_of(claim): claim,
            ("StorageClass", "gp3"): made("StorageClass", "gp3", allowVolumeExpansion=allowed),
        }
        assert bool(refusals([], [larger], live)) != allowed


@pytest.mark.kind("B8")
@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_immutable_config_map_or_secret_is_named(kind: str) -> None:
    old = made(kind, "a", data={"x": "MQ=="}, immutable=True)
    new = made(kind, "a", data={"x": "Mg=="}, immutable=True)
    live = {key_of(old): old}
    assert [item.fields for item in refusals([], [new], live)] == [("data",)]
    assert refusals([], [old], live) == []
    assert refusals([], [new], {key_of(old): old | {"immutable": False}}) == []
    opened = {key: value for key, value in old.items() if key != "immutable"}
    assert [item.fields for item in refusals([], [opened], live)] == [("immutable",)]
    typed = made("Secret", "a", type="Opaque")
    other = made("Secret", "a", type="kubernetes.io/tls")
    assert [it.fields for it in refusals([], [other], {key_of(typed): typed})] == [("type",)]


@pytest.mark.kind("B8")
@pytest.mark.parametrize(
    ("change", "recreated"),
    [
        ({"template": {"a": 2}}, True),
        ({"completions": 2}, True),
        ({"podFailurePolicy": {"rules": []}}, True),
        ({"backoffLimit": 9, "ttlSecondsAfterFinished": 5, "suspend": True}, False),
    ],
)
def test_a_job_is_created_again_only_for_what_cannot_change(
    change: dict[str, Any], recreated: bool
) -> None:
    before = made("Job", "a", {"template": {"a": 1}, "backoffLimit": 1})
    after = made("Job", "a", {**before["spec"], **change})
    assert bool(immutable_changes([[before]], [after])) == recreated


def test_quantities_are_compared_by_what_they_mean() -> None:
    assert quantity("1Gi") == quantity("1024Mi") == quantity(2**30)
    assert quantity("0.5") == quantity("500m")
    assert quantity("1G") != quantity("1Gi")
    assert quantity("big") is None
    assert quantity(None) is None

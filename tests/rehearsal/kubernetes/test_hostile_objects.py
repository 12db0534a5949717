"""No object ends the emulated API server, a request's connection, or one of its controllers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.rehearsal.kubernetes.requests_table import (
    APPS,
    BATCH,
    CLAIMS,
    CLASSES,
    CM,
    CORE,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    PODS,
    RBAC,
    SECRETS,
    SERVICES,
    SETS,
    SPACE,
    claim,
    job,
    named,
    pod_spec,
    service,
    workload,
)
from tests.support.kube import furnish

VALUES: tuple[Any, ...] = (None, -1, "", [None], [{}], {"a": None})
"""What each field of each kind is replaced by: Go's zero values, holes, and other types."""

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
NET = "/apis/networking.k8s.io/v1/namespaces/default"
BODIES: dict[str, dict[str, Any]] = {
    CM: named(
        "n",
        data={"a": "1"},
        meta={
            "labels": {"a": "b"},
            "annotations": {"a": "b"},
            "finalizers": [],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
        },
    ),
    SECRETS: named("n", type="Opaque", data={"a": "MQ=="}),
    SERVICES: service(
        "n",
        {"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"},
        type="LoadBalancer",
        selector={"a": "b"},
        loadBalancerSourceRanges=["10.0.0.0/8"],
    ),
    CLAIMS: claim("n", storageClassName="now"),
    PODS: named(
        "n",
        spec=pod_spec(
            nodeSelector={"a": "b"},
            tolerations=[{"key": "a", "operator": "Exists"}],
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
                        ]
                    }
                },
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"a": "b"}},
                        }
                    ]
                },
            },
            volumes=[
                {"name": "v", "persistentVolumeClaim": {"claimName": "c"}},
                {"name": "s", "secret": {"secretName": "opaque"}},
            ],
            container={
                "env": [
                    {"name": "a", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}}
                ],
                "ports": [{"name": "web", "containerPort": 80}],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                "volumeMounts": [{"name": "v", "mountPath": "/d"}],
            },
        ),
    ),
    DEPLOYMENTS: workload(
        "n",
        spec={
            "replicas": 1,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"},
            },
        },
    ),
    SETS: workload(
        "n",
        spec={
            "replicas": 2,
            "serviceName": "s",
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "volumeClaimTemplates": [claim("t")],
        },
    ),
    f"{APPS}/namespaces/default/daemonsets": workload(
        "n", spec={"updateStrategy": {"type": "OnDelete"}}
    ),
    JOBS: job("n", backoffLimit=1, completions=2, parallelism=1, ttlSecondsAfterFinished=100),
    EVENTS: named(
        "n",
        involvedObject={"namespace": "default", "kind": "Pod", "name": "p", "uid": "u"},
        message="m",
        type="Normal",
        lastTimestamp="2026-01-01T00:00:00Z",
        count=1,
    ),
    CLASSES: named(
        "n",
        provisioner="ebs.csi.aws.com",
        parameters={"type": "gp3"},
        volumeBindingMode="Immediate",
        allowedTopologies=[{"matchLabelExpressions": [{"key": "a", "values": ["b"]}]}],
    ),
    f"{CORE}/namespaces": named("n", spec={"finalizers": ["kubernetes"]}),
    f"{SPACE}/serviceaccounts": named(
        "n", secrets=[{"name": "a"}], imagePullSecrets=[{"name": "a"}]
    ),
    f"{RBAC}/clusterrolebindings": named(
        "n",
        roleRef={"kind": "ClusterRole", "name": "x", "apiGroup": "rbac.authorization.k8s.io"},
        subjects=[{"kind": "User", "name": "a"}],
    ),
    f"{RBAC}/namespaces/default/roles": named(
        "n", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    ),
    f"{CORE}/nodes": named(
        "n",
        meta={"labels": {"a": "b"}},
        spec={
            "taints": [{"key": "a", "effect": "NoSchedule"}],
            "providerID": "aws:///us-east-1a/i-1",
        },
    ),
    f"{CORE}/persistentvolumes": named(
        "n",
        spec={
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"},
            "claimRef": {"name": "c", "namespace": "default"},
            "storageClassName": "gp3",
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
                    ]
                }
            },
        },
    ),
    NET + "/ingresses": named(
        "n",
        spec={
            "rules": [
                {
                    "host": "a.b",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "s", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
    ),
    NET + "/networkpolicies": named(
        "n",
        spec={
            "podSelector": {"matchLabels": {"a": "b"}},
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
    ),
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets": named(
        "n", spec={"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    ),
    f"{BATCH}/namespaces/default/cronjobs": named(
        "n",
        spec={
            "schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": {"spec": pod_spec(restartPolicy="Never")}}},
        },
    ),
    "/apis/coordination.k8s.io/v1/namespaces/default/leases": named(
        "n", spec={"holderIdentity": "a", "leaseDurationSeconds": 15}
    ),
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
    "/apis/events.k8s.io/v1/namespaces/default/events": named(
        "n", note="n", regarding={"namespace": "default", "kind": "Pod"}
    ),
}
"""Path of a kind -> a valid object with the fields that controllers read."""


def paths(body: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each field and item."""
    items = body.items() if isinstance(body, dict) else enumerate(body)
    for key, value in items:
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*prefix, key))


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value at a path."""
    result = at = copy.deepcopy(body)
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return result


@pytest.fixture(scope="module")
def api() -> Iterator[KubeApiServer]:
    with KubeApiServer() as server:
        furnish(server)
        driver = {"metadata": {"name": "now"}, "provisioner": "ebs.csi.aws.com"}
        server.state.put("storageclasses", driver)
        yield server


@pytest.mark.kind("C7")
@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.rsplit("/", 1)[1])
def test_no_field_of_an_object_stops_server_or_controllers(api: KubeApiServer, path: str) -> None:
    pool = urllib3.PoolManager(ca_cert_data=api.ca_pem, retries=False)
    headers = {"Authorization": "Bearer any", "Content-Type": "application/json"}

    def send(method: str, url: str, body: Any = None, **more: str) -> tuple[int, Any]:
        raw = None if body is None else json.dumps(body)
        answer = pool.request(method, api.url + url, body=raw, headers=headers | more, timeout=240)
        return answer.status, json.loads(answer.data)

    body, failures = BODIES[path], api.controllers.context.failures
    before = len(api.internal_errors), len(failures)
    for number, where in enumerate(paths(body)):
        for at, value in enumerate(VALUES):
            sent = replaced(body, where, value)
            if "metadata" in sent and where[0] != "metadata":
                sent["metadata"]["name"] = f"n{number}-{at}"
            status, answer = send("POST", path, sent)
            assert status in (201, 400, 403, 409, 422), (where, value, answer)
            if status == 201 and "metadata" in body:
                url = f"{path}/{quote(answer['metadata']['name'])}"
                assert send("GET", url, Accept=TABLE)[0] in (200, 404), (where, value)
                assert send("DELETE", url)[0] in (200, 404), (where, value)
    assert list(api.internal_errors)[before[0] :] == []
    assert list(failures)[before[1] :] == []

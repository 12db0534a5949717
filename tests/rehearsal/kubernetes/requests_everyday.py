"""Requests that programs send every day, and what a real server answers: the rest of the table.

Sources, beside the real server: kubernetes/kubernetes, staging/src/k8s.io/apiserver/pkg (endpoints
and registry), and https://kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from __future__ import annotations

import json

from tests.rehearsal.kubernetes.requests_table import (
    APPLY,
    APPS,
    BAD,
    BATCH,
    CLAIMS,
    CLASSES,
    CM,
    CORE,
    CREATED,
    DEPLOYMENTS,
    FORBIDDEN,
    INVALID,
    JOBS,
    MERGE,
    OK,
    PODS,
    RBAC,
    SECRETS,
    SERVICES,
    SETS,
    SPACE,
    STRATEGIC,
    Row,
    applied,
    claim,
    delete,
    get,
    job,
    named,
    patch,
    pod_spec,
    post,
    service,
    workload,
)

EXISTS, MISSING, CONFLICT = (409, "AlreadyExists"), (404, "NotFound"), (409, "Conflict")
NOT_ALLOWED = (405, "MethodNotAllowed")
NODES, NAMESPACES = f"{CORE}/nodes", f"{CORE}/namespaces"
ACCOUNTS = f"{SPACE}/serviceaccounts"
YAML = "application/yaml"
ALL_KINDS = {
    "ConfigMap": (CM, named("cm")),
    "Secret": (SECRETS, named("opaque")),
    "Service": (SERVICES, service("svc")),
    "claim": (CLAIMS, claim("bound")),
    "Pod": (PODS, named("p", spec=pod_spec())),
    "Deployment": (DEPLOYMENTS, workload("d")),
    "StatefulSet": (SETS, workload("sts", spec={"serviceName": "s"})),
    "Job": (JOBS, job("j")),
    "ServiceAccount": (ACCOUNTS, named("default")),
    "Namespace": (NAMESPACES, named("default")),
    "StorageClass": (CLASSES, named("gp3", provisioner="ebs.csi.aws.com")),
    "Node": (NODES, named("core-0")),
    "ClusterRoleBinding": (
        f"{RBAC}/clusterrolebindings",
        named("bound", roleRef={"kind": "ClusterRole", "name": "x"}),
    ),
    "Lease": ("/apis/coordination.k8s.io/v1/namespaces/default/leases", named("l", spec={})),
}
"""Kind -> its path, and a body whose name exists."""


def edited(kind: str, **meta: str) -> dict[str, object]:
    """Return the existing object of a kind with other metadata."""
    body = json.loads(json.dumps(ALL_KINDS[kind][1]))
    body["metadata"] |= meta
    return {**body}


DYING = f"{NAMESPACES}/dying"
BEFORE: tuple[tuple[str, str, dict[str, object] | None], ...] = (
    ("POST", NAMESPACES, named("dying")),
    (
        "POST",
        f"{DYING}/configmaps",
        named("holds-it", meta={"finalizers": ["example.com/keep"]}),
    ),
    ("DELETE", DYING, None),
    ("PATCH", f"{CM}/applied?fieldManager=one", applied("ConfigMap", "applied", data={"a": "1"})),
)
"""What is sent before the requests: method, path, body (PATCH: server-side apply)."""

EVERYDAY = [
    *(post(f"{kind} exists", path, body, EXISTS) for kind, (path, body) in ALL_KINDS.items()),
    *(
        get(f"{kind}", f"{path}/{body['metadata']['name']}", OK)
        for kind, (path, body) in ALL_KINDS.items()
    ),
    *(get(f"list of {kind}", path, OK, 'List"') for kind, (path, _) in ALL_KINDS.items()),
    *(get(f"missing {kind}", f"{path}/none", MISSING) for kind, (path, _) in ALL_KINDS.items()),
    *(
        patch(f"patch of a missing {kind}", f"{path}/none", {}, MISSING)
        for kind, (path, _) in ALL_KINDS.items()
    ),
    *(
        delete(f"deletion of a missing {kind}", f"{path}/none", MISSING)
        for kind, (path, _) in ALL_KINDS.items()
    ),
    *(
        Row(
            f"PUT of an old {kind}",
            "PUT",
            f"{path}/{body['metadata']['name']}",
            *CONFLICT,
            body=edited(kind, resourceVersion="1"),
        )
        for kind, (path, body) in ALL_KINDS.items()
        if kind not in ("Job", "claim")
    ),
    *(
        Row(f"POST to the name of a {kind}", "POST", f"{path}/x", *NOT_ALLOWED, body=body)
        for kind, (path, body) in ALL_KINDS.items()
    ),
    Row("PUT of a collection", "PUT", CM, *NOT_ALLOWED, body=named("x")),
    patch("PATCH of a collection", CM, {}, NOT_ALLOWED),
    post(
        "missing namespace",
        f"{NAMESPACES}/none/configmaps",
        named("x"),
        MISSING,
        'namespaces \\"none\\" not found',
    ),
    get("list of a missing namespace", f"{NAMESPACES}/none/configmaps", OK, '"items": []'),
    post(
        "namespace that is being deleted",
        f"{DYING}/configmaps",
        named("x"),
        FORBIDDEN,
        "because it is being terminated",
    ),
    post(
        "namespace that is being deleted, again",
        NAMESPACES,
        named("dying"),
        EXISTS,
        "object is being deleted",
    ),
    get("namespace that is being deleted, read", DYING, OK, '"phase": "Terminating"'),
    patch(
        "apply of what another has set",
        f"{CM}/applied?fieldManager=two",
        applied("ConfigMap", "applied", data={"a": "2"}),
        CONFLICT,
        'conflict with \\"one\\": .data.a',
        APPLY,
    ),
    patch(
        "apply of the same value",
        f"{CM}/applied?fieldManager=three",
        applied("ConfigMap", "applied", data={"a": "1"}),
        OK,
        kind=APPLY,
    ),
    patch(
        "apply by force",
        f"{CM}/applied?fieldManager=two&force=true",
        applied("ConfigMap", "applied", data={"a": "2"}),
        OK,
        kind=APPLY,
    ),
    patch(
        "apply of what is missing",
        f"{CM}/new-applied?fieldManager=two",
        applied("ConfigMap", "new-applied"),
        CREATED,
        kind=APPLY,
    ),
    patch(
        "apply with an old version",
        f"{CM}/applied?fieldManager=two",
        applied("ConfigMap", "applied", meta={"resourceVersion": "1"}),
        CONFLICT,
        kind=APPLY,
    ),
    patch(
        "JSON patch whose test fails",
        f"{CM}/cm",
        [{"op": "test", "path": "/data/a", "value": "no"}],
        INVALID,
        kind="application/json-patch+json",
    ),
    patch(
        "JSON patch of a missing path",
        f"{CM}/cm",
        [{"op": "remove", "path": "/data/none"}],
        INVALID,
        kind="application/json-patch+json",
    ),
    patch("strategic patch", f"{DEPLOYMENTS}/d", {"spec": {"replicas": 1}}, OK, kind=STRATEGIC),
    patch(
        "status alone",
        f"{PODS}/p/status",
        {"status": {"message": "m"}},
        OK,
        '"message": "m"',
        MERGE,
    ),
    get("scale", f"{SETS}/sts/scale", OK, '"kind": "Scale"'),
    Row("body in YAML", "POST", CM, *CREATED, body="metadata: {name: in-yaml}", content=YAML),
    Row(
        "body of another type",
        "POST",
        CM,
        415,
        "UnsupportedMediaType",
        body="x",
        content="text/plain",
    ),
    post("generateName", CM, {"metadata": {"generateName": "made-"}}, CREATED, '"name": "made-'),
    get("selector of a set", f"{CM}?labelSelector=a%20in%20(b,c),!d,e!=f", OK),
    get("selector of numbers", f"{NODES}?labelSelector=a%3E1", OK),
    get("field of namespaces", f"{NAMESPACES}?fieldSelector=status.phase=Active", OK),
    get("field of secrets", f"{SECRETS}?fieldSelector=type=Opaque", OK, '"opaque"'),
    get("field of jobs", f"{JOBS}?fieldSelector=status.successful=0", OK),
    get("field of nodes", f"{NODES}?fieldSelector=spec.unschedulable=false", OK),
    get("field that claims lack", f"{CLAIMS}?fieldSelector=status.phase=Bound", BAD),
    get("field that Deployments lack", f"{DEPLOYMENTS}?fieldSelector=spec.replicas=1", BAD),
    get("field selector that is none", f"{CM}?fieldSelector=metadata.name", BAD),
    get("everywhere", f"{CORE}/configmaps", OK, "kube-root-ca.crt"),
    get("discovery of groups", "/apis", OK, "APIGroupList"),
    get("discovery of a group", "/apis/apps", OK, '"kind": "APIGroup"'),
    get("discovery of kinds", APPS, OK, "APIResourceList"),
    get("discovery of the core", "/api", OK, "APIVersions"),
    get("discovery of a missing version", "/apis/apps/v9", MISSING),
    get("beta of a kind that is gone", f"{BATCH}beta1/namespaces/default/cronjobs", MISSING),
    get("version", "/version", OK, "gitVersion"),
    get("health", "/healthz", (200, ""), "ok"),
    get("readiness", "/readyz", (200, ""), "ok"),
    get("liveness", "/livez", (200, ""), "ok"),
    delete("collection", f"{NAMESPACES}/kube-public/configmaps?labelSelector=none=here", OK),
    post(
        "eviction",
        f"{PODS}/two/eviction",
        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "two"}},
        CREATED,
    ),
    post(
        "eviction of what is missing",
        f"{PODS}/none/eviction",
        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "none"}},
        MISSING,
    ),
    delete(
        "resourceVersion of another",
        f"{CM}/cm",
        CONFLICT,
        body={"preconditions": {"resourceVersion": "1"}},
    ),
    delete("claim that a pod may use", f"{CLAIMS}/unbound", OK),
]
"""Requests that succeed or fail in the usual ways."""

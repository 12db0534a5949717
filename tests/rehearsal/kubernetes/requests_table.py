"""The requests of the strictness test as a table, with the real server's status and reason.

The answers are those of a real kube-apiserver 1.36, or of its source where it was not asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

CORE, APPS, BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"
SPACE = f"{CORE}/namespaces/default"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass(frozen=True)
class Row:
    """One request with the status, the reason and a part of the text of its answer."""

    title: str
    method: str
    path: str
    status: int
    reason: str = ""
    text: str = ""
    body: Any = None
    content: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes | None:
        """The bytes of the body: a text is sent as it is."""
        if self.body is None:
            return None
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def named(name: str, /, **more: Any) -> dict[str, Any]:
    """Return the body of an object."""
    meta = {"name": name} | more.pop("meta", {})
    return {"metadata": meta, **more}


def pod_spec(**more: Any) -> dict[str, Any]:
    """Return a pod's spec with one container, of which `container` overwrites fields."""
    container = {"name": "main", "image": "image:1"} | more.pop("container", {})
    return {"containers": [container], **more}


def workload(name: str, *, labels: Any = None, spec: Any = None, pod: Any = None) -> dict[str, Any]:
    """Return a Deployment, StatefulSet or DaemonSet without its kind."""
    template = {"metadata": {"labels": labels or {"a": "b"}}, "spec": pod or pod_spec()}
    return named(
        name, spec={"selector": {"matchLabels": {"a": "b"}}, "template": template} | (spec or {})
    )


def job(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Job without its kind."""
    return named(name, spec={"template": {"spec": pod_spec(restartPolicy="Never")}} | spec)


def claim(name: str, **spec: Any) -> dict[str, Any]:
    """Return a claim of 1 GiB without its kind."""
    size = {"requests": {"storage": "1Gi"}}
    return named(name, spec={"accessModes": ["ReadWriteOnce"], "resources": size} | spec)


def service(name: str, *ports: Any, **spec: Any) -> dict[str, Any]:
    """Return a Service without its kind."""
    return named(name, spec={"ports": list(ports) or [{"port": 80}]} | spec)


def applied(kind: str, name: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    """Return a configuration for server-side apply."""
    return {"apiVersion": version, "kind": kind} | named(name, **more)


EXISTING: tuple[tuple[str, dict[str, Any]], ...] = (
    (f"{SPACE}/configmaps", named("cm", data={"a": "1"})),
    (f"{SPACE}/configmaps", named("frozen", data={"a": "1"}, immutable=True)),
    (f"{SPACE}/secrets", named("frozen", stringData={"a": "1"}, immutable=True)),
    (f"{SPACE}/secrets", named("opaque", stringData={"a": "1"})),
    (f"{SPACE}/services", service("svc")),
    (f"{SPACE}/services", service("ported", {"port": 80, "nodePort": 31234}, type="NodePort")),
    (f"{SPACE}/persistentvolumeclaims", claim("unbound", storageClassName="gp3")),
    (f"{SPACE}/persistentvolumeclaims", claim("bound", storageClassName="now")),
    (f"{SPACE}/persistentvolumeclaims", claim("fixed", storageClassName="fixed")),
    (f"{SPACE}/services", service("balanced", type="LoadBalancer", loadBalancerClass="a/b")),
    (f"{SPACE}/pods", named("p", spec=pod_spec())),
    (f"{SPACE}/pods", named("two", spec={"containers": [{"name": n, "image": n} for n in "ab"]})),
    (f"{SPACE}/pods", named("unplaced", spec=pod_spec(nodeSelector={"no": "where"}))),
    (f"{APPS}/namespaces/default/statefulsets", workload("sts", spec={"serviceName": "s"})),
    (f"{APPS}/namespaces/default/deployments", workload("d")),
    (f"{BATCH}/namespaces/default/jobs", job("j")),
    (
        f"{RBAC}/clusterrolebindings",
        named("bound", roleRef={"kind": "ClusterRole", "name": "x"}),
    ),
    ("/apis/coordination.k8s.io/v1/namespaces/default/leases", named("l", spec={})),
    (f"{SPACE}/configmaps", named("held", meta={"finalizers": ["example.com/keep"]})),
)
"""Objects that exist before the requests: where each is created, and its body."""

STRICT = "?fieldValidation=Strict"
BAD, INVALID, FORBIDDEN = (400, "BadRequest"), (422, "Invalid"), (403, "Forbidden")


def post(title: str, path: str, body: Any, answer: tuple[int, str], text: str = "") -> Row:
    """Return the row of a POST."""
    return Row(title, "POST", path, *answer, text, body)


def patch(
    title: str, path: str, body: Any, answer: tuple[int, str], text: str = "", kind: str = MERGE
) -> Row:
    """Return the row of a PATCH."""
    return Row(title, "PATCH", path, *answer, text, body, kind)


def get(title: str, path: str, answer: tuple[int, str], text: str = "", **headers: str) -> Row:
    """Return the row of a GET."""
    named_headers = {key.capitalize(): value for key, value in headers.items()}
    return Row(title, "GET", path, *answer, text, headers=named_headers)


def delete(title: str, path: str, answer: tuple[int, str], text: str = "", body: Any = None) -> Row:
    """Return the row of a DELETE."""
    return Row(title, "DELETE", path, *answer, text, body)


OK, CREATED = (200, ""), (201, "")
CM, PODS, SECRETS = f"{SPACE}/configmaps", f"{SPACE}/pods", f"{SPACE}/secrets"
SERVICES, CLAIMS = f"{SPACE}/services", f"{SPACE}/persistentvolumeclaims"
DEPLOYMENTS, SETS = (
    f"{APPS}/namespaces/default/deployments",
    f"{APPS}/namespaces/default/statefulsets",
)
JOBS, EVENTS = f"{BATCH}/namespaces/default/jobs", f"{SPACE}/events"
LONG = "a" * 64

SURVIVED = [
    post(
        "claim without resources",
        CLAIMS,
        named("x", spec={"accessModes": ["ReadWriteOnce"]}),
        INVALID,
        "spec.resources[storage]: Required value",
    ),
    post("claim without a spec", CLAIMS, named("x"), INVALID, "spec.accessModes: Required value"),
    post(
        "event without involvedObject.uid",
        EVENTS,
        named("e1", involvedObject={"namespace": "default"}),
        CREATED,
    ),
    post("event about nothing", EVENTS, named("e2", message="m"), CREATED),
    post(
        "event about another namespace",
        EVENTS,
        named("e3", involvedObject={"namespace": "kube-system"}),
        INVALID,
        "does not match event.namespace",
    ),
    patch("merge patch that is a list", f"{CM}/cm", [1], BAD),
    patch("merge patch that is a text", f"{CM}/cm", '"text"', BAD),
    patch("merge patch that is null", f"{CM}/cm", "null", BAD),
    patch("strategic patch that is a list", f"{CM}/cm", [], BAD, kind=STRATEGIC),
    patch("JSON patch that is an object", f"{CM}/cm", {"a": 1}, BAD, kind=JSON_PATCH),
    patch("JSON patch without op", f"{CM}/cm", [{"path": "/data"}], INVALID, kind=JSON_PATCH),
    patch("JSON patch of a number", f"{CM}/cm", [1], INVALID, kind=JSON_PATCH),
    patch(
        "JSON patch that removes the metadata",
        f"{CM}/cm",
        [{"op": "remove", "path": "/metadata"}],
        BAD,
        kind=JSON_PATCH,
    ),
    patch("merge patch that removes the metadata", f"{CM}/cm", {"metadata": None}, BAD),
    get(
        "watch from resourceVersion=abc", f"{CM}?watch=1&resourceVersion=abc&timeoutSeconds=1", BAD
    ),
    get("list from resourceVersion=abc", f"{CM}?resourceVersion=abc", BAD),
    get("watch with timeoutSeconds=abc", f"{CM}?watch=1&timeoutSeconds=abc", BAD),
    post("body that is a list", CM, [1], BAD),
    post("body that is a text", CM, '"x"', BAD),
    post("body that is no JSON", CM, "{", BAD),
    Row("no body", "POST", CM, *BAD),
    post("metadata that is a text", CM, {"metadata": "x"}, BAD),
    post(
        "template that is a text",
        DEPLOYMENTS,
        named("x", spec={"template": "t"}),
        BAD,
        "cannot unmarshal string",
    ),
    post("spec that is a list", PODS, named("x", spec=[]), BAD, "cannot unmarshal array"),
    post("container that is a number", PODS, named("x", spec={"containers": [1]}), BAD),
    post("selector that is a text", SERVICES, named("x", spec={"selector": "a=b"}), BAD),
    post(
        "quantity that is none",
        CLAIMS,
        claim("x", resources={"requests": {"storage": "much"}}),
        BAD,
        "quantities must match",
    ),
    post(
        "deployment without a spec",
        DEPLOYMENTS,
        named("x"),
        INVALID,
        "spec.selector: Required value",
    ),
    post(
        "job without a template",
        JOBS,
        named("x", spec={}),
        INVALID,
        "spec.template.spec.containers: Required value",
    ),
    post(
        "owner without a uid",
        CM,
        named("x", meta={"ownerReferences": [{"kind": "Pod", "name": "p", "apiVersion": "v1"}]}),
        INVALID,
        "must not be empty",
    ),
]
"""Requests that could end the emulated server, or a request's connection."""

SCHEMA = [
    post(
        "unknown field, Strict",
        f"{CM}{STRICT}",
        named("x", dat={}),
        BAD,
        'strict decoding error: unknown field \\"dat\\"',
    ),
    post(
        "unknown field deep in a pod, Strict",
        f"{PODS}{STRICT}",
        named("x", spec=pod_spec(container={"imagePulPolicy": "Always"})),
        BAD,
        'unknown field \\"spec.containers[0].imagePulPolicy\\"',
    ),
    post(
        "unknown field of a template, Strict",
        f"{DEPLOYMENTS}{STRICT}",
        workload("x", spec={"replica": 1}),
        BAD,
        'unknown field \\"spec.replica\\"',
    ),
    post(
        "unknown field of a Service's port, Strict",
        f"{SERVICES}{STRICT}",
        service("x", {"port": 80, "target": 1}),
        BAD,
        'unknown field \\"spec.ports[0].target\\"',
    ),
    post(
        "unknown field of metadata, Strict",
        f"{CM}{STRICT}",
        named("x", meta={"label": {}}),
        BAD,
        'unknown field \\"metadata.label\\"',
    ),
    post(
        "doubled field, Strict",
        f"{CM}{STRICT}",
        '{"metadata":{"name":"x"},"data":{"a":"1"},"data":{"b":"1"}}',
        BAD,
        'duplicate field \\"data\\"',
    ),
    post(
        "doubled field deep inside, Strict",
        f"{PODS}{STRICT}",
        '{"metadata":{"name":"x","name":"y"},"spec":{"containers":[]}}',
        BAD,
        'duplicate field \\"metadata.name\\"',
    ),
    post("unknown field, Warn", f"{CM}?fieldValidation=Warn", named("warned", dat={}), CREATED),
    post(
        "unknown field, Ignore", f"{CM}?fieldValidation=Ignore", named("ignored", dat={}), CREATED
    ),
    post(
        "unknown fieldValidation",
        f"{CM}?fieldValidation=Hard",
        named("x"),
        INVALID,
        "fieldValidation: Unsupported value",
    ),
    patch(
        "unknown field in a patch, Strict",
        f"{CM}/cm{STRICT}",
        {"dat": {}},
        INVALID,
        "strict decoding error",
    ),
    patch(
        "unknown field in a strategic patch, Strict",
        f"{DEPLOYMENTS}/d{STRICT}",
        {"spec": {"replica": 1}},
        INVALID,
        "unknown field",
        STRATEGIC,
    ),
    patch(
        "unknown field, server-side apply",
        f"{CM}/cm?fieldManager=m",
        applied("ConfigMap", "cm", dat={}),
        (500, ""),
        ".dat: field not declared in schema",
        APPLY,
    ),
    patch(
        "unknown field of a spec, server-side apply",
        f"{SERVICES}/svc?fieldManager=m",
        applied("Service", "svc", spec={"port": []}),
        (500, ""),
        ".spec.port: field not declared in schema",
        APPLY,
    ),
    post(
        "number in data",
        CM,
        named("x", data={"a": 1}),
        BAD,
        "cannot unmarshal number into Go struct field",
    ),
    post("true in data", CM, named("x", data={"a": True}), BAD, "cannot unmarshal bool"),
    post("number in labels", CM, named("x", meta={"labels": {"a": 1}}), BAD, "of type string"),
    post("number in annotations", CM, named("x", meta={"annotations": {"a": 1}}), BAD),
    post(
        "number in env",
        PODS,
        named("x", spec=pod_spec(container={"env": [{"name": "a", "value": 1}]})),
        BAD,
    ),
    post(
        "text for replicas",
        DEPLOYMENTS,
        workload("x", spec={"replicas": "2"}),
        BAD,
        "of type int32",
    ),
    post(
        "fraction for replicas",
        DEPLOYMENTS,
        workload("x", spec={"replicas": 1.5}),
        BAD,
        "number 1.5",
    ),
    post("text for a port", SERVICES, service("x", {"port": "80"}), BAD),
    post("number for a name", CM, {"metadata": {"name": 5}}, BAD),
    post("true for a command", PODS, named("x", spec=pod_spec(container={"command": [True]})), BAD),
    patch("number in data, patch", f"{CM}/cm", {"data": {"a": 1}}, INVALID, "patch: Invalid value"),
    patch(
        "number in labels, strategic patch",
        f"{CM}/cm",
        {"metadata": {"labels": {"a": 1}}},
        INVALID,
        kind=STRATEGIC,
    ),
    patch(
        "number in labels, JSON patch",
        f"{CM}/cm",
        [{"op": "add", "path": "/metadata/labels", "value": {"a": 1}}],
        INVALID,
        kind=JSON_PATCH,
    ),
    post(
        "data that is no base64", SECRETS, named("x", data={"a": "?"}), BAD, "illegal base64 data"
    ),
    post("time that is none", EVENTS, named("x", firstTimestamp="yesterday"), BAD, "parsing time"),
    post("another kind", CM, {"kind": "Pod", "apiVersion": "v1"} | named("x"), BAD),
    post("another version", CM, {"kind": "ConfigMap", "apiVersion": "v2"} | named("x"), BAD),
    post(
        "another namespace",
        CM,
        named("x", meta={"namespace": "kube-system"}),
        BAD,
        "does not match the namespace",
    ),
]
"""Fields, types and bodies that the schema does not allow."""

NAMES = [
    post("no name", CM, {"data": {}}, INVALID, "name or generateName is required"),
    post("capital in a name", CM, named("Bad"), INVALID, "RFC 1123 subdomain"),
    post("two dots in a name", CM, named("a..b"), INVALID),
    post("254 characters in a name", CM, named("a" * 254), INVALID, "no more than 253"),
    post("Service of 64 characters", SERVICES, service(LONG), INVALID, "no more than 63"),
    post("Service that begins with a digit", SERVICES, service("1a"), INVALID, "DNS-1035"),
    post("Service with a dot", SERVICES, service("a.b"), INVALID),
    post("namespace with a dot", f"{CORE}/namespaces", named("a.b"), INVALID, "RFC 1123 label"),
    post("namespace of 64 characters", f"{CORE}/namespaces", named(LONG), INVALID),
    post("role with a slash", f"{RBAC}/clusterroles", named("a/b"), INVALID, "may not contain '/'"),
    post("role with a colon", f"{RBAC}/clusterroles", named("a:b"), CREATED),
    post("bad label key", CM, named("x", meta={"labels": {"a b": "c"}}), INVALID, "name part"),
    post("label key with two slashes", CM, named("x", meta={"labels": {"a/b/c": "d"}}), INVALID),
    post(
        "bad label value", CM, named("x", meta={"labels": {"a": "b c"}}), INVALID, "a valid label"
    ),
    post("label value of 64 characters", CM, named("x", meta={"labels": {"a": LONG}}), INVALID),
    post("bad annotation key", CM, named("x", meta={"annotations": {"a b": "c"}}), INVALID),
    post(
        "annotations over 256 KiB",
        CM,
        named("x", meta={"annotations": {"a": "b" * 300000}}),
        INVALID,
        "Too long",
    ),
    post(
        "finalizer without a domain",
        CM,
        named("x", meta={"finalizers": ["mine"]}),
        INVALID,
        "fully qualified",
    ),
    post("bad data key", CM, named("x", data={"a b": "c"}), INVALID, "a valid config key"),
    post("bad data key of a Secret", SECRETS, named("x", stringData={"a/b": "c"}), INVALID),
    post("data key of 254 characters", SECRETS, named("x", stringData={"a" * 254: "c"}), INVALID),
    post(
        "bad label in a template",
        DEPLOYMENTS,
        workload("x", labels={"a": "b", "c": "d e"}),
        INVALID,
    ),
    post(
        "namespace that does not exist",
        f"{CORE}/namespaces/nowhere/configmaps",
        named("x"),
        (404, "NotFound"),
        'namespaces \\"nowhere\\" not found',
    ),
    post(
        "same name", CM, named("cm"), (409, "AlreadyExists"), 'configmaps \\"cm\\" already exists'
    ),
    post(
        "create with resourceVersion",
        CM,
        named("x", meta={"resourceVersion": "1"}),
        (500, ""),
        "should not be set",
    ),
    post("create without a namespace", f"{CORE}/configmaps", named("x"), (405, "MethodNotAllowed")),
]
"""Names, keys and labels."""

"""Validation and defaults of objects that are created or changed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject, bad_request, invalid
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind
from aws_setup.rehearsal.kubernetes.api.selectors import matches

NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
LABEL = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)
IMMUTABLE = "field is immutable"
SET_MAY_CHANGE = (
    "replicas",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "ordinals",
)
"""Fields of a StatefulSet's spec that may change after creation (StatefulSet validation)."""

FROZEN: dict[str, tuple[str, ...]] = {
    "Job": ("spec.template", "spec.selector", "spec.completionMode"),
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "Secret": ("type",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
}
"""Immutable fields by kind."""


def check_shape(kind: ResourceKind, obj: Any, *, namespace: str) -> KubeObject:
    """Check that a body is an object of the kind and namespace of the URL.

    Raises:
        ApiError: 400 when it is not, 422 for an invalid name or label.
    """
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata", {}), dict):
        raise bad_request("the body is not an object")
    version, name = obj.get("apiVersion"), obj.get("kind")
    if (version, name) not in ((kind.group_version, kind.name), (None, None)):
        raise bad_request(
            f"the API version and kind in the data ({version}, {name}) do not match the "
            f"expected ones ({kind.group_version}, {kind.name})"
        )
    meta = obj.setdefault("metadata", {})
    if kind.namespaced and meta.setdefault("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return obj


def check_names(kind: ResourceKind, obj: KubeObject) -> None:
    """Check name and labels; raises ApiError 422."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    if not name:
        raise invalid(kind.name, "", "metadata.name", "name or generateName is required")
    loose = kind.group == "rbac.authorization.k8s.io"
    if not loose and (not NAME.match(name) or len(name) > 253):
        raise invalid(kind.name, name, "metadata.name", f'Invalid value: "{name}": {SUBDOMAIN}')
    for key, value in (meta.get("labels") or {}).items():
        if not isinstance(value, str) or not LABEL.match(value):
            raise invalid(
                kind.name, name, "metadata.labels", f'Invalid value: "{value}": of label {key}'
            )


def set_defaults(
    kind: ResourceKind,
    obj: KubeObject,
    *,
    address: Callable[[], str],
    before: KubeObject | None = None,
) -> None:
    """Set the server's defaults: secret data, cluster address, default fields, empty status."""
    if kind.name == "Secret":
        texts = obj.pop("stringData", None) or {}
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        if encoded:
            obj["data"] = (obj.get("data") or {}) | encoded
        obj.setdefault("type", "Opaque")
    if kind.name == "Service":
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        old = (before or {}).get("spec", {}).get("clusterIP")
        if not spec.get("clusterIP"):
            spec["clusterIP"] = old or address()
    if kind.name == "StorageClass":
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")
    if kind.name in {"Deployment", "StatefulSet", "ReplicaSet"}:
        obj["spec"].setdefault("replicas", 1)
    if "status" in kind.subresources:
        obj.setdefault("status", _first_status(kind))


def _first_status(kind: ResourceKind) -> KubeObject:
    first: dict[str, KubeObject] = {
        "Service": {"loadBalancer": {}},
        "StatefulSet": {"replicas": 0},
        "ReplicaSet": {"replicas": 0},
        "Namespace": {"phase": "Active"},
        "Pod": {"phase": "Pending"},
        "PersistentVolumeClaim": {"phase": "Pending"},
        "DaemonSet": {
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        },
    }
    return first.get(kind.name, {})


def validate(kind: ResourceKind, obj: KubeObject) -> None:
    """Check the required fields of an object's kind; raises ApiError 400 or 422."""
    check_names(kind, obj)
    check = {
        "Secret": _secret,
        "Deployment": _workload,
        "StatefulSet": _workload,
        "DaemonSet": _workload,
        "Job": _template,
        "Pod": _pod,
        "Service": _service,
        "StorageClass": _storage_class,
    }.get(kind.name)
    if check:
        check(obj)


def _secret(obj: KubeObject) -> None:
    name = obj["metadata"]["name"]
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, TypeError) as error:
            raise bad_request(
                'Secret in version "v1" cannot be handled as a Secret: illegal base64 data '
                f"in data.{key}"
            ) from error
    if obj.get("type") != "kubernetes.io/tls":
        return
    for key in ("tls.crt", "tls.key"):
        if not (obj.get("data") or {}).get(key):
            raise invalid("Secret", name, f"data[{key}]", "Required value")


def _workload(obj: KubeObject) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"]["name"]
    selector = spec.get("selector")
    if not selector:
        raise invalid(obj["kind"], name, "spec.selector", "Required value")
    _template(obj)
    labels = spec["template"].get("metadata", {}).get("labels") or {}
    if not matches(selector, labels):
        raise invalid(
            f"{obj['kind']}.apps",
            name,
            "spec.template.metadata.labels",
            "Invalid value: `selector` does not match template `labels`",
        )


def _template(obj: KubeObject) -> None:
    name, spec = obj["metadata"]["name"], obj.get("spec") or {}
    template = spec.get("template")
    if not template:
        raise invalid(obj["kind"], name, "spec.template", "Required value")
    _containers(obj["kind"], name, template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if obj["kind"] == "Job" and policy not in {"Never", "OnFailure"}:
        raise invalid(
            "Job.batch",
            name,
            "spec.template.spec.restartPolicy",
            'Required value: valid values: "OnFailure", "Never"',
        )


def _pod(obj: KubeObject) -> None:
    _containers("Pod", obj["metadata"]["name"], obj.get("spec") or {}, "spec")


def _containers(kind: str, name: str, spec: KubeObject, field_path: str) -> None:
    containers = spec.get("containers")
    if not containers:
        raise invalid(kind, name, f"{field_path}.containers", "Required value")
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    for at, container in enumerate(containers):
        for field in ("name", "image"):
            if not container.get(field):
                raise invalid(
                    kind, name, f"{field_path}.containers[{at}].{field}", "Required value"
                )
        for mount in container.get("volumeMounts") or []:
            if kind != "StatefulSet" and mount.get("name") not in volumes:
                field = f"{field_path}.containers[{at}].volumeMounts"
                raise invalid(kind, name, field, f'Not found: "{mount.get("name")}"')


def _service(obj: KubeObject) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"]["name"]
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        raise invalid("Service", name, "spec.ports", "Required value")
    for at, port in enumerate(ports):
        number = port.get("port")
        if not isinstance(number, int) or not 1 <= number <= 65535:
            raise invalid("Service", name, f"spec.ports[{at}].port", f"Invalid value: {number!r}")
        if len(ports) > 1 and not port.get("name"):
            raise invalid("Service", name, f"spec.ports[{at}].name", "Required value")


def _storage_class(obj: KubeObject) -> None:
    if not obj.get("provisioner"):
        raise invalid("StorageClass", obj["metadata"]["name"], "provisioner", "Required value")


def check_immutable_fields(kind: ResourceKind, before: KubeObject, after: KubeObject) -> None:
    """Check that immutable fields have not changed; raises ApiError 422 or 403."""
    name = before["metadata"]["name"]
    group = f"{kind.name}.{kind.group}" if kind.group else kind.name
    for path in FROZEN.get(kind.name, ()):
        old, new = _value_at(before, path), _value_at(after, path)
        if old != new and not (new is None and path == "spec.selector"):
            raise invalid(group, name, path, f"Invalid value: {new!r:.200}: {IMMUTABLE}")
    if kind.name == "StatefulSet" and _fixed(before) != _fixed(after):
        allowed = ", ".join(f"'{item}'" for item in SET_MAY_CHANGE)
        raise invalid(
            group,
            name,
            "spec",
            f"Forbidden: updates to statefulset spec for fields other than {allowed} are forbidden",
        )
    if kind.name == "PersistentVolumeClaim" and _claim(before) != _claim(after):
        raise invalid(
            kind.name,
            name,
            "spec",
            "Forbidden: spec is immutable after creation except resources.requests",
        )
    if kind.name in {"ConfigMap", "Secret"} and before.get("immutable"):
        raise ApiError(403, "Forbidden", f'{kind.plural} "{name}" is immutable')


def _value_at(obj: KubeObject, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _fixed(obj: KubeObject) -> KubeObject:
    return {key: value for key, value in obj["spec"].items() if key not in SET_MAY_CHANGE}


def _claim(obj: KubeObject) -> KubeObject:
    return {k: v for k, v in obj["spec"].items() if k not in {"resources", "volumeName"}}

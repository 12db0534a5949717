"""Fields that Kubernetes does not change after creation: which of them an upgrade would change.

Jobs and Pods of the chart are deleted and created again (release.py); everything else holds data
or is in use, so it is named before the upgrade, which would fail half-way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Object = Mapping[str, Any]
Manifest = Sequence[Object]

SPEC_MAY_CHANGE: Mapping[str, frozenset[str]] = {
    "StatefulSet": frozenset(
        (
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        )
    ),
    "Job": frozenset(
        (
            "parallelism",
            "activeDeadlineSeconds",
            "backoffLimit",
            "maxFailedIndexes",
            "manualSelector",
            "podReplacementPolicy",
            "suspend",
            "ttlSecondsAfterFinished",
        )
    ),
    # The size has a rule of its own: it may grow.
    "PersistentVolumeClaim": frozenset(("resources", "volumeAttributesClassName")),
    "Pod": frozenset(),
}
"""Kind -> the fields of its spec that may change; all others keep their first value.

kubernetes/kubernetes, ValidateStatefulSetUpdate and ValidateJobSpecUpdate of pkg/apis, and
ValidatePersistentVolumeClaimUpdate of pkg/apis/core/validation. A Pod's image may change too, but
a Pod of the chart holds no data and is created again for any change.
"""

MAY_NOT_CHANGE: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "Service": ("spec.clusterIP", "spec.loadBalancerClass"),
    "Secret": ("type",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "PriorityClass": ("value", "preemptionPolicy"),
}
"""Kind -> the fields that keep their first value, of kinds most of whose fields may change."""

DATA = ("data", "binaryData", "stringData", "immutable")
"""What a ConfigMap or Secret with `immutable: true` keeps (https://kubernetes.io/docs/concepts/
configuration/configmap/#configmap-immutable)."""

SIZE = "spec.resources.requests.storage"
UNITS = {
    suffix: Decimal(base) ** power
    for base, suffixes in ((1000, "kMGTPE"), (1024, ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
    for power, suffix in enumerate(suffixes, start=1)
} | {"": Decimal(1), "m": Decimal("0.001")}
"""Suffixes of quantities (https://kubernetes.io/docs/reference/kubernetes-api/
common-definitions/quantity/)."""


@dataclass(frozen=True, order=True)
class Changed:
    """An object that an upgrade has to delete and create again, and why."""

    kind: str
    name: str
    why: str = "its template changes"


@dataclass(frozen=True, order=True)
class Refusal:
    """Fields of an object that an upgrade would change and that Kubernetes would not."""

    kind: str
    name: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {', '.join(self.fields)}"


def key_of(item: Object) -> tuple[str, str]:
    """Return what identifies an object in a namespace."""
    return str(item.get("kind")), str((item.get("metadata") or {}).get("name"))


def immutable_changes(before: Sequence[Manifest], after: Manifest) -> list[Changed]:
    """Return the jobs and pods that an upgrade would change, and that Kubernetes would refuse.

    `before` are the manifests of which one is applied (of several after an interrupted upgrade).
    """
    new = _fixed_parts(after)
    old = [_fixed_parts(manifest) for manifest in before]
    return sorted(
        Changed(*key)
        for key, part in new.items()
        if any(key in manifest and manifest[key] != part for manifest in old)
    )


def _fixed_parts(manifest: Manifest) -> dict[tuple[str, str], Any]:
    """Return the parts of jobs and pods that Kubernetes cannot change, by kind and name."""
    return {
        key_of(item): _without(item["spec"], SPEC_MAY_CHANGE[item["kind"]])
        for item in manifest
        if item.get("kind") in ("Job", "Pod")
    }


def _without(spec: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in names}


def refusals(
    before: Sequence[Manifest], after: Manifest, live: Mapping[tuple[str, str], Object]
) -> list[Refusal]:
    """Return what Kubernetes would refuse in an upgrade, except for Jobs and Pods.

    Args:
        before: the manifests of which one is applied; what only they have is removed by helm.
        after: what the chart renders now.
        live: the objects that exist, by kind and name.
    """
    applied: dict[tuple[str, str], list[Object]] = {}
    for manifest in before:
        for item in manifest:
            applied.setdefault(key_of(item), []).append(item)
    found = []
    for item in after:
        key = key_of(item)
        exists = key in live and key[0] not in ("Job", "Pod")
        fields = _refused(item, live[key], applied.get(key, []), live) if exists else []
        if fields:
            found.append(Refusal(*key, tuple(fields)))
    return sorted(found)


def _refused(
    new: Object, now: Object, applied: Sequence[Object], live: Mapping[tuple[str, str], Object]
) -> list[str]:
    """Return the fields of one object that change and may not."""
    kind = str(new["kind"])
    paths = list(MAY_NOT_CHANGE.get(kind, ()))
    if kind in SPEC_MAY_CHANGE:
        names = {name for item in (new, *applied) for name in item.get("spec") or {}}
        paths += [f"spec.{name}" for name in sorted(names - SPEC_MAY_CHANGE[kind])]
    if kind == "Service" and "ExternalName" in {at(new, "spec.type"), at(now, "spec.type")}:
        return []
    if kind in ("ConfigMap", "Secret") and now.get("immutable"):
        return [name for name in DATA if _data_changes(name, new, now)]
    changed = [
        path
        for path in paths
        if _changes(at(new, path), at(now, path), [at(item, path) for item in applied])
    ]
    if kind == "PersistentVolumeClaim":
        changed += _size_changes(new, now, live)
    return changed


def _data_changes(name: str, new: Object, now: Object) -> bool:
    """Say whether data changes; a Secret's stringData is what its data will be."""
    if name == "stringData":
        return bool(new.get(name)) and not set(new[name]) <= set(now.get("data") or {})
    return (new.get(name) or {}) != (now.get(name) or {}) and not new.get("stringData")


def _size_changes(new: Object, now: Object, live: Mapping[tuple[str, str], Object]) -> list[str]:
    """Return the size of a claim when it shrinks, or grows in a class whose volumes cannot."""
    old, wanted = (quantity(at(item, SIZE)) for item in (now, new))
    if old is None or wanted is None or old == wanted:
        return []
    sizes = f"{SIZE} ({at(now, SIZE)} to {at(new, SIZE)}"
    if wanted < old:
        return [f"{sizes}: a volume cannot shrink)"]
    name = at(now, "spec.storageClassName")
    storage_class = live.get(("StorageClass", str(name)))
    if storage_class is not None and not storage_class.get("allowVolumeExpansion"):
        return [f"{sizes}: its class {name} does not let volumes grow)"]
    return []


def at(item: Any, path: str) -> Any:
    """Return the value at a dotted path, None where there is none."""
    for part in path.split("."):
        item = item.get(part) if isinstance(item, Mapping) else None
    return item


def _changes(new: Any, now: Any, applied: Sequence[Any]) -> bool:
    """Say whether applying `new` changes `now`, which has defaults of the API server as well."""
    if new in (None, ""):
        # Helm removes what it applied before; what it never applied stays.
        return now not in (None, "") and any(value not in (None, "") for value in applied)
    if isinstance(new, Mapping) and isinstance(now, Mapping):
        keys = {key for value in (new, *applied) if isinstance(value, Mapping) for key in value}
        return any(
            _changes(
                new.get(key),
                now.get(key),
                [value[key] for value in applied if isinstance(value, Mapping) and key in value],
            )
            for key in keys
        )
    if isinstance(new, list) and isinstance(now, list):
        return len(new) != len(now) or any(map(_differ, new, now))
    return not same_value(new, now)


def _differ(new: Any, now: Any) -> bool:
    return _changes(new, now, [])


def same_value(new: Any, now: Any) -> bool:
    """Say whether two values are equal; the API server writes quantities in its own form."""
    if new == now:
        return True
    one, other = quantity(new), quantity(now)
    return one is not None and one == other


def quantity(value: Any) -> Decimal | None:
    """Return the number that a quantity stands for, None when it is none."""
    text = str(value) if isinstance(value, str | int | float) else ""
    number = text.rstrip("kKMGTPEim")
    try:
        return Decimal(number) * UNITS[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return None

"""Validation of workloads: Deployments, StatefulSets, DaemonSets, Jobs, CronJobs.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
"""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api import metadata
from aws_setup.rehearsal.kubernetes.api.errors import (
    FieldError,
    KubeObject,
    not_allowed,
    required,
    unsupported,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.pod_validation import (
    NOT_NEGATIVE,
    check_pod_spec,
    check_selector,
)
from aws_setup.rehearsal.kubernetes.api.selectors import matches


def check_workload(obj: KubeObject) -> list[FieldError]:
    """Return the problems of a Deployment, DaemonSet or ReplicaSet."""
    spec = obj.get("spec") or {}
    selector, template = spec.get("selector"), spec.get("template") or {}
    found = _check_numbers(spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    if selector is None:
        found.append(required("spec.selector"))
    else:
        found += check_selector(selector, "spec.selector")
        if not selector:
            why = "empty selector is invalid for deployment"
            found.append(wrong("spec.selector", {}, why))
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and not matches(selector, labels):
        why = "`selector` does not match template `labels`"
        found.append(wrong("spec.template.metadata.labels", labels, why))
    found += _template(spec, obj["kind"])
    pod = template.get("spec") or {}
    if pod.get("restartPolicy", "Always") != "Always":
        path = "spec.template.spec.restartPolicy"
        found.append(unsupported(path, pod["restartPolicy"], ("Always",)))
    if pod.get("activeDeadlineSeconds"):
        path = "spec.template.spec.activeDeadlineSeconds"
        found.append(not_allowed(path, "activeDeadlineSeconds in ReplicaSet is not Supported"))
    return found + _check_strategy(obj["kind"], spec)


def _check_strategy(kind: str, spec: KubeObject) -> list[FieldError]:
    field, other = {
        "Deployment": ("strategy", "Recreate"),
        "StatefulSet": ("updateStrategy", "OnDelete"),
        "DaemonSet": ("updateStrategy", "OnDelete"),
    }.get(kind, ("", ""))
    strategy = spec.get(field) or {}
    name = strategy.get("type", "RollingUpdate")
    if name not in {"RollingUpdate", other}:
        return [unsupported(f"spec.{field}.type", name, (other, "RollingUpdate"))]
    if name == other and strategy.get("rollingUpdate") and kind == "Deployment":
        why = f"may not be specified when strategy `type` is '{other}'"
        return [not_allowed(f"spec.{field}.rollingUpdate", why)]
    return []


def _check_numbers(spec: KubeObject, *fields: str, path: str = "spec") -> list[FieldError]:
    return [
        wrong(f"{path}.{field}", spec[field], NOT_NEGATIVE)
        for field in fields
        if (spec.get(field) or 0) < 0
    ]


def _template(spec: KubeObject, kind: str, path: str = "spec") -> list[FieldError]:
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    found = metadata.check_labels(f"{path}.template.metadata.labels", labels)
    claims = [
        item["metadata"]["name"]
        for item in (spec.get("volumeClaimTemplates") or [] if kind == "StatefulSet" else [])
        if (item.get("metadata") or {}).get("name")
    ]
    at_path = f"{path}.template.spec"
    return found + check_pod_spec(template.get("spec") or {}, at_path, claims=claims)


def check_job(obj: KubeObject) -> list[FieldError]:
    """Return the problems of a Job."""
    return _check_job_spec(obj.get("spec") or {}, "spec")


def _check_job_spec(spec: KubeObject, path: str) -> list[FieldError]:
    fields = (
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    )
    found = _check_numbers(spec, *fields, path=path) + _template(spec, "Job", path)
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    if policy not in {"OnFailure", "Never"}:
        why = 'valid values: "OnFailure", "Never"'
        found.append(required(f"{path}.template.spec.restartPolicy", why))
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        why = "when completion mode is Indexed"
        found.append(required(f"{path}.completions", why))
    return found


def check_cronjob(obj: KubeObject) -> list[FieldError]:
    """Return the problems of a CronJob."""
    spec = obj.get("spec") or {}
    found = [] if spec.get("schedule") else [required("spec.schedule")]
    policies = ("Allow", "Forbid", "Replace")
    if spec.get("concurrencyPolicy", "Allow") not in policies:
        found.append(unsupported("spec.concurrencyPolicy", spec["concurrencyPolicy"], policies))
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    return found + _check_job_spec(job, "spec.jobTemplate.spec")


def check_statefulset(obj: KubeObject) -> list[FieldError]:
    """Return the problems of a StatefulSet."""
    found = check_workload(obj)
    spec = obj.get("spec") or {}
    policies = ("OrderedReady", "Parallel")
    if spec.get("podManagementPolicy", "Parallel") not in policies:
        path = "spec.podManagementPolicy"
        found.append(wrong(path, spec["podManagementPolicy"], f"must be '{policies[0]}'"))
    return found

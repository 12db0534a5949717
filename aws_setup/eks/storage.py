"""Volumes: the default StorageClass, the permission of the EBS CSI driver, and a test of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.eks.volume_hints import volume_hint
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, TooLate
from aws_setup.errors import Interrupted, Problem, SetupError
from aws_setup.infrastructure.eks_cluster import EksCluster
from aws_setup.infrastructure.service_account_role import EBS_CSI_ROLE
from aws_setup.kube.connect import kube_client, owner_labels
from aws_setup.kube.objects import CLAIM, EVENT, POD, SERVICE_ACCOUNT, STORAGE_CLASS, VOLUME, Json

DEFAULT = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT = "storageclass.beta.kubernetes.io/is-default-class"
"""The annotation's former name, which Kubernetes still reads."""

PROVISIONER = "ebs.csi.aws.com"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
PROBE = "lambda-fs-storage-probe"
PROVEN = "lambda-fs/storage-proven"
IMAGE = "registry.k8s.io/pause:3.10"
"""A container that only sleeps; Kubernetes itself uses it for every pod."""


@dataclass(frozen=True)
class EbsServiceAccount(Step):
    """The role annotation of the driver's service account; a missing or wrong one is corrected."""

    name: str = "ebs csi service account"
    needs: tuple[str, ...] = ("aws-ebs-csi-driver add-on", EBS_CSI_ROLE.name, "cluster access")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the service account; None while the driver has not created it."""
        if active_cluster(ctx) is None:
            return None
        account = kube_client(ctx).get(SERVICE_ACCOUNT, EBS_CSI_ROLE.account, "kube-system")
        if account is None:
            return None
        has = (account["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION, "none")
        role = ctx.found.get(EBS_CSI_ROLE.name)
        drift = (Drift("role", has, role.id),) if role and has != role.id else ()
        return Found(f"kube-system/{EBS_CSI_ROLE.account}", "available", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Wait until the driver has created the account, then correct its annotation."""

        def probe() -> Found | Pending:
            return self.find(ctx) or Pending("the driver has not created its service account yet")

        what = "the EBS CSI driver creates its service account"
        found = ctx.wait_until(what, probe, deadline=300, pause=3)
        return self.update(ctx, found) if found.drift else found

    def update(self, ctx: Context, found: Found) -> Found:
        """Annotate the account and restart the controller's pods, which read it when they start."""
        client = kube_client(ctx)
        body: Json = {"metadata": {"annotations": {ROLE_ANNOTATION: ctx.of(EBS_CSI_ROLE.name).id}}}
        client.patch(SERVICE_ACCOUNT, EBS_CSI_ROLE.account, body, "kube-system")
        ctx.note("annotated the service account with its role; restarting the driver")
        for pod in client.list(POD, "kube-system", labels="app=ebs-csi-controller"):
            client.delete(POD, pod["metadata"]["name"], "kube-system")
        return Found(found.id, "available")


@dataclass(frozen=True)
class StorageClass(Step):
    """The default StorageClass: gp3 volumes, created in the zone of their pod."""

    name: str = "gp3 storage class"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "eks"
    ends_with: str = "eks cluster"

    def find(self, ctx: Context) -> Found | None:
        """Return the class; one of another provisioner is a conflict."""
        if active_cluster(ctx) is None:
            return None
        classes = {it["metadata"]["name"]: it for it in kube_client(ctx).list(STORAGE_CLASS)}
        others = sorted(
            name for name, it in classes.items() if name != GP3_CLASS and is_default(it)
        )
        if others and not ctx.owned_only:
            ctx.warn(other_defaults(others))
        current = classes.get(GP3_CLASS)
        if current is None:
            return None
        metadata = current["metadata"]
        owned = owner_labels(ctx.config).items() <= (metadata.get("labels") or {}).items()
        if ctx.owned_only and not owned:
            return None
        drift = []
        if current.get("provisioner") != PROVISIONER:
            fix = f"delete it: kubectl delete storageclass {GP3_CLASS}"
            drift.append(Drift("provisioner", str(current.get("provisioner")), PROVISIONER, fix))
        if not is_default(current):
            drift.append(Drift("default class", "no", "yes", replaces=current))
        return Found(GP3_CLASS, "available", {}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Create the class; EKS creates no default one since Kubernetes 1.30."""
        body: Json = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": GP3_CLASS,
                "labels": owner_labels(ctx.config),
                "annotations": {DEFAULT: "true"},
            },
            "provisioner": PROVISIONER,
            "parameters": {"type": "gp3", "encrypted": "true"} | self._tags(ctx),
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": True,
        }
        kube_client(ctx).create(STORAGE_CLASS, body)
        return Found(GP3_CLASS, "available")

    def _tags(self, ctx: Context) -> dict[str, str]:
        """Return the parameters by which the driver tags every volume that it creates."""
        deployment = ctx.config.deployment_name
        all_tags = {DEPLOYMENT_TAG: deployment, STEP_TAG: self.name} | dict(ctx.config.tags)
        return {
            f"tagSpecification_{number}": f"{key}={value}"
            for number, (key, value) in enumerate(all_tags.items(), start=1)
        }

    def update(self, ctx: Context, found: Found) -> Found:
        """Annotate it as the default."""
        body: Json = {"metadata": {"annotations": {DEFAULT: "true"}}}
        kube_client(ctx).patch(STORAGE_CLASS, GP3_CLASS, body)
        return Found(GP3_CLASS, "available")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the class."""
        kube_client(ctx).delete(STORAGE_CLASS, GP3_CLASS)


def is_default(storage_class: Mapping[str, Any]) -> bool:
    """Say whether claims without a class get this one."""
    annotations = storage_class["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in (DEFAULT, BETA_DEFAULT))


def other_defaults(names: Sequence[str]) -> Problem:
    """Return the warning about further default classes: of several the newest one is used.

    https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass
    """
    return Problem(
        f"the cluster has another default StorageClass: {', '.join(names)}",
        f"a claim without a class gets the newest default one; OpenWhisk's claims name {GP3_CLASS}",
        f"annotate it, if nothing relies on it: kubectl annotate storageclass {names[0]} "
        f"{DEFAULT}=false --overwrite",
    )


class NotBound(SetupError):
    """No volume was made for a claim: neither will one be for OpenWhisk's."""


@dataclass(frozen=True)
class StorageProbe(Step):
    """A test of volumes: a 1 GiB claim and a pod that binds it, both deleted afterwards.

    It starts when the EBS CSI driver is usable, which is after the nodes, and binds beside
    OpenWhisk's pods: a volume is made when its pod has a node.
    https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
    """

    name: str = "storage probe"
    needs: tuple[str, ...] = ("gp3 storage class", "ebs csi service account")
    follows: tuple[str, ...] = ("core-nodes", "invoker-nodes")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the result of an earlier run, an annotation of the StorageClass."""
        if active_cluster(ctx) is None:
            return None
        if ctx.owned_only:
            claim = kube_client(ctx).get(CLAIM, PROBE, "default")
            return Found(PROBE, "left over") if claim else None
        classes = kube_client(ctx).list(STORAGE_CLASS)  # as the step of the class asks
        current = next((it for it in classes if it["metadata"]["name"] == GP3_CLASS), {})
        day = (current.get("metadata", {}).get("annotations") or {}).get(PROVEN)
        return Found(PROBE, f"passed on {day}") if day else None

    def create(self, ctx: Context) -> Found:
        """Create claim and pod; both may exist from an interrupted run."""
        client = kube_client(ctx)
        client.create(CLAIM, _claim(ctx), "default")
        client.create(POD, _pod(ctx), "default")
        return Found(PROBE, "binding", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the claim was bound and both are deleted; shows the event that blocks it.

        Raises:
            NotBound: the claim was not bound in ten minutes.
        """
        try:
            ctx.wait_until(
                "a 1 GiB volume is created and bound",
                lambda: _bound(ctx),
                deadline=600,
                pause=3,
            )
        except (Exception, Interrupted) as error:
            try:
                _remove(ctx)
            except SetupError as left:  # The first error is the cause.
                ctx.note(f"the probe is not deleted yet, the next run does it: {left}")
            if isinstance(error, TooLate):
                raise NotBound.all(error.problems) from error
            raise
        _remove(ctx)
        day = ctx.clock.today().date().isoformat()
        body: Json = {"metadata": {"annotations": {PROVEN: day}}}
        kube_client(ctx).patch(STORAGE_CLASS, GP3_CLASS, body)
        return Found(PROBE, f"passed on {day}")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete what an interrupted probe left."""
        _remove(ctx)


def _claim(ctx: Context) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": PROBE, "labels": owner_labels(ctx.config)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": GP3_CLASS,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _pod(ctx: Context) -> Json:
    container = {
        "name": "pause",
        "image": IMAGE,
        "volumeMounts": [{"name": "probe", "mountPath": "/probe"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": PROBE, "labels": owner_labels(ctx.config)},
        "spec": {
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "probe", "persistentVolumeClaim": {"claimName": PROBE}}],
        },
    }


def _bound(ctx: Context) -> bool | Pending:
    client = kube_client(ctx)
    claim = client.get(CLAIM, PROBE, "default")
    if claim is None:
        raise SetupError(
            "the storage probe no longer exists",
            "it was deleted during this run",
            "run the same command again",
        )
    phase = claim.get("status", {}).get("phase", "Pending")
    if phase == "Bound":
        return True
    state = f"{phase} {last_event(ctx, PROBE)}".strip()
    return Pending(state, volume_hint(state))


def last_event(ctx: Context, name: str, namespace: str = "default", *, uid: str = "") -> str:
    """Return the newest event about an object as text, '' without events."""
    event = newest_event(ctx, name, namespace, uid=uid)
    return f"({event.get('reason')}: {event.get('message')})" if event else ""


def newest_event(ctx: Context, name: str, namespace: str, *, uid: str = "") -> Json | None:
    """Return the newest event about an object, None without events; of two at once the warning.

    A warning that is older than the newest event does not matter any more. With `uid` the events
    of an earlier object of the same name do not count.
    """
    about = [
        event
        for event in kube_client(ctx).list(EVENT, namespace)
        if _is_about(event.get("involvedObject") or {}, name, uid)
    ]
    about.sort(key=lambda event: (_moment(event), event.get("type") == "Warning"))
    return about[-1] if about else None


def _is_about(involved: Json, name: str, uid: str) -> bool:
    other = uid and involved.get("uid") and involved["uid"] != uid
    return involved.get("name") == name and not other


def _moment(event: Json) -> str:
    moment = event.get("lastTimestamp") or event.get("eventTime")
    return str(moment or event["metadata"].get("creationTimestamp") or "")


def _remove(ctx: Context) -> None:
    """Delete pod and claim and return when the volume is deleted too: it costs money.

    A destroy of the whole cluster deletes the volume itself, after the nodes.
    """
    client = kube_client(ctx)
    claim = client.get(CLAIM, PROBE, "default") or {}
    client.delete(POD, PROBE, "default")
    client.delete(CLAIM, PROBE, "default")
    if EksCluster.name in ctx.removed:
        return
    volume = str(claim.get("spec", {}).get("volumeName") or "")

    def gone() -> bool | Pending:
        if client.get(CLAIM, PROBE, "default"):
            return Pending("the claim is being deleted")
        exists = volume and client.get(VOLUME, volume)
        return Pending("the volume is being deleted") if exists else True

    what = "the probe's volume is deleted"
    ctx.wait_until(what, gone, deadline=300, pause=2)


GP3_CLASS = "gp3"

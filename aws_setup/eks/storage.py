"""Volumes: the default StorageClass, the driver's permission, and a probe that proves both."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.kube.connect import active_cluster, kube_client, owner_labels
from aws_setup.kube.objects import CLAIM, EVENT, POD, SERVICE_ACCOUNT, STORAGE_CLASS, VOLUME, Json

DEFAULT = "storageclass.kubernetes.io/is-default-class"
PROVISIONER = "ebs.csi.aws.com"
ACCOUNT = "ebs-csi-controller-sa"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
PROBE = "lambda-fs-storage-probe"
PROVEN = "lambda-fs/storage-proven"
IMAGE = "registry.k8s.io/pause:3.10"
"""A container that does nothing, by which Kubernetes itself holds pods open."""


@dataclass(frozen=True)
class DriverAccount(Step):
    """The role annotation of the driver's service account, put back when it is not there."""

    name: str = "ebs csi service account"
    needs: tuple[str, ...] = ("aws-ebs-csi-driver add-on", "ebs csi role", "cluster access")
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the service account; None while the driver has made none."""
        if active_cluster(ctx) is None:
            return None
        there = kube_client(ctx).get(SERVICE_ACCOUNT, ACCOUNT, "kube-system")
        if there is None:
            return None
        has = (there["metadata"].get("annotations") or {}).get(ROLE_ANNOTATION, "none")
        role = ctx.found.get("ebs csi role")
        drift = (Drift("role", has, role.id),) if role and has != role.id else ()
        return Found(f"kube-system/{ACCOUNT}", "available", {}, drift)

    def create(self, ctx: Context) -> Found:
        """Wait until the driver has made the account, then annotate it where that is missing."""

        def probe() -> Found | Pending:
            return self.find(ctx) or Pending("the driver has not made its service account yet")

        what = "the EBS CSI driver makes its service account"
        found = wait_until(what, probe, clock=ctx.clock, deadline=300, pause=3, note=ctx.note)
        return self.update(ctx, found) if found.drift else found

    def update(self, ctx: Context, found: Found) -> Found:
        """Annotate the account, and restart the controller's pods: they read it at their start."""
        door = kube_client(ctx)
        body: Json = {"metadata": {"annotations": {ROLE_ANNOTATION: ctx.of("ebs csi role").id}}}
        door.patch(SERVICE_ACCOUNT, ACCOUNT, body, "kube-system")
        ctx.note("the service account lacked its role: annotated, restarting the driver")
        for pod in door.list(POD, "kube-system", labels="app=ebs-csi-controller"):
            door.delete(POD, pod["metadata"]["name"], "kube-system")
        return Found(found.id, "available")


@dataclass(frozen=True)
class StorageClass(Step):
    """The default StorageClass: gp3 volumes, made where their pod runs."""

    name: str = "gp3 storage class"
    needs: tuple[str, ...] = ("cluster access",)
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the class; one that another driver provisions is a conflict."""
        if active_cluster(ctx) is None:
            return None
        there = kube_client(ctx).get(STORAGE_CLASS, GP3_CLASS)
        if there is None:
            return None
        metadata = there["metadata"]
        ours = owner_labels(ctx.config).items() <= (metadata.get("labels") or {}).items()
        if ctx.owned_only and not ours:
            return None
        drift = []
        if there.get("provisioner") != PROVISIONER:
            mend = f"delete it: kubectl delete storageclass {GP3_CLASS}"
            drift.append(Drift("provisioner", str(there.get("provisioner")), PROVISIONER, mend))
        if (metadata.get("annotations") or {}).get(DEFAULT) != "true":
            drift.append(Drift("default class", "no", "yes"))
        return Found(GP3_CLASS, "available", {}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the class; EKS has no default one from 1.30 on."""
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
        """Return the parameters by which the driver tags every volume that it makes."""
        own = ctx.config.deployment_name
        return {
            "tagSpecification_1": f"{DEPLOYMENT_TAG}={own}",
            "tagSpecification_2": f"{STEP_TAG}={self.name}",
        }

    def update(self, ctx: Context, found: Found) -> Found:
        """Make it the default."""
        body: Json = {"metadata": {"annotations": {DEFAULT: "true"}}}
        kube_client(ctx).patch(STORAGE_CLASS, GP3_CLASS, body)
        return Found(GP3_CLASS, "available")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the class."""
        kube_client(ctx).delete(STORAGE_CLASS, GP3_CLASS)


@dataclass(frozen=True)
class StorageProbe(Step):
    """Proof that volumes work: a 1 GiB claim and a pod that binds it, both removed again."""

    name: str = "storage probe"
    needs: tuple[str, ...] = (
        "gp3 storage class",
        "ebs csi service account",
        "core-nodes",
        "invoker-nodes",
    )
    part: str = "eks"

    def find(self, ctx: Context) -> Found | None:
        """Return the proof of an earlier run, which the StorageClass carries."""
        if active_cluster(ctx) is None:
            return None
        if ctx.owned_only:
            return (
                Found(PROBE, "left over") if kube_client(ctx).get(CLAIM, PROBE, "default") else None
            )
        there = kube_client(ctx).get(STORAGE_CLASS, GP3_CLASS) or {}
        proven = (there.get("metadata", {}).get("annotations") or {}).get(PROVEN)
        return Found(PROBE, f"proven on {proven}") if proven else None

    def create(self, ctx: Context) -> Found:
        """Make claim and pod; both may be there from a run that was cut short."""
        door = kube_client(ctx)
        door.create(CLAIM, _claim(ctx), "default")
        door.create(POD, _pod(ctx), "default")
        return Found(PROBE, "binding", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the claim is bound and both are gone again; with the event that blocks."""
        try:
            wait_until(
                "a 1 GiB volume is made and bound",
                lambda: _bound(ctx),
                clock=ctx.clock,
                deadline=600,
                pause=3,
                note=ctx.note,
                hint="see docs/configure.md, 'The EBS CSI driver is not authorised'",
            )
        finally:
            _remove(ctx)
        today = ctx.clock.today().date().isoformat()
        body: Json = {"metadata": {"annotations": {PROVEN: today}}}
        kube_client(ctx).patch(STORAGE_CLASS, GP3_CLASS, body)
        return Found(PROBE, f"proven on {today}")

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove what an interrupted probe left."""
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
    door = kube_client(ctx)
    claim = door.get(CLAIM, PROBE, "default")
    if claim is None:
        raise SetupError("the storage probe is gone", "somebody deleted it", "run it again")
    phase = claim.get("status", {}).get("phase", "Pending")
    return True if phase == "Bound" else Pending(f"{phase} {last_event(ctx, PROBE)}".strip())


def last_event(ctx: Context, name: str, namespace: str = "default") -> str:
    """Return the newest warning about an object, else its newest event, '' when there is none."""
    about = [
        event
        for event in kube_client(ctx).list(EVENT, namespace)
        if event.get("involvedObject", {}).get("name") == name
    ]
    about.sort(key=lambda event: (event.get("type") == "Warning", _moment(event)))
    return f"({about[-1].get('reason')}: {about[-1].get('message')})" if about else ""


def _moment(event: Json) -> str:
    moment = event.get("lastTimestamp") or event.get("eventTime")
    return str(moment or event["metadata"].get("creationTimestamp") or "")


def _remove(ctx: Context) -> None:
    """Delete pod and claim and wait until the volume is gone too: it costs money."""
    door = kube_client(ctx)
    claim = door.get(CLAIM, PROBE, "default") or {}
    door.delete(POD, PROBE, "default")
    door.delete(CLAIM, PROBE, "default")
    volume = str(claim.get("spec", {}).get("volumeName") or "")

    def gone() -> bool | Pending:
        if door.get(CLAIM, PROBE, "default"):
            return Pending("the claim is being deleted")
        there = door.get(VOLUME, volume) if volume else None
        return Pending("the volume is being deleted") if there else True

    what = "the probe's volume is deleted"
    wait_until(what, gone, clock=ctx.clock, deadline=300, pause=2, note=ctx.note)


GP3_CLASS = "gp3"

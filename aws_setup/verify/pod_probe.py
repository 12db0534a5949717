"""Connections from a pod on an invoker node: a short-lived Job that tries each address once."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from aws_setup.aws.context import Context
from aws_setup.engine.deadline import within
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.safe_text import shorten
from aws_setup.engine.wait import wait_until
from aws_setup.errors import SetupError
from aws_setup.kube.connect import kube_client, owner_labels
from aws_setup.kube.errors import KubeError
from aws_setup.kube.objects import JOB, Json
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.chain import Address
from aws_setup.verify.pod_polls import PodPolls

NAME = "lambda-fs-verify"

IMAGE = "public.ecr.aws/docker/library/busybox:1.37.0"
"""Docker's official image of busybox, in AWS's public registry (https://gallery.ecr.aws/docker/library/busybox);
it has the shell and `nc`, and 2 MB."""

CONNECT_SECONDS = 5
"""Seconds after which a connection counts as timed out."""

POD_SECONDS = 300.0
"""Deadline for the pod: its image is downloaded once for each node."""

POLL_SECONDS = 2.0

JOB_SECONDS = POD_SECONDS + 60
"""Seconds after which Kubernetes ends the Job, and its pod: later than the wait, whose error would
name that instead of what keeps the pod from starting."""

_AGAIN = "run verify again; if it stays so, --quick starts no pod"

CLEANUP_SECONDS = 20.0
"""Seconds for deleting the Job; then Kubernetes does it, by `ttlSecondsAfterFinished`."""

SCRIPT = f"""\
for address in "$@"; do
  begin=$(date +%s)
  nc -z -w {CONNECT_SECONDS} "${{address%:*}}" "${{address##*:}}" > /dev/null 2>&1 < /dev/null
  code=$?
  printf '%s=%s,%s ' "$address" "$code" "$(($(date +%s) - begin))"
done
echo
"""
"""Arguments: host:port of each address. Prints address, exit code and seconds, in one line."""

LABEL = "lambda-fs/verify"
"""Label of the Jobs, by which those of killed runs are found."""

READ_SECONDS = 60
"""Seconds in which a run has read what its ended Job has printed."""


def probe_from_pod(ctx: Context, addresses: Sequence[Address]) -> Mapping[Address, PortState]:
    """Return how a pod on an invoker node reaches each address.

    The Job is deleted afterwards, also at Ctrl-C and when the request that created it failed.
    Jobs that killed runs have left behind are deleted, too.

    Raises:
        SetupError: the pod did not run; the error names what keeps it from starting, its last
            state, or which permission is missing.
    """
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    name = f"{NAME}-{secrets.token_hex(3)}"
    try:
        created = client.create(JOB, job(ctx, name, addresses), namespace)
        _delete_leftovers(ctx, created)
        pod = wait_until(
            "a pod on an invoker node ends",
            PodPolls(ctx, name, IMAGE).poll,
            clock=ctx.clock,
            deadline=POD_SECONDS,
            pause=POLL_SECONDS,
            note=lambda state: ctx.note(f"the pod: {state}"),
            hint=f"check `kubectl describe job {name} -n {namespace}` while verify runs",
        )
        line = client.last_line(pod, namespace)
    finally:
        _delete(ctx, name)
    return parse(line, addresses)


def _delete(ctx: Context, name: str) -> None:
    """Delete the Job; a failure does not replace the error because of which it is deleted."""
    try:
        with within(CLEANUP_SECONDS, clock=ctx.clock):
            kube_client(ctx).delete(JOB, name, ctx.config.openwhisk_namespace)
    except KubeError as error:
        ctx.note(f"the Job {name} is left to Kubernetes, which deletes it: {error}")


def _delete_leftovers(ctx: Context, created: Json) -> None:
    """Delete the Jobs of killed runs; those of runs at the same time are kept.

    All times are those of the API server. A failure is none of this run: Kubernetes deletes the
    Jobs later by itself.
    """
    client, namespace = kube_client(ctx), ctx.config.openwhisk_namespace
    now = _time(created["metadata"]["creationTimestamp"])
    with contextlib.suppress(KubeError):
        for item in client.list(JOB, namespace, labels=LABEL):
            if is_leftover(item, now):
                client.delete(JOB, str(item["metadata"]["name"]), namespace)


def is_leftover(found: Json, now: datetime) -> bool:
    """Whether a Job ended so long ago that its run is gone, or is older than its deadline."""
    ended = [
        _time(condition["lastTransitionTime"])
        for condition in found.get("status", {}).get("conditions") or []
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True"
    ]
    if ended:
        return now - min(ended) > timedelta(seconds=READ_SECONDS)
    age = now - _time(found["metadata"]["creationTimestamp"])
    return age > timedelta(seconds=JOB_SECONDS + READ_SECONDS)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def parse(line: str, addresses: Sequence[Address]) -> Mapping[Address, PortState]:
    """Return the states in the pod's last line.

    Raises:
        SetupError: an address is missing in it.
    """
    pairs = (item.partition("=") for item in line.split())
    found = {address: values.partition(",") for address, _, values in pairs}
    states = {}
    for address in addresses:
        code, _, seconds = found.get(str(address), ("", "", ""))
        status, duration = whole_number(code), whole_number(seconds)
        if status is None or duration is None:
            why = f"its output is {shorten(line, 200)!r}"
            raise SetupError("the pod did not report every address", why, _AGAIN)
        if status == 0:
            states[address] = PortState.OPEN
        else:
            timed_out = duration >= CONNECT_SECONDS
            states[address] = PortState.TIMED_OUT if timed_out else PortState.REFUSED
    return states


def job(ctx: Context, name: str, addresses: Sequence[Address]) -> Json:
    """Return the Job; Kubernetes deletes it by itself if this program is killed.

    It tolerates every taint, because it only shows what a node reaches.
    """
    container = {
        "name": "connect",
        "image": IMAGE,
        "command": ["sh", "-c", SCRIPT, NAME],
        "args": [str(address) for address in addresses],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    labels = owner_labels(ctx.config) | {LABEL: "pod"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(JOB_SECONDS),
            "ttlSecondsAfterFinished": int(POD_SECONDS),
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "nodeSelector": {"openwhisk-role": "invoker"},
                    "tolerations": [{"operator": "Exists"}],
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container],
                },
            },
        },
    }

"""OpenWhisk on its way up: its address, its parts in order, its API, and the hand-over file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import credentials_path
from aws_setup.eks.storage import last_event
from aws_setup.engine.receipt import write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wait import Pending, wait_until
from aws_setup.errors import SetupError
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import active_cluster, kube_client
from aws_setup.kube.objects import CLAIM, DEPLOYMENT, JOB, POD, STATEFUL_SET
from aws_setup.openwhisk import api as probing
from aws_setup.openwhisk import certificate_steps, release
from aws_setup.openwhisk.credentials_file import (
    OpenWhiskCredentials,
    read_credentials,
    write_credentials,
)
from aws_setup.openwhisk.diagnosis import Blocker, ReleaseStatus, first_blocker, unready_reason
from aws_setup.openwhisk.secrets import read_secrets

BALANCER, INTERNAL = ".elb.", "internal-"
"""What every name of a load balancer holds, and how an internal one's begins."""

LONGEST_LINE = 200
"""Characters of a log line that are shown."""


@dataclass(frozen=True)
class LoadBalancerAddress(Step):
    """The load balancer's name, put into the certificate and the release by a second pass."""

    name: str = "openwhisk address"
    needs: tuple[str, ...] = ("openwhisk release",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the load balancer's name; None while there is none."""
        host = certificate_steps.load_balancer_host(ctx)
        if not host or "openwhisk release" not in ctx.found:
            return None
        pair = certificate_steps.current_pair(ctx)
        drift = certificate_steps.faults(ctx, pair, host) if pair else []
        if ctx.of("openwhisk release").drift:
            drift.append(Drift("release", "made for another address", host))
        if pair and certificate_steps.replaced(ctx, pair):
            drift.append(Drift("replaced certificates", "in IAM", "deleted"))
        if self._other_kind(ctx, host):
            has = "public" if ctx.config.openwhisk_internal else "internal"
            drift.append(Drift("load balancer", has, self._kind(ctx)))
        return Found(host, self._kind(ctx), {"host": host}, tuple(drift))

    def _kind(self, ctx: Context) -> str:
        return "internal" if ctx.config.openwhisk_internal else "public"

    def _other_kind(self, ctx: Context, host: str) -> bool:
        """Say whether a load balancer is internal and should not be, or the other way round."""
        return BALANCER in host and host.startswith(INTERNAL) != ctx.config.openwhisk_internal

    def create(self, ctx: Context) -> Found:
        """Wait for the load balancer, then name it in the certificate and in the release."""

        def probe() -> str | Pending:
            there = certificate_steps.load_balancer_host(ctx)
            event = last_event(
                ctx, certificate_steps.nginx_secret(ctx.config), ctx.config.openwhisk_namespace
            )
            return there or Pending(f"AWS makes the load balancer {event}".strip())

        host = wait_until(
            "the load balancer gets a name",
            probe,
            clock=ctx.clock,
            deadline=900,
            pause=4,
            note=ctx.note,
            hint="the events of the Service say why; docs/configure.md lists the causes",
        )
        return self.update(ctx, Found(host))

    def update(self, ctx: Context, found: Found) -> Found:
        """Second pass: certificate with this name, Secret, release; then the old ones go."""
        host = found.id
        if self._other_kind(ctx, host):
            ctx.note(f"a load balancer stays internal or public: replacing {host}")
            release.replace_service(ctx, host)
            return self.create(ctx)
        pair = certificate_steps.current_pair(ctx)
        if pair is None or certificate_steps.faults(ctx, pair, host):
            pair = certificate_steps.renew(ctx, host)
        uploaded = ctx.of("server certificate")
        if not ctx.config.openwhisk_tls_arn:
            uploaded = certificate_steps.upload(ctx, pair)
            ctx.found["server certificate"] = uploaded
        certificate_steps.put_secret(ctx, pair)
        keys = read_secrets(ctx)
        if keys is None:
            raise SetupError("OpenWhisk's keys are gone", "somebody deleted them", "run it again")
        release.apply_release(ctx, release.desired_release(ctx, keys, host=host))
        if not ctx.config.openwhisk_tls_arn:
            certificate_steps.delete_others(ctx, uploaded.id)
        return Found(host, self._kind(ctx), {"host": host})


@dataclass(frozen=True)
class OpenWhiskReady(Step):
    """Every part of OpenWhisk is up; the chart's last job says so."""

    name: str = "openwhisk ready"
    needs: tuple[str, ...] = ("openwhisk address",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return whether everything is well; None when there is no release to look at."""
        if active_cluster(ctx) is None or "openwhisk release" not in ctx.found:
            return None
        blocker = release_status(ctx)
        if blocker is None:
            return Found("everything runs", "ready")
        drift = (Drift(blocker.name, blocker.state, "done"),) if blocker.hopeless else ()
        bad = {"notes": unready_pods(ctx)}
        return Found("not everything runs", describe(ctx, blocker), bad, drift, ready=False)

    def create(self, ctx: Context) -> Found:
        """Begin to wait."""
        return Found("not everything runs", "starting", ready=False)

    def update(self, ctx: Context, found: Found) -> Found:
        """Start a job anew that gave up: it is removed, and helm makes it again."""
        blocker = release_status(ctx)
        if blocker and blocker.hopeless:
            ctx.note(f"the job {blocker.name} gave up: starting it anew")
            kube_client(ctx).delete(JOB, blocker.name, ctx.config.openwhisk_namespace)
            keys = read_secrets(ctx)
            if keys:
                aim = release.desired_release(
                    ctx, keys, host=certificate_steps.load_balancer_host(ctx)
                )
                release.apply_release(ctx, aim)
        return Found(found.id, "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when nothing blocks any more; the first blocker is told with its reason."""

        def probe() -> Found | Pending:
            blocker = release_status(ctx)
            if blocker is None:
                return Found("everything runs", "ready")
            told = describe(ctx, blocker)
            if blocker.hopeless:
                raise SetupError(
                    f"OpenWhisk's {blocker.kind} {blocker.name} {blocker.state}",
                    told,
                    "run configure again: it starts the job anew",
                )
            return Pending(told)

        return wait_until(
            "OpenWhisk comes up",
            probe,
            clock=ctx.clock,
            deadline=2400,
            pause=10,
            note=ctx.note,
            hint="docs/configure.md lists the causes; run configure again when they are mended",
        )


def release_status(ctx: Context) -> Blocker | None:
    """Return what OpenWhisk waits for; None when everything is well."""
    door, config = kube_client(ctx), ctx.config
    space = config.openwhisk_namespace
    sight = ReleaseStatus(
        claims=door.list(CLAIM, space),
        pods=_of_release(door, space),
        jobs=door.list(JOB, space),
        sets=door.list(STATEFUL_SET, space),
        deployments=door.list(DEPLOYMENT, space),
    )
    return first_blocker(sight, release=config.openwhisk_release)


def _of_release(door: KubeClient, namespace: str) -> list[dict[str, object]]:
    """Return the pods but those that OpenWhisk itself starts for actions."""
    return [
        pod
        for pod in door.list(POD, namespace)
        if "user-action-pod" not in str((pod["metadata"].get("labels") or {}).values())
        and not str(pod["metadata"]["name"]).startswith("wsk")
    ]


def describe(ctx: Context, blocker: Blocker) -> str:
    """Return a blocker with its newest event, and with its last log line where it has one."""
    space = ctx.config.openwhisk_namespace
    told = [f"{blocker.kind} {blocker.name}: {blocker.state}"]
    told.append(last_event(ctx, blocker.name, space))
    line = _last_line(ctx, blocker) if blocker.kind in ("pod", "job") else ""
    told.append(f"(log: {line[:LONGEST_LINE]})" if line else "")
    return " ".join(part for part in told if part)


def _last_line(ctx: Context, blocker: Blocker) -> str:
    door, space = kube_client(ctx), ctx.config.openwhisk_namespace
    if blocker.kind == "pod":
        return door.last_line(blocker.name, space)
    pods = door.list(POD, space, labels=f"job-name={blocker.name}")
    return door.last_line(pods[-1]["metadata"]["name"], space) if pods else ""


@dataclass(frozen=True)
class OpenWhiskApi(Step):
    """OpenWhisk's API answers, with as many healthy invokers as there are nodes for them."""

    name: str = "openwhisk api"
    needs: tuple[str, ...] = ("openwhisk address", "openwhisk ready")
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the API as it answers now; None when it does not."""
        host = certificate_steps.load_balancer_host(ctx)
        if not host or "openwhisk address" not in ctx.found:
            return None
        if ctx.config.openwhisk_internal:
            return _internal(ctx, host)
        answer = probing.find_scheme(host, ctx.config.openwhisk_api_port)
        if isinstance(answer, str):
            return None
        healthy = probing.healthy_invokers(answer.url)
        enough = healthy == ctx.config.num_openwhisk_invoker_vms
        return _api(answer, healthy, ready=enough)

    def create(self, ctx: Context) -> Found:
        """Begin to wait."""
        host = ctx.of("openwhisk address").id
        if ctx.config.openwhisk_internal:
            return _internal(ctx, host)
        return Found(host, "starting", ready=False)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when the name resolves, the API answers and the invokers are healthy."""
        host = ctx.of("openwhisk address").id
        port, wanted = ctx.config.openwhisk_api_port, ctx.config.num_openwhisk_invoker_vms

        def probe() -> Found | Pending:
            if not probing.resolves(host):
                return Pending(f"DNS does not know {host} yet (3 minutes, at times 30)")
            answer = probing.find_scheme(host, port)
            if isinstance(answer, str):
                return Pending(f"the API does not answer yet ({answer})")
            healthy = probing.healthy_invokers(answer.url)
            if healthy != wanted:
                return Pending(f"{healthy} of {wanted} invokers are healthy")
            return _api(answer, healthy, ready=True)

        return wait_until(
            "OpenWhisk's API answers",
            probe,
            clock=ctx.clock,
            deadline=2400,
            pause=10,
            note=ctx.note,
            hint="run configure again later; `status` shows pods that are not well",
        )


def _api(answer: probing.ApiProbe, healthy: int | str, *, ready: bool) -> Found:
    facts = {"api_host": answer.url, "healthy_invokers": healthy, "sha256": answer.fingerprint}
    return Found(answer.url, f"{healthy} healthy invokers", facts, ready=ready)


def _internal(ctx: Context, host: str) -> Found:
    """Return an API that only the VPC reaches: it is not probed from here."""
    scheme = "http" if ctx.config.openwhisk_api_port == 80 else "https"
    url = f"{scheme}://{host}:{ctx.config.openwhisk_api_port}"
    return Found(url, "internal: not probed from here", {"api_host": url, "sha256": ""})


@dataclass(frozen=True)
class CredentialsFile(Step):
    """The file by which whisk_helper.py and `wsk` find this OpenWhisk, its key included."""

    name: str = "hand-over file"
    needs: tuple[str, ...] = ("openwhisk address", "openwhisk api", "openwhisk keys")
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the file, compared with what the cluster says."""
        has = read_credentials(ctx.config)
        if has is None:
            return None
        path = str(credentials_path(ctx.config))
        if ctx.owned_only or "openwhisk api" not in ctx.found:
            return Found(path, "there")
        same = has == self._access(ctx)
        drift = () if same else (Drift("API host, key or certificate", "another", "as it is"),)
        return Found(path, "there", {}, drift or self._own_drift(ctx))

    def _own_drift(self, ctx: Context) -> tuple[Drift, ...]:
        """Compare the user's own file with this one, where the user wants it written."""
        own = Path.home() / ".wskprops"
        if not ctx.config.write_wskprops:
            return ()
        wanted = credentials_path(ctx.config).read_text("utf-8")
        if own.is_file() and own.read_text("utf-8") == wanted:
            return ()
        return (Drift("~/.wskprops", "another", "this deployment's"),)

    def _access(self, ctx: Context) -> OpenWhiskCredentials:
        keys = read_secrets(ctx)
        if keys is None:
            raise SetupError("OpenWhisk's keys are gone", "somebody deleted them", "run it again")
        api = ctx.of("openwhisk api")
        return OpenWhiskCredentials(api.id, keys.guest, str(api.facts.get("sha256", "")))

    def create(self, ctx: Context) -> Found:
        """Write the file; the user's own ~/.wskprops only where the configuration says so."""
        access = self._access(ctx)
        path = write_credentials(ctx.config, access)
        if ctx.config.write_wskprops:
            own = Path.home() / ".wskprops"
            kept = own.with_name(".wskprops.before-lambda-fs")
            if own.is_file() and not kept.exists():
                # Later the file is one of ours: the user's own must not give way to it.
                write_private(kept, own.read_text("utf-8"))
            write_private(own, path.read_text("utf-8"))
        return Found(str(path), "there")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the file; ~/.wskprops is the user's and stays."""
        credentials_path(ctx.config).unlink(missing_ok=True)


def unready_pods(ctx: Context) -> list[str]:
    """Return the pods of OpenWhisk that are not well, each with the reason, for `status`."""
    found = []
    for pod in _of_release(kube_client(ctx), ctx.config.openwhisk_namespace):
        state = unready_reason(pod)
        if state:
            found.append(f"pod {pod['metadata']['name']}: {state}")  # type: ignore[index]
    return found

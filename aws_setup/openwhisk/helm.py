"""The door to local programs: helm 3 and 4, and git; the only module that starts any."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from aws_setup.aws.context import Context
from aws_setup.errors import Refused, SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import NAMESPACE

OLDEST = (3, 8)
"""Oldest helm that works with every chart feature used here."""

TIMEOUT = 900.0
"""Seconds after which a program that was started is ended: none of them waits for pods."""

CONFLICT = "Apply failed with"
"""What helm 4, which applies on the server's side, says of fields that others have set."""

GET_HELM = "install it: https://helm.sh/docs/intro/install/ (macOS: `brew install helm`)"


@dataclass(frozen=True)
class Release:
    """A Helm release as helm tells it."""

    status: str
    revision: int
    description: str


class HelmFailed(SetupError):
    """A program ended with a fault; `said` is all that it printed about it."""

    def __init__(self, what: str, why: str, hint: str, *, said: str) -> None:
        super().__init__(what, why, hint)
        self.said = said


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed.

    It runs in a session of its own, so that Ctrl-C lets it finish what it began.

    Raises:
        SetupError: it could not be started, failed, or did not end; with its last words.
    """
    shown = " ".join(command[:2])
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be started", str(error), "install it") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"{shown} does not end", f"after {TIMEOUT:.0f} s", "run it again"
        ) from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise HelmFailed(f"{shown} failed", _why(done.returncode, said), HINT_RERUN_HELM, said=said)
    return done.stdout


HINT_RERUN_HELM = "mend what it names and run the same command again: it goes on from here"


def _why(code: int, said: str) -> str:
    """Return why a program ended badly: what killed it, else its last words."""
    if code < 0:
        return f"it was killed by signal {-code} ({signal.strsignal(-code)})"
    return said[-600:] or f"it said nothing and ended with exit code {code}"


def find_helm() -> str:
    """Return helm's path.

    Raises:
        Refused: it is not installed, or older than 3.8.
    """
    path = shutil.which("helm")
    if path is None:
        raise Refused("helm is missing", "no program of this name is on the PATH", GET_HELM)
    said = run([path, "version", "--template", "{{.Version}}"])
    found = re.search(r"v(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise Refused("helm is too old", f"it is {said.strip()}, 3.8 is needed", GET_HELM)
    return path


def need_git() -> None:
    """Raise Refused when git is not installed."""
    if shutil.which("git") is None:
        raise Refused(
            "git is missing",
            "openwhisk_chart is a git repository",
            "install git, or set openwhisk_chart to a folder that holds the chart",
        )


@contextmanager
def private_file(text: str, *, suffix: str) -> Iterator[Path]:
    """Yield a file with `text` that only its owner may read; it is gone afterwards."""
    handle, name = tempfile.mkstemp(prefix="lambda-fs-", suffix=suffix)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Helm:
    """helm, for one release in one namespace of one cluster.

    `arguments` and `kubeconfig` say how helm reaches the cluster: the flags that name the user's
    kubeconfig, or what returns a whole one as text, with a token that is new at every start.
    """

    path: str
    release: str
    namespace: str
    kubeconfig: Callable[[], str] | None = None
    arguments: tuple[str, ...] = ()

    def status(self) -> Release | None:
        """Return the release; None when helm says that there is none."""
        try:
            told = json.loads(self._run("status", self.release, "-o", "json"))
        except SetupError as error:
            if "release: not found" in str(error):
                return None
            raise
        info = told.get("info", {})
        return Release(
            str(info.get("status", "")),
            int(told.get("version", 0)),
            str(info.get("description", "")),
        )

    def upgrade(self, chart: Path, values: Mapping[str, Any], *, description: str) -> None:
        """Install the release, or upgrade it; returns without waiting for pods.

        Values travel in a file that only its owner may read: they hold keys and passwords.
        """
        with private_file(yaml.safe_dump(dict(values)), suffix=".yaml") as file:
            self._overriding(
                "upgrade",
                self.release,
                str(chart),
                "--install",
                "--values",
                str(file),
                "--description",
                description,
                "--history-max",
                "5",
            )

    def rendered(self, chart: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the objects that the chart makes of the values."""
        with private_file(yaml.safe_dump(dict(values)), suffix=".yaml") as file:
            text = self._run("template", self.release, str(chart), "--values", str(file))
        return _documents(text)

    def values(self) -> dict[str, Any]:
        """Return the values that the release was given; the chart's own defaults are not there."""
        found: dict[str, Any] | None = json.loads(
            self._run("get", "values", self.release, "-o", "json")
        )
        return found or {}

    def manifest(self, revision: int = 0) -> list[dict[str, Any]]:
        """Return the objects of the release's newest revision, or of a given one."""
        which = ("--revision", str(revision)) if revision else ()
        return _documents(self._run("get", "manifest", self.release, *which))

    def rollback(self) -> None:
        """Go back to the revision before."""
        self._overriding("rollback", self.release)

    def uninstall(self) -> None:
        """Remove the release; already gone is fine."""
        try:
            self._run("uninstall", self.release)
        except SetupError as error:
            if "not found" not in str(error):
                raise

    def _overriding(self, *command: str) -> None:
        """Run a command; what somebody changed by hand meanwhile gives way, as in helm 3."""
        try:
            self._run(*command)
        except HelmFailed as error:
            if CONFLICT not in error.said:
                raise
            self._run(*command, "--force-conflicts")

    def _run(self, *command: str) -> str:
        whole = [self.path, *command, "--namespace", self.namespace, *self.arguments]
        if self.kubeconfig is None:
            return run(whole)
        with private_file(self.kubeconfig(), suffix=".kubeconfig") as file:
            return run([*whole, "--kubeconfig", str(file)])


def _documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]


def jobs_that_change(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the names of the jobs whose template an upgrade would change.

    Kubernetes refuses to change a job's template; the job has to be removed first.
    """
    old = {_job(one): one["spec"]["template"] for one in before if _job(one)}
    new = {_job(one): one["spec"]["template"] for one in after if _job(one)}
    return sorted(name for name in old.keys() & new.keys() if old[name] != new[name])


def _job(document: Mapping[str, Any]) -> str:
    return str(document["metadata"]["name"]) if document.get("kind") == "Job" else ""


T = TypeVar("T")

MAX_ATTEMPTS = 5
"""Starts in all of one piece of work."""

UNANSWERED = (
    "cluster unreachable",
    "failed to delete release",
    "connection refused",
    "connection reset",
    "connection lost",
    "EOF",
    "handshake timeout",
    "i/o timeout",
    "currently unable to handle the request",
    "server closed",
    "ServiceUnavailable",
    "etcdserver",
    "provide credentials",
    "Unauthorized",
)
"""What helm says when the API server does not answer it, or does not take its token."""


def retry_when_unreachable(ctx: Context, act: Callable[[bool], T]) -> T:
    """Return what `act` returns; it begins anew, after a wait, when helm found no API server.

    Args:
        ctx: the step's context.
        act: the work; told whether a helm of this very run has failed in it before.

    Raises:
        SetupError: helm failed for another reason, or the API server does not come back.
    """
    for attempt in range(1, MAX_ATTEMPTS):
        try:
            return act(attempt > 1)
        except HelmFailed as error:
            if not any(text in error.said for text in UNANSWERED):
                raise
            ctx.note("helm lost the cluster's API server: it begins again once that answers")
            # This waits through a restart, and names the reason when it is something else.
            kube_client(ctx).get(NAMESPACE, ctx.config.openwhisk_namespace)
            ctx.clock.sleep(2.0 * attempt)
    return act(True)

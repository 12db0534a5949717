"""helm 3 and 4, and whether helm and git are installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_setup.engine import go_yaml
from aws_setup.engine.decoding import Undecodable
from aws_setup.engine.temporary_files import FOR_PROGRAM, temporary_file
from aws_setup.engine.write_guard import before_write
from aws_setup.errors import Refused, SetupError
from aws_setup.openwhisk.local_program import ProgramFailed, run
from aws_setup.openwhisk.manifest import documents

OLDEST = (3, 8)
"""Oldest helm that works with every chart feature used here."""

CONFLICT_MESSAGE = "Apply failed with"
"""Message of helm 4, which uses server-side apply, about fields that others have set."""

VALUES = ("--values", "-")
"""helm reads them from its standard input: they contain keys and passwords.

helm 3 and 4 do so: https://github.com/helm/helm/blob/main/pkg/cli/values/options.go (readFile).
"""

HINT_INSTALL_HELM = "install it: https://helm.sh/docs/intro/install/ (macOS: `brew install helm`)"


def find_helm() -> str:
    """Return helm's path.

    Raises:
        Refused: it is not installed, or older than 3.8.
    """
    if (path := shutil.which("helm")) is None:
        raise Refused("helm is missing", "there is no helm on the PATH", HINT_INSTALL_HELM)
    output = helm_version(path)
    version = re.search(r"v(\d{1,9})\.(\d{1,9})", output)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        why = f"its version is {output}, and 3.8 or newer is needed"
        raise Refused("helm is too old", why, HINT_INSTALL_HELM)
    return path


def helm_version(path: str) -> str:
    """Return what helm says of its version, such as v4.0.1; each program is asked once."""
    try:
        program = Path(path).resolve(strict=True)
        file = program.stat()
    except OSError:
        return _ask_version(path)
    return _known_version(path, (program, file.st_ino, file.st_mtime_ns, file.st_size))


_versions: dict[tuple[Path, int, int, int], str] = {}
"""What the programs that were asked have said, by their path, inode, time and size."""


def _known_version(path: str, program: tuple[Path, int, int, int]) -> str:
    if program not in _versions:
        _versions[program] = _ask_version(path)
    return _versions[program]


def _ask_version(path: str) -> str:
    return run([path, "version", "--template", "{{.Version}}"]).strip()


def find_git() -> str:
    """Return git's path.

    Raises:
        Refused: it is not installed.
    """
    if (path := shutil.which("git")) is None:
        raise Refused(
            "git is missing",
            "openwhisk_chart is a git repository",
            "install git, or set openwhisk_chart to a folder that contains the chart",
        )
    return path


@dataclass(frozen=True)
class Helm:
    """helm, for one release in one namespace of one cluster.

    `arguments` and `kubeconfig` say how helm reaches the cluster: the flags that name the user's
    kubeconfig, or a function that returns a complete one as text, with a new token each time.
    """

    path: str
    release: str
    namespace: str
    kubeconfig: Callable[[], str] | None = None
    arguments: tuple[str, ...] = ()

    def upgrade(self, chart: Path, values: Mapping[str, Any], *, description: str) -> None:
        """Install the release, or upgrade it; returns without waiting for pods."""
        self._run_over_conflicts(
            "upgrade",
            self.release,
            str(chart),
            "--install",
            *VALUES,
            "--description",
            description,
            "--history-max",
            "5",
            values=values,
        )

    def rendered(self, chart: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the objects that the chart renders from the values."""
        text = self._run("template", self.release, str(chart), *VALUES, values=values)
        return parse_documents(text)

    def uninstall(self) -> None:
        """Uninstall the release; already gone is fine."""
        try:
            self._run("uninstall", self.release)
        except SetupError as error:
            if "not found" not in str(error):
                raise

    def _run_over_conflicts(self, *command: str, values: Mapping[str, Any]) -> None:
        """Run a command; it overwrites fields that were edited by hand, as helm 3 does."""
        try:
            self._run(*command, values=values)
        except ProgramFailed as error:
            if CONFLICT_MESSAGE not in error.output:
                raise
            self._run(*command, "--force-conflicts", values=values)

    def _run(self, *command: str, values: Mapping[str, Any] | None = None) -> str:
        if command[0] in ("upgrade", "uninstall"):
            before_write()
        arguments = [self.path, *command, "--namespace", self.namespace, *self.arguments]
        text = "" if values is None else go_yaml.dump(dict(values))
        if self.kubeconfig is None:
            # The user's kubeconfig may start a program that calls AWS for a token.
            return run(arguments, given=text, aws=True, secrets=True)
        # helm reads a kubeconfig more than once, and so not from a pipe.
        with temporary_file(self.kubeconfig(), suffix=FOR_PROGRAM) as file:
            return run([*arguments, "--kubeconfig", str(file)], given=text)


def _not_helm(what: str, why: str) -> SetupError:
    return SetupError(
        f"the output of {what} is not helm's",
        why,
        "check with `helm version` that the helm that is found first on PATH is Helm 3 or 4",
    )


def parse_documents(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML stream; empty documents are skipped.

    Raises:
        SetupError: it is not YAML.
    """
    try:
        return [document for document in documents(text) if isinstance(document, dict)]
    except Undecodable as error:
        raise _not_helm("helm's manifest", str(error)) from None

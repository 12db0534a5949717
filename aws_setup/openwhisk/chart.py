"""OpenWhisk's Helm chart: a local folder, or a git repository, cached by commit."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from aws_setup.config import Config
from aws_setup.config.chart_source import ENCRYPTED, is_git_url
from aws_setup.config.paths import expanded
from aws_setup.config.regular_files import read_file
from aws_setup.engine.http_deadline import clock_hint
from aws_setup.engine.private_files import make_private_folder
from aws_setup.engine.temporary_files import unnamed_folder
from aws_setup.errors import Refused, SetupError
from aws_setup.openwhisk import helm, local_program

COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class Chart:
    """A chart on this computer, and the text that identifies its source and exact contents."""

    path: Path
    pin: str


def is_remote(config: Config) -> bool:
    """Say whether openwhisk_chart names a git repository."""
    return is_git_url(config.openwhisk_chart)


def check_source(config: Config) -> None:
    """Raise Refused when the chart certainly cannot be read or fetched."""
    if is_remote(config):
        helm.find_git()
    else:
        _folder(config)


def chart_of(config: Config, *, pinned: str = "", shown: str = "") -> Chart:
    """Return the chart; a git repository stays at the commit that `pinned` names for it.

    Args:
        config: the configuration.
        pinned: the pin of the installed release, '' when there is none.
        shown: the commit that the plan has shown for the ref, '' when it has shown none.

    Raises:
        Refused: the folder contains no chart.
        SetupError: the repository cannot be read, or its folder contains no chart.
    """
    if not is_remote(config):
        folder = _folder(config)
        return Chart(folder, f"folder {_digest(folder)}")
    source = _source(config)
    commit = pinned_commit(config, pinned) or shown or resolve(config)
    root = cache() / hashlib.sha256(f"{config.openwhisk_chart} {commit}".encode()).hexdigest()[:24]
    if not root.is_dir():
        _fetch(config, commit, root)
    folder = root / config.openwhisk_chart_folder
    if _leaves(root, folder):
        raise Refused(
            f"{config.openwhisk_chart_folder} of {config.openwhisk_chart} leaves the repository",
            f"a symbolic link in it leads elsewhere at {config.openwhisk_chart_ref}",
            "correct openwhisk_chart_ref or openwhisk_chart_folder",
        )
    if not (folder / "Chart.yaml").is_file():
        raise SetupError(
            f"{config.openwhisk_chart} has no chart in {config.openwhisk_chart_folder}",
            f"it contains no Chart.yaml at {config.openwhisk_chart_ref} ({commit[:10]})",
            "correct openwhisk_chart_ref or openwhisk_chart_folder",
        )
    return Chart(folder, f"{source} {commit}")


def pinned_commit(config: Config, pinned: str) -> str:
    """Return the commit at which the release stays, '' when it is to use the ref's newest."""
    source, _, commit = pinned.rpartition(" ")
    same = _without_folder(source) == f"{config.openwhisk_chart} {config.openwhisk_chart_ref}"
    return commit if same and not config.update_openwhisk_chart else ""


def newer(config: Config, pinned: str) -> str:
    """Return the newest commit of the ref when it is not the pinned one, else ''.

    Also '' when the repository does not answer: the pinned commit is usable all the same.
    """
    commit = pinned_commit(config, pinned) if is_remote(config) else ""
    if not commit:
        return ""
    try:
        now = resolve(config)
    except SetupError:
        return ""
    return now if now != commit else ""


def _source(config: Config) -> str:
    """Return repository, folder and ref; pins of earlier versions name no folder.

    A URL of a repository has no fragment, which the folder is here.
    """
    folder = config.openwhisk_chart_folder
    usual = type(config).model_fields["openwhisk_chart_folder"].default
    within = "" if folder == usual else f"#{folder}"
    return f"{config.openwhisk_chart}{within} {config.openwhisk_chart_ref}"


def _without_folder(source: str) -> str:
    url, _, ref = source.rpartition(" ")
    return f"{url.partition('#')[0]} {ref}"


def cache() -> Path:
    """Return the folder where fetched charts are cached."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lambda-fs" / "charts"


def _folder(config: Config) -> Path:
    path = expanded(config.openwhisk_chart)
    for folder in (path, path / config.openwhisk_chart_folder):
        if (folder / "Chart.yaml").is_file():
            return folder
    raise Refused(
        f"openwhisk_chart: {path} contains no Helm chart",
        "there is no Chart.yaml in it",
        "name the folder helm/openwhisk of the chart's repository, or a git URL",
    )


def _leaves(root: Path, folder: Path) -> bool:
    """Say whether a folder of a repository, or a link in it, leads to a file of the user's."""
    inner = root.resolve()
    paths = [folder, *(path for path in folder.rglob("*") if path.is_symlink())]
    return any(not path.resolve().is_relative_to(inner) for path in paths)


def _digest(folder: Path) -> str:
    """Return a hash of every file of a chart, so that a changed chart is detected."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(read_file(path)).digest())
    return digest.hexdigest()[:40]


GIT_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": ":".join(ENCRYPTED),
}
"""Its output is captured, so that a password prompt would not be visible; and a redirect or the
user's `insteadOf` cannot lead to an unencrypted protocol (git(1), GIT_ALLOW_PROTOCOL)."""


EXACT = ("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.longpaths=true")
"""Options with which git checks out the committed bytes on every system (git-config(1)).

Git for Windows ends lines with CR LF by default, also those of the shell scripts in the chart that
run in Linux containers; and without the last one it refuses paths of 260 characters or more.
"""


def _git(*command: str) -> str:
    # A credential helper may read a token from the environment.
    return local_program.run(
        [helm.find_git(), *EXACT, *command], environ=GIT_ENVIRONMENT, secrets=True
    )


def resolve(config: Config) -> str:
    """Return the commit of the configured branch, tag or commit."""
    ref = config.openwhisk_chart_ref
    if COMMIT.match(ref):
        return ref
    # Full names: git matches a bare one with the end of any name, such as refs/heads/other/aws.
    names = (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}")
    try:
        listed = _git("ls-remote", "--", config.openwhisk_chart, *names).splitlines()
    except SetupError as error:
        raise _unreachable(error) from error
    found = {name: commit for commit, name in (line.split("\t") for line in listed if line)}
    for name in names:
        if name in found:
            return found[name]
    raise SetupError(
        f"{config.openwhisk_chart} has no {ref}",
        "git lists no such branch or tag; a commit must have all its 40 digits",
        "correct openwhisk_chart_ref",
    )


def uncached(why: str) -> SetupError:
    """Return the error of a cache of charts that cannot be written."""
    return SetupError(
        "OpenWhisk's chart cannot be cached",
        why,
        "make ~/.cache writable, free space there, or set XDG_CACHE_HOME to another folder",
    )


LOCAL = re.compile(r"No space left on device|Permission denied$|Read-only file system")
"""What git says of a folder of this computer; ssh says of a key: Permission denied (publickey)."""


def _unreachable(error: SetupError) -> SetupError:
    why = error.problems[0].why
    if LOCAL.search(why):
        return uncached(why)
    return SetupError(
        "OpenWhisk's chart cannot be fetched",
        why,
        clock_hint(why)
        or "check the network and openwhisk_chart, or clone the chart and set openwhisk_chart to "
        "its folder",
    )


def work_folder(root: Path, before: str) -> Path:
    """Make a folder in the cache that is renamed to `root` when it is complete.

    Raises:
        SetupError: it cannot be made.
    """
    try:
        make_private_folder(root.parent)
        return unnamed_folder(root.parent, before)
    except OSError as error:
        raise uncached(str(error)) from error


def _fetch(config: Config, commit: str, root: Path) -> None:
    """Fetch one commit into the cache, completely or not at all."""
    work, url = work_folder(root, ".fetch-"), config.openwhisk_chart
    try:
        _git("init", "--quiet", str(work))
        _git("-C", str(work), "fetch", "--quiet", "--depth", "1", "--", url, commit)
        _git("-C", str(work), "checkout", "--quiet", "FETCH_HEAD")
        work.rename(root)
    except SetupError as error:
        raise _unreachable(error) from error
    except OSError as error:
        # Another run was faster: it has cached the same commit.
        if not root.is_dir():
            raise uncached(str(error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)

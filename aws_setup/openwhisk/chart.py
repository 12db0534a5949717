"""OpenWhisk's chart: a folder as it is, or a git repository cached by commit."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aws_setup.config import Config
from aws_setup.errors import Refused, SetupError
from aws_setup.openwhisk import helm

COMMIT = re.compile(r"^[0-9a-f]{40}$")
REMOTE = re.compile(r"^(https?|ssh|git|file)://|^[\w.-]+@[\w.-]+:")


@dataclass(frozen=True)
class Chart:
    """A chart on this computer, and the text that names its source and its exact contents."""

    path: Path
    pin: str


def is_remote(config: Config) -> bool:
    """Say whether openwhisk_chart names a git repository."""
    return bool(REMOTE.match(config.openwhisk_chart))


def check_source(config: Config) -> None:
    """Raise Refused when the chart can certainly not be had."""
    if is_remote(config):
        helm.need_git()
    else:
        _folder(config)


def chart_of(config: Config, *, pinned: str = "") -> Chart:
    """Return the chart; a git repository stays at the commit that `pinned` names for it.

    Raises:
        Refused: the folder holds no chart.
        SetupError: the repository cannot be read, or its folder holds no chart.
    """
    if not is_remote(config):
        folder = _folder(config)
        return Chart(folder, f"folder {_digest(folder)}")
    source = _source(config)
    commit = pinned_commit(config, pinned) or _resolve(config)
    root = cache() / hashlib.sha256(f"{config.openwhisk_chart} {commit}".encode()).hexdigest()[:24]
    if not root.is_dir():
        _fetch(config, commit, root)
    folder = root / config.openwhisk_chart_folder
    if not (folder / "Chart.yaml").is_file():
        raise SetupError(
            f"{config.openwhisk_chart} has no chart in {config.openwhisk_chart_folder}",
            f"there is no Chart.yaml at {config.openwhisk_chart_ref} ({commit[:10]})",
            "correct openwhisk_chart_ref or openwhisk_chart_folder",
        )
    return Chart(folder, f"{source} {commit}")


def pinned_commit(config: Config, pinned: str) -> str:
    """Return the commit at which the release stays, '' when the ref's newest is to be taken."""
    source = f"{_source(config)} "
    if config.update_openwhisk_chart or not pinned.startswith(source):
        return ""
    return pinned.removeprefix(source)


def newer(config: Config, pinned: str) -> str:
    """Return the commit to which the ref has moved on from a pinned one, '' when it has not.

    Also '' when nobody answers: this is a remark, and the pinned commit serves all the same.
    """
    commit = pinned_commit(config, pinned) if is_remote(config) else ""
    if not commit:
        return ""
    try:
        now = _resolve(config)
    except SetupError:
        return ""
    return now if now != commit else ""


def _source(config: Config) -> str:
    return f"{config.openwhisk_chart} {config.openwhisk_chart_ref}"


def cache() -> Path:
    """Return the folder where fetched charts are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lambda-fs" / "charts"


def _folder(config: Config) -> Path:
    path = Path(config.openwhisk_chart).expanduser()
    for folder in (path, path / config.openwhisk_chart_folder):
        if (folder / "Chart.yaml").is_file():
            return folder
    raise Refused(
        f"openwhisk_chart: {path} holds no Helm chart",
        "there is no Chart.yaml in it",
        "name the folder helm/openwhisk of the chart, or a git URL",
    )


def _digest(folder: Path) -> str:
    """Return a hash of every file of a chart, so that a changed chart is seen."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:40]


def _git(*command: str) -> str:
    # Never ask for a password: nobody would see the question.
    return helm.run(["git", *command], environment={"GIT_TERMINAL_PROMPT": "0"})


def _resolve(config: Config) -> str:
    """Return the commit that the configured branch, tag or commit means now."""
    ref = config.openwhisk_chart_ref
    if COMMIT.match(ref):
        return ref
    # Whole names: git takes a bare one for the end of any name, as in refs/heads/theirs/aws.
    names = (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}")
    try:
        listed = _git("ls-remote", config.openwhisk_chart, *names).splitlines()
    except SetupError as error:
        raise _unreachable(error) from error
    found = {name: commit for commit, name in (line.split("\t") for line in listed if line)}
    for name in names:
        if name in found:
            return found[name]
    raise SetupError(
        f"{config.openwhisk_chart} has no {ref}",
        "git knows no such branch or tag there",
        "correct openwhisk_chart_ref; a commit is named by all its 40 digits",
    )


def _unreachable(error: SetupError) -> SetupError:
    return SetupError(
        "OpenWhisk's chart cannot be fetched",
        error.problems[0].why,
        "check the network and openwhisk_chart, or clone the chart and set openwhisk_chart to "
        "its folder",
    )


def _fetch(config: Config, commit: str, root: Path) -> None:
    """Fetch one commit into the cache, whole or not at all."""
    root.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=root.parent, prefix=".fetch-"))
    try:
        _git("init", "--quiet", str(work))
        _git("-C", str(work), "fetch", "--quiet", "--depth", "1", config.openwhisk_chart, commit)
        _git("-C", str(work), "checkout", "--quiet", "FETCH_HEAD")
        work.rename(root)
    except SetupError as error:
        raise _unreachable(error) from error
    except OSError:
        # Another run was faster: the same commit is there.
        if not root.is_dir():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)

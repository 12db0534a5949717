"""OpenWhisk's chart: a local folder, or a git repository pinned by commit."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.errors import Refused, SetupError
from aws_setup.openwhisk.chart import _unreachable, cache, chart_of, check_source, newer

GIT_IDENTITY = {
    **{f"GIT_{role}_NAME": "n" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "n@example.com" for role in ("AUTHOR", "COMMITTER")},
}


@dataclass
class Repository:
    """A local git repository with a URL, as a remote one has."""

    path: Path

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *words],
            env={**os.environ, **GIT_IDENTITY},
            check=True,
            capture_output=True,
            text=True,
            timeout=240,
        )
        return done.stdout.strip()

    def commit(self, version: str, *, folder: str = "helm/openwhisk") -> str:
        """Write a chart of a version, commit it, and return the commit."""
        chart = self.path / folder
        chart.mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text(f"{{apiVersion: v2, name: o, version: {version}}}\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", version)
        return self.git("rev-parse", "HEAD")

    def config(self, **keys: Any) -> Config:
        """Return a configuration whose chart is in this repository."""
        return config(**{"openwhisk_chart": self.url, **keys})


def config(**keys: Any) -> Config:
    return Config(ssh_keypair_name="key", ssh_key_path="key.pem", **keys)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = Repository(tmp_path / "charts")
    result.path.mkdir()
    result.git("init", "--quiet", "--initial-branch", "aws")
    return result


def text_of(chart: Any) -> str:
    return str((chart.path / "Chart.yaml").read_text())


def test_a_chart_has_the_committed_bytes_whatever_git_is_configured_to(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git for Windows sets core.autocrlf; a script with CR LF does not start in a container."""
    (repository.path / "helm" / "openwhisk").mkdir(parents=True)
    (repository.path / "helm" / "openwhisk" / "init.sh").write_bytes(b"#!/bin/sh\necho\n")
    (repository.path / ".gitattributes").write_bytes(b"*.yaml text=auto\n")
    repository.commit("1.0.0")
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\tautocrlf = true\n\teol = crlf\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    chart = chart_of(repository.config())
    assert (chart.path / "init.sh").read_bytes() == b"#!/bin/sh\necho\n"
    assert b"\r" not in (chart.path / "Chart.yaml").read_bytes()


def test_a_branch_is_fetched_once_and_pinned_by_its_commit(repository: Repository) -> None:
    commit = repository.commit("1.0.0")
    chart = chart_of(repository.config())
    assert chart.pin == f"{repository.url} aws {commit}"
    assert "1.0.0" in text_of(chart)
    assert chart_of(repository.config(), pinned=chart.pin) == chart
    assert [path for path in cache().iterdir() if path.name.startswith(".fetch")] == []


def test_the_chart_stays_pinned_until_its_update_is_requested(repository: Repository) -> None:
    first = repository.commit("1.0.0")
    pin = chart_of(repository.config()).pin
    assert newer(repository.config(), pin) == ""
    second = repository.commit("2.0.0")
    kept = chart_of(repository.config(), pinned=pin)
    assert kept.pin.endswith(first)
    assert "1.0.0" in text_of(kept)
    assert newer(repository.config(), pin) == second
    updating = repository.config(update_openwhisk_chart=True)
    updated = chart_of(updating, pinned=pin)
    assert updated.pin.endswith(second)
    assert "2.0.0" in text_of(updated)


def test_another_ref_or_repository_unpins(repository: Repository) -> None:
    first = repository.commit("1.0.0")
    pin = chart_of(repository.config()).pin
    repository.git("checkout", "--quiet", "-b", "other")
    other = repository.commit("3.0.0")
    assert chart_of(repository.config(openwhisk_chart_ref="other"), pinned=pin).pin.endswith(other)
    assert chart_of(repository.config(openwhisk_chart_ref=first), pinned=pin).pin.endswith(first)


def test_a_branch_is_not_confused_with_another_of_the_same_ending(repository: Repository) -> None:
    commit = repository.commit("1.0.0")
    repository.git("checkout", "--quiet", "-b", "zz/aws")
    repository.commit("9.0.0")
    assert chart_of(repository.config()).pin.endswith(commit)


def test_an_annotated_tag_is_resolved_to_its_commit(repository: Repository) -> None:
    commit = repository.commit("1.0.0")
    repository.git("tag", "--annotate", "v1", "--message", "v1")
    repository.commit("2.0.0")
    chart = chart_of(repository.config(openwhisk_chart_ref="v1"))
    assert chart.pin.endswith(commit)
    assert "1.0.0" in text_of(chart)


def test_a_ref_that_does_not_exist_is_named(repository: Repository) -> None:
    repository.commit("1.0.0")
    with pytest.raises(SetupError) as caught:
        chart_of(repository.config(openwhisk_chart_ref="nowhere"))
    problem = caught.value.problems[0]
    assert "nowhere" in problem.what
    assert "openwhisk_chart_ref" in problem.hint


def test_a_cache_that_cannot_be_made_is_named_with_its_fix(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("1.0.0")
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "cache", Path("/proc/no")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        with pytest.raises(SetupError) as caught:
            chart_of(repository.config())
        (problem,) = caught.value.problems
        assert problem.what == "OpenWhisk's chart cannot be cached"
        assert str(place) in problem.why
        assert "XDG_CACHE_HOME" in problem.hint


def test_git_on_a_full_disk_does_not_blame_the_network(repository: Repository) -> None:
    full = SetupError("git failed", "fatal: cannot create file: No space left on device")
    assert "XDG_CACHE_HOME" in _unreachable(full).problems[0].hint
    refused = SetupError("git failed", "git@example.com: Permission denied (publickey).")
    assert "check the network" in _unreachable(refused).problems[0].hint


def test_a_commit_that_does_not_exist_leaves_nothing_in_the_cache(repository: Repository) -> None:
    repository.commit("1.0.0")
    with pytest.raises(SetupError) as caught:
        chart_of(repository.config(openwhisk_chart_ref="0" * 40))
    assert caught.value.problems[0].what == "OpenWhisk's chart cannot be fetched"
    assert list(cache().iterdir()) == []


def test_without_the_network_only_a_cached_chart_is_usable(repository: Repository) -> None:
    repository.commit("1.0.0")
    chart = chart_of(repository.config())
    repository.path.rename(repository.path.with_name("gone"))
    assert chart_of(repository.config(), pinned=chart.pin) == chart
    assert newer(repository.config(), chart.pin) == ""
    for uncached in (repository.config(), repository.config(openwhisk_chart_ref="0" * 40)):
        with pytest.raises(SetupError) as caught:
            chart_of(uncached)
        assert "check the network" in caught.value.problems[0].hint


def test_a_repository_without_the_charts_folder_is_named(repository: Repository) -> None:
    repository.commit("1.0.0", folder="elsewhere")
    with pytest.raises(SetupError) as caught:
        chart_of(repository.config())
    assert "helm/openwhisk" in caught.value.problems[0].what
    found = chart_of(repository.config(openwhisk_chart_folder="elsewhere"))
    assert "1.0.0" in text_of(found)


def test_another_folder_of_the_repository_is_another_chart_at_the_same_commit(
    repository: Repository,
) -> None:
    repository.commit("1.0.0")
    commit = repository.commit("2.0.0", folder="other charts/openwhisk")
    first = chart_of(repository.config())
    repository.commit("3.0.0", folder="other charts/openwhisk")
    moved = repository.config(openwhisk_chart_folder="other charts/openwhisk")
    second = chart_of(moved, pinned=first.pin)
    assert "2.0.0" in text_of(second)
    assert second.pin != first.pin
    assert second.pin.endswith(f" {commit}")
    assert chart_of(moved, pinned=second.pin) == second
    assert chart_of(repository.config(), pinned=second.pin) == first
    assert newer(moved, second.pin)


def test_without_git_a_repository_is_refused_and_a_folder_is_usable(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("1.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused) as caught:
        check_source(repository.config())
    assert "git" in caught.value.problems[0].what
    check_source(config(openwhisk_chart=str(repository.path)))


@pytest.mark.parametrize("below", ["", "helm", "helm/openwhisk"])
def test_a_folder_is_the_chart_or_the_repository_around_it(
    repository: Repository, below: str
) -> None:
    repository.commit("1.0.0")
    local = config(openwhisk_chart=str(repository.path / below))
    if below == "helm":
        with pytest.raises(Refused) as caught:
            chart_of(local)
        assert "Chart.yaml" in caught.value.problems[0].why
        return
    chart = chart_of(local)
    assert chart.path == repository.path / "helm" / "openwhisk"
    (chart.path / "values.yaml").write_text("changed: true\n")
    assert chart_of(local).pin != chart.pin


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        check_source(config(openwhisk_chart=str(tmp_path / "nowhere")))
    assert "openwhisk_chart" in caught.value.problems[0].what


def test_concurrent_fetches_leave_one_complete_chart(repository: Repository) -> None:
    from concurrent.futures import ThreadPoolExecutor

    repository.commit("1.0.0")
    with ThreadPoolExecutor(4) as pool:
        charts = list(pool.map(lambda _: chart_of(repository.config()), range(4)))
    assert len({chart.path for chart in charts}) == 1
    assert "1.0.0" in text_of(charts[0])
    assert [path.name for path in cache().iterdir()] == [charts[0].path.parents[1].name]


@pytest.mark.kind("C11")
@pytest.mark.parametrize("link", ["helm", "helm/openwhisk", "helm/openwhisk/values.yaml"])
def test_a_link_that_leaves_the_repository_is_refused(
    repository: Repository, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "openwhisk").mkdir(parents=True)
    for folder in (outside, outside / "openwhisk"):
        (folder / "Chart.yaml").write_text("apiVersion: v2\n")
    path = repository.path / link
    if link.endswith(".yaml"):
        repository.commit("1.0.0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    repository.git("add", ".")
    repository.git("commit", "--quiet", "--message", "link")
    with pytest.raises(Refused) as caught:
        chart_of(repository.config())
    assert "leaves the repository" in caught.value.problems[0].what


@pytest.mark.kind("C10")
def test_the_commit_that_the_plan_has_shown_is_the_one_that_is_fetched(
    repository: Repository,
) -> None:
    shown = repository.commit("1.0.0")
    repository.commit("2.0.0")
    assert chart_of(repository.config(), shown=shown).pin.endswith(shown)

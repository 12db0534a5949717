"""Sources of the chart: what becomes an argument, a path or a shown text is checked first."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.config import Config, load_config
from aws_setup.config.chart_source import is_git_url, redact
from aws_setup.errors import Refused
from aws_setup.openwhisk.chart import chart_of

FILLED = "ssh_keypair_name: k\nssh_key_path: /k.pem\n"
SECRET = "gh" + "p_0123456789"


def load(folder: Path, text: str) -> Config:
    path = folder / "config_aws.yaml"
    path.write_text(f"{text}\n{FILLED}", encoding="utf-8")
    return load_config(path)


def test_a_relative_folder_starts_from_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "deployment", tmp_path / "elsewhere"
    (folder / "chart").mkdir(parents=True)
    (folder / "chart" / "Chart.yaml").touch()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for text in ("chart", "./chart"):
        config = load(folder, f"openwhisk_chart: {text}\nssh_config_path: ./ssh_config")
        assert chart_of(config).path == folder / "chart"
        assert config.ssh_config_path == str(folder / "ssh_config")
    home = load(folder, "openwhisk_chart: ~/chart")
    assert home.openwhisk_chart == str(Path.home() / "chart")
    assert home.ssh_config_path == str(Path.home() / ".ssh" / "config")


@pytest.mark.kind("C11")
@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"https://{SECRET}@github.com/a/b", "credential helper"),
        (f"https://me:{SECRET}@github.com/a/b", "credential helper"),
        (f"ssh://git:{SECRET}@github.com/a/b", "credential helper"),
        (f"https://github.com/a/b?access_token={SECRET}", "may hold a token"),
        (f"https://github.com/a/b#{SECRET}", "may hold a token"),
        ("-o@host:x", "begins with -"),
        ("--upload-pack=touch x", "begins with -"),
        ("git@-oProxyCommand=x:y", "user or host name"),
        ("ssh://-oProxyCommand=x/y", "host name"),
        ("ssh://-l@host/y", "user name"),
        ("ext::sh -c x", "names a program"),
    ],
)
def test_a_url_with_a_secret_or_an_option_is_refused_and_never_shown(
    tmp_path: Path, url: str, why: str
) -> None:
    with pytest.raises(Refused) as caught:
        load(tmp_path, f"openwhisk_chart: '{url}'")
    (problem,) = caught.value.problems
    assert why in problem.why
    assert SECRET not in f"{caught.value} {problem}"


@pytest.mark.kind("C10")
@pytest.mark.parametrize(
    "url", ["http://github.com/a/b", "HTTP://github.com/a/b", "git://github.com/a/b", "ftp://a/b"]
)
def test_a_protocol_that_authenticates_nobody_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Refused) as caught:
        load(tmp_path, f"openwhisk_chart: {url}")
    assert "://" in caught.value.problems[0].why


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/a/b.git",
        "https://git.example.com:8443/a/b",
        "ssh://git@github.com:22/a/b",
        "git@github.com:a/b.git",
        "file:///srv/charts",
    ],
)
def test_usual_urls_are_git_urls_and_accepted(tmp_path: Path, url: str) -> None:
    assert is_git_url(load(tmp_path, f"openwhisk_chart: {url}").openwhisk_chart)


@pytest.mark.kind("C11")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("openwhisk_chart_ref", "--upload-pack=x"),
        ("openwhisk_chart_ref", "-f"),
        ("openwhisk_chart_ref", "a..b"),
        ("openwhisk_chart_ref", "a:b"),
        ("openwhisk_chart_folder", "../.."),
        ("openwhisk_chart_folder", "helm/../../x"),
        ("openwhisk_chart_folder", "/etc"),
        ("openwhisk_chart_folder", "..\\..\\x"),
        ("openwhisk_chart_folder", "C:\\x"),
        ("openwhisk_chart_folder", "-x"),
        ("openwhisk_release", "-x"),
        ("openwhisk_namespace", "--all"),
        ("kube_context", "--kubeconfig=x"),
        ("openwhisk_chart", "-x"),
    ],
)
def test_options_and_paths_that_leave_their_root_are_refused(
    tmp_path: Path, key: str, value: str
) -> None:
    with pytest.raises(Refused) as caught:
        load(tmp_path, f"{key}: '{value}'")
    assert key in caught.value.problems[0].what


def test_passwords_in_urls_are_redacted() -> None:
    text = "unable to access 'https://me:pw@a.example/x' and ssh://git:pw@b/y, https://token@c/"
    assert redact(text) == (
        "unable to access 'https://***@a.example/x' and ssh://git:***@b/y, https://***@c/"
    )
    assert redact("ssh://git@b/y git@c:d") == "ssh://git@b/y git@c:d"

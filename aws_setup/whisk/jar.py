"""The NameNode jar: read, hashed and encoded once, and checked before anything is sent."""

from __future__ import annotations

import hashlib
import zipfile
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.errors import Refused

MIB = 1024 * 1024

CODE_LIMIT = 48 * MIB
"""Bytes of base64 that OpenWhisk takes as an action's code; more is answered with 413."""

JAR_LIMIT = CODE_LIMIT // 4 * 3
"""Bytes of a jar whose base64 just fits into CODE_LIMIT: 36 MiB."""

BLOCK = 3 * 256 * 1024
"""Bytes read at a time; a multiple of 3, so that the pieces' base64 can be put end to end."""


@dataclass(frozen=True)
class Jar:
    """The jar's hash and its base64, which every upload shares and none copies."""

    source: str
    size: int
    sha256: str
    code: memoryview = field(repr=False)


def read_jar(path: Path, *, source: str, main_class: str) -> Jar:
    """Return the jar at `path`, checked.

    Args:
        path: the file.
        source: what the user called it, for messages.
        main_class: the class that must be in it, as Java writes it (a.b.C).

    Raises:
        Refused: no such file, too large, not a zip, without the main class, or being written.
    """
    if not path.is_file():
        raise Refused(
            f"the jar {source} cannot be found",
            "there is no such file on this computer",
            "give it by -j: a local path, s3://bucket/key, or ssh:// for the λFS client VM",
        )
    size = path.stat().st_size
    check_size(size, source=source)
    check_main_class(path, source=source, main_class=main_class)
    code, digest = _encode(path, size=size, source=source)
    return Jar(source=source, size=size, sha256=digest, code=code)


def check_size(size: int, *, source: str) -> None:
    """Raise Refused when a jar of `size` bytes cannot be an action's code."""
    if size > JAR_LIMIT:
        raise Refused(
            f"the jar {source} is too large",
            f"its {size / MIB:.1f} MiB become {encoded_length(size) / MIB:.1f} MiB of base64, "
            "and OpenWhisk takes 48 MiB of code",
            "build it without the dependencies that the runtime image already has",
        )


def check_main_class(path: Path, *, source: str, main_class: str) -> None:
    """Raise Refused when the file is no zip, or does not hold `main_class`."""
    entry = main_class.replace(".", "/") + ".class"
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise Refused(
            f"{source} is not a jar",
            f"it cannot be read as a zip file: {error}",
            "build it again; an interrupted build or copy leaves half a file",
        ) from error
    if entry not in names:
        raise Refused(
            f"{source} does not hold the class {main_class}",
            f"there is no {entry} in it",
            _nearest(names, main_class),
        )


def _nearest(names: set[str], main_class: str) -> str:
    """Return the hint for a missing class: the same class name in another package, if any."""
    file = "/" + main_class.rpartition(".")[2] + ".class"
    alike = sorted(name for name in names if ("/" + name).endswith(file))
    if not alike:
        return "give the right jar by -j, or the right class by -m"
    return f"it holds {alike[0].removesuffix('.class').replace('/', '.')}: give that by -m"


def encoded_length(size: int) -> int:
    """Return how many bytes of base64 `size` bytes become."""
    return (size + 2) // 3 * 4


def _encode(path: Path, *, size: int, source: str) -> tuple[memoryview, str]:
    """Read the file once, into one buffer of the base64's exact length."""
    digest = hashlib.sha256()
    buffer = bytearray(encoded_length(size))
    at = read = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            read += len(block)
            if read > size:
                break
            digest.update(block)
            piece = b64encode(block)
            buffer[at : at + len(piece)] = piece
            at += len(piece)
    if read != size:
        raise Refused(
            f"the jar {source} changed while it was read",
            f"it had {size} bytes, then {read}",
            "wait until its build has ended",
        )
    return memoryview(buffer).toreadonly(), digest.hexdigest()

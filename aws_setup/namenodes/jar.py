"""The NameNode jar: read, hashed and encoded once, and checked before the first upload."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from botocore.exceptions import ClientError

from aws_setup.aws.session import download_errors, error_code
from aws_setup.config.paths import expanded
from aws_setup.config.regular_files import open_file
from aws_setup.engine.temporary_files import temporary_folder, unwritable
from aws_setup.errors import Refused, SetupError
from aws_setup.namenodes.request import DEFAULT_JAR
from aws_setup.ssh.errors import RemoteFileError

MIB = 1024 * 1024

CODE_LIMIT = 48 * MIB
"""Bytes of base64 that OpenWhisk accepts as an action's code; it returns 413 for more."""

JAR_LIMIT = CODE_LIMIT // 4 * 3
"""Bytes of the largest jar whose base64 fits into CODE_LIMIT: 36 MiB."""

BLOCK = 3 * 256 * 1024
"""Bytes read at a time; a multiple of 3, so that the base64 of the blocks can be concatenated."""


@dataclass(frozen=True)
class Jar:
    """The jar's hash and its base64; all uploads share one buffer without copies.

    `original_sha256` is '' unless this is a configured copy; then it is the hash of the original.
    """

    source: str
    size: int
    sha256: str
    code: memoryview = field(repr=False)
    original_sha256: str = ""


def read_jar(path: Path, *, source: str, main_class: str) -> Jar:
    """Return the jar at `path`, checked.

    Args:
        path: the file.
        source: the value of -j, for messages.
        main_class: the class that it must contain, in Java's notation (a.b.C).

    Raises:
        Refused: it is missing, too large, no zip file, without the main class, or being written.
    """
    if not path.is_file():
        raise Refused(
            f"the jar {source} cannot be found",
            "there is no such file on this computer",
            "set -j to a local path, s3://bucket/key, or ssh:// for the λFS client VM",
        )
    size = path.stat().st_size
    check_size(size, source=source)
    check_main_class(path, source=source, main_class=main_class)
    code, digest = _encode(path, size=size, source=source)
    return Jar(source=source, size=size, sha256=digest, code=code)


def check_size(size: int, *, source: str) -> None:
    """Raise Refused when a jar of `size` bytes is too large for an action's code."""
    if size > JAR_LIMIT:
        raise Refused(
            f"the jar {source} is too large",
            f"{size / MIB:.1f} MiB are {encoded_length(size) / MIB:.1f} MiB in base64, "
            "and OpenWhisk accepts 48 MiB of code",
            "build it without the dependencies that the runtime image already has",
        )


def check_main_class(path: Path, *, source: str, main_class: str) -> None:
    """Raise Refused when the file is no zip file, or does not contain `main_class`."""
    entry = main_class.replace(".", "/") + ".class"
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except OSError as error:
        why = error.strerror or str(error)
        raise Refused(f"the jar {source} cannot be read", why, "make it readable") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise Refused(
            f"{source} is not a jar",
            f"it is no zip file: {error}; an interrupted build or copy leaves an incomplete file",
            "build or copy it again",
        ) from error
    if entry not in names:
        raise Refused(
            f"{source} does not contain the class {main_class}",
            f"there is no {entry} in it",
            _closest_match(names, main_class),
        )


def _closest_match(names: set[str], main_class: str) -> str:
    """Return the hint for a missing class: the same class name in another package, if any."""
    file = "/" + main_class.rpartition(".")[2] + ".class"
    similar = sorted(name for name in names if ("/" + name).endswith(file))
    if not similar:
        return "set the right jar with -j, or the right class with -m"
    return f"set -m {similar[0].removesuffix('.class').replace('/', '.')}, which it contains"


def encoded_length(size: int) -> int:
    """Return the length in base64 of `size` bytes."""
    return (size + 2) // 3 * 4


def _encode(path: Path, *, size: int, source: str) -> tuple[memoryview, str]:
    """Read the file once, into one buffer of the base64's exact length."""
    digest = hashlib.sha256()
    buffer = bytearray(encoded_length(size))
    at = read = 0
    with open_file(path) as file:
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
            f"its size was {size} bytes, then {read}",
            "run it again when the build has finished",
        )
    return memoryview(buffer).toreadonly(), digest.hexdigest()


class Readable(Protocol):
    """A file that is read while it is downloaded."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; b'' at the end."""


class SshHost(Protocol):
    """A machine from which files can be fetched."""

    def fetch(self, path: str, *, limit: int) -> AbstractContextManager[Readable]:
        """Open a file on the machine for reading."""


@dataclass(frozen=True)
class JarStores:
    """Access to the places of jars; each function is called only when it is needed.

    `s3` returns an S3 client; `machine` the machine with an address, for '' the λFS client VM.
    """

    s3: Callable[[], Any]
    machine: Callable[[str], SshHost]


@contextmanager
def local_copy(spec: str, stores: JarStores) -> Iterator[Path]:
    """Yield a local file with the jar that `spec` names; a copy is deleted afterwards.

    Args:
        spec: a path, s3://bucket/key, or ssh://[address][/path] with the client VM by default.
        stores: the access to S3 and machines.

    Raises:
        Refused: `spec` is malformed, or the jar is missing or too large.
        SetupError: the download broke, or there is no space for the copy.
    """
    scheme = spec.partition("://")[0].lower() if "://" in spec else ""
    if scheme not in {"s3", "ssh", ""}:
        raise Refused(
            f"{spec!r} is not a supported location of a jar",
            f"{scheme}:// is not supported",
            "set -j to a local path, s3://bucket/key, or ssh:// for the λFS client VM",
        )
    if not scheme:
        yield expanded(spec)
        return
    with temporary_folder() as folder:
        path = folder / "namenode.jar"
        fetch = _from_s3 if scheme == "s3" else _from_machine
        try:
            fetch(spec, stores, path)
        except OSError as error:
            raise unwritable(error) from error
        yield path


def _split(spec: str) -> SplitResult:
    """Return the parts of a URL; raises Refused where Python cannot split it, or its port."""
    try:
        parts = urlsplit(spec)
        _ = parts.port
    except ValueError as error:
        fix = "set -j s3://bucket/key or -j ssh://address/path"
        raise Refused(f"{spec!r} is no URL", str(error), fix) from None
    return parts


def _from_s3(spec: str, stores: JarStores, path: Path) -> None:
    parts = _split(spec)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    if not bucket or not key:
        raise Refused(
            f"{spec!r} names no object", "bucket or key is missing", "set -j s3://bucket/key"
        )
    client = stores.s3()
    try:
        check_size(int(client.head_object(Bucket=bucket, Key=key)["ContentLength"]), source=spec)
        client.download_file(bucket, key, str(path))
    except ClientError as error:
        raise _s3_refusal(spec, error) from error
    except download_errors() as error:
        why = str(getattr(error, "last_exception", error))
        raise SetupError(
            f"the download of {spec} broke", why, "run the same command again"
        ) from error


def _s3_refusal(spec: str, error: ClientError) -> Refused:
    code = error_code(error)
    if code in {"404", "NoSuchKey", "NoSuchBucket"}:
        return Refused(
            f"the jar {spec} cannot be found", "S3 has no such object", "correct bucket and key"
        )
    if code in {"403", "AccessDenied"}:
        return Refused(
            f"cannot read the jar {spec}",
            "S3 denies s3:GetObject; without s3:ListBucket it does so for a missing object, too",
            "use another profile, or correct bucket and key",
        )
    return Refused(f"cannot read the jar {spec}", f"{code}: {error}", "run with -v for details")


def _from_machine(spec: str, stores: JarStores, path: Path) -> None:
    parts = _split(spec)
    if parts.port or parts.username not in {None, "ubuntu"}:
        raise Refused(
            f"{spec!r} names a user or a port",
            "both are read from your OpenSSH configuration",
            "set User and Port there, and use ssh://address/path",
        )
    remote = parts.path if parts.path not in {"", "/"} else DEFAULT_JAR
    host = parts.hostname or ""
    machine = stores.machine("" if host == "client" else host)
    try:
        with machine.fetch(remote, limit=JAR_LIMIT + 1) as file, path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 256 * 1024)
            if copy.tell() > JAR_LIMIT:
                check_size(copy.tell(), source=spec)
    except RemoteFileError as error:
        raise Refused(
            f"the jar {spec} cannot be read",
            f"{error.machine}: {remote}: {error.why}",
            "build λFS there, or give the jar's path, as in -j ssh:///PATH; `find / -name "
            "'hadoop-hdfs-*.jar'` on that machine lists those that it has",
        ) from None

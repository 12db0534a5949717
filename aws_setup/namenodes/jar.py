"""The NameNode jar: read, hashed and encoded once, and checked before anything is sent."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from aws_setup.aws.session import error_code
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


DEFAULT_JAR = (
    "/home/ubuntu/repos/hops/hadoop-hdfs-project/hadoop-hdfs/target/"
    "hadoop-hdfs-3.2.0.3-SNAPSHOT.jar"
)
"""Where λFS's build leaves the NameNode jar on the λFS client VM."""


class SshHost(Protocol):
    """A machine that files can be fetched from."""

    def fetch(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open a file on the machine for reading."""


@dataclass(frozen=True)
class JarStores:
    """Ways to where jars may be; called only when one is needed.

    `s3` returns an S3 client; `machine` the machine of an address, the λFS client VM's for ''.
    """

    s3: Callable[[], Any]
    machine: Callable[[str], SshHost]


@contextmanager
def local_copy(spec: str, doors: JarStores) -> Iterator[Path]:
    """Yield a local file with the jar that `spec` names; a copy is removed afterwards.

    Args:
        spec: a path, s3://bucket/key, or ssh://[address][/path] with the client VM by default.
        doors: how to reach S3 and machines.

    Raises:
        Refused: it is malformed, not there, or too large to be fetched.
    """
    scheme = spec.partition("://")[0].lower() if "://" in spec else ""
    if scheme not in {"s3", "ssh", ""}:
        raise Refused(
            f"a jar cannot come from {scheme}://",
            f"{spec!r} was given",
            "give a local path, s3://bucket/key, or ssh:// for the λFS client VM",
        )
    if not scheme:
        yield Path(spec).expanduser()
        return
    with TemporaryDirectory(prefix="lambda-fs-jar-") as folder:
        path = Path(folder) / "namenode.jar"
        fetch = _from_s3 if scheme == "s3" else _from_machine
        fetch(spec, doors, path)
        yield path


def _from_s3(spec: str, doors: JarStores, path: Path) -> None:
    parts = urlsplit(spec)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    if not bucket or not key:
        raise Refused(f"{spec!r} names no object", "it must be s3://bucket/key", "complete it")
    client = doors.s3()
    try:
        check_size(int(client.head_object(Bucket=bucket, Key=key)["ContentLength"]), source=spec)
        client.download_file(bucket, key, str(path))
    except ClientError as error:
        raise _s3_refusal(spec, error) from error


def _s3_refusal(spec: str, error: ClientError) -> Refused:
    code = error_code(error)
    if code in {"404", "NoSuchKey", "NoSuchBucket"}:
        return Refused(
            f"the jar {spec} cannot be found", "S3 has no such object", "correct bucket and key"
        )
    if code in {"403", "AccessDenied"}:
        return Refused(
            f"the jar {spec} may not be read",
            "S3 denies it (s3:GetObject); without s3:ListBucket a missing object looks the same",
            "use another profile, or correct bucket and key",
        )
    return Refused(f"the jar {spec} cannot be read", f"{code}: {error}", "see -v for the details")


def _from_machine(spec: str, doors: JarStores, path: Path) -> None:
    parts = urlsplit(spec)
    if parts.port or parts.username not in {None, "ubuntu"}:
        raise Refused(
            f"{spec!r} names a user or a port",
            "how a machine is reached stands in your OpenSSH configuration",
            "write it there (User, Port), and give ssh://address/path",
        )
    remote = parts.path if parts.path not in {"", "/"} else DEFAULT_JAR
    host = parts.hostname or ""
    machine = doors.machine("" if host == "client" else host)
    with machine.fetch(remote) as file, path.open("wb") as copy:
        shutil.copyfileobj(file, copy, 256 * 1024)
        if copy.tell() > JAR_LIMIT:
            check_size(copy.tell(), source=spec)

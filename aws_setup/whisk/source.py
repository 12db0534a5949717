"""Where the jar comes from: this computer, S3, or the λFS client VM; it ends as a local file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from aws_setup.errors import Refused
from aws_setup.session import error_code
from aws_setup.whisk.jar import JAR_LIMIT, check_size

DEFAULT_JAR = (
    "/home/ubuntu/repos/hops/hadoop-hdfs-project/hadoop-hdfs/target/"
    "hadoop-hdfs-3.2.0.3-SNAPSHOT.jar"
)
"""Where λFS's build leaves the NameNode jar on the λFS client VM."""


class Machine(Protocol):
    """A machine that files can be fetched from."""

    def fetch(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open a file on the machine for reading."""


@dataclass(frozen=True)
class Doors:
    """Ways to where jars may be; called only when one is needed.

    `s3` returns an S3 client; `machine` the machine of an address, the λFS client VM's for ''.
    """

    s3: Callable[[], Any]
    machine: Callable[[str], Machine]


@contextmanager
def local_copy(spec: str, doors: Doors) -> Iterator[Path]:
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


def _from_s3(spec: str, doors: Doors, path: Path) -> None:
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


def _from_machine(spec: str, doors: Doors, path: Path) -> None:
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

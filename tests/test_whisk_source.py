"""Where the jar comes from: S3 (emulated), the λFS client VM (real OpenSSH), this computer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import pytest
from moto import mock_aws

from aws_setup.aws.session import Aws
from aws_setup.errors import Refused
from aws_setup.namenodes.jar import DEFAULT_JAR, JAR_LIMIT, Doors, local_copy
from tests.whisk_support import make_jar


class OneFile:
    """A machine that has one file; it notes what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked = content, [""]

    @contextmanager
    def fetch(self, path: str) -> Iterator[BinaryIO]:
        self.asked.append(path)
        yield io.BytesIO(self.content)


def no_way(*_: Any) -> Any:
    raise AssertionError("this door must not be opened")


@pytest.fixture
def bucket() -> Iterator[Doors]:
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="jars")
        yield Doors(s3=lambda: Aws().client("s3"), machine=no_way)


def test_a_local_path_is_used_where_it_is(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar")
    with local_copy(str(path), Doors(no_way, no_way)) as found:
        assert found == path
    assert path.exists()


def test_an_object_of_s3_is_fetched_and_its_copy_removed(bucket: Doors, tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", size=9_000_000)
    boto3.client("s3").upload_file(str(path), "jars", "a/b c.jar")
    with local_copy("s3://jars/a/b c.jar", bucket) as found:
        assert found.read_bytes() == path.read_bytes()
    assert not found.exists()


@pytest.mark.parametrize("spec", ["s3://jars/none.jar", "s3://no-such-bucket-of-ours/nn.jar"])
def test_a_missing_object_is_refused(bucket: Doors, spec: str) -> None:
    with pytest.raises(Refused, match="cannot be found"), local_copy(spec, bucket):
        pass


@pytest.mark.parametrize("spec", ["s3://jars", "s3://", "ftp://a/b", "ssh://h:22/x", "ssh://me@h"])
def test_malformed_sources_are_refused(bucket: Doors, spec: str) -> None:
    with pytest.raises(Refused), local_copy(spec, bucket):
        pass


def test_an_object_that_is_too_large_is_not_fetched(bucket: Doors) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket="jars", Key="huge", Body=bytes(JAR_LIMIT + 1))
    with pytest.raises(Refused, match="too large"), local_copy("s3://jars/huge", bucket):
        pass


@pytest.mark.parametrize(
    ("spec", "address", "path"),
    [
        ("ssh://", "", DEFAULT_JAR),
        ("ssh:///srv/nn.jar", "", "/srv/nn.jar"),
        ("ssh://client/srv/nn.jar", "", "/srv/nn.jar"),
        ("ssh://10.0.0.9/srv/nn.jar", "10.0.0.9", "/srv/nn.jar"),
        ("ssh://ubuntu@10.0.0.9", "10.0.0.9", DEFAULT_JAR),
    ],
)
def test_what_an_ssh_address_means(spec: str, address: str, path: str) -> None:
    machine, asked = OneFile(b"jar"), []

    def door(name: str) -> OneFile:
        asked.append(name)
        return machine

    with local_copy(spec, Doors(no_way, door)) as found:
        assert found.read_bytes() == b"jar"
    assert (asked, machine.asked[-1]) == ([address], path)


def test_a_file_of_a_machine_that_is_too_large_is_refused() -> None:
    machine = OneFile(bytes(JAR_LIMIT + 1))
    with (
        pytest.raises(Refused, match="too large"),
        local_copy("ssh://", Doors(no_way, lambda _: machine)),
    ):
        pass

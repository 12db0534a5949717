"""Jars: what is refused before anything is sent, and how the base64 is kept."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import pytest
from moto import mock_aws

from aws_setup.aws.session import Aws
from aws_setup.engine.temporary_files import NoTemporaryFile
from aws_setup.errors import Refused, SetupError
from aws_setup.namenodes.jar import (
    BLOCK,
    CODE_LIMIT,
    JAR_LIMIT,
    MIB,
    JarStores,
    encoded_length,
    local_copy,
)
from aws_setup.namenodes.request import DEFAULT_JAR
from tests.support.openwhisk import jar_of, make_jar


@pytest.mark.parametrize("size", [1024, BLOCK - 1, BLOCK + 1, 5 * MIB + 1])
def test_hash_and_base64_are_the_files(tmp_path: Path, size: int) -> None:
    path = make_jar(tmp_path / "nn.jar", size=size)
    jar = jar_of(path)
    assert jar.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert bytes(jar.code) == base64.b64encode(path.read_bytes())


def test_reading_holds_little_more_than_the_base64(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", size=20 * MIB)
    tracemalloc.start()
    try:
        jar = jar_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * len(jar.code)


def test_the_largest_jar_is_the_one_whose_base64_is_48_mib() -> None:
    assert encoded_length(JAR_LIMIT) == CODE_LIMIT
    assert encoded_length(JAR_LIMIT + 1) > CODE_LIMIT


def test_a_jar_of_36_mib_is_accepted_and_one_byte_more_refused(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", size=JAR_LIMIT - 1000)
    short = JAR_LIMIT - path.stat().st_size
    path = make_jar(tmp_path / "nn.jar", size=JAR_LIMIT - 1000 + short)
    assert path.stat().st_size == JAR_LIMIT
    assert len(jar_of(path).code) == CODE_LIMIT
    path = make_jar(tmp_path / "nn.jar", size=JAR_LIMIT - 1000 + short + 1)
    with pytest.raises(Refused, match="too large"):
        jar_of(path)


def test_missing_half_written_and_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be found"):
        jar_of(tmp_path / "none.jar")
    data = make_jar(tmp_path / "nn.jar", size=9000).read_bytes()
    half = tmp_path / "half.jar"
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(Refused, match="is not a jar"):
        jar_of(half)
    with pytest.raises(Refused, match="cannot be found"):
        jar_of(tmp_path)


def test_a_missing_main_class_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", main="other.place.OpenWhiskHandler")
    with pytest.raises(Refused) as refused:
        jar_of(path)
    assert "other.place.OpenWhiskHandler" in refused.value.problems[0].hint


class OneFile:
    """A machine that has one file; it notes what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked = content, [""]

    @contextmanager
    def fetch(self, path: str, *, limit: int) -> Iterator[BinaryIO]:
        self.asked.append(path)
        yield io.BytesIO(self.content)


def not_opened(*_: Any) -> Any:
    raise AssertionError("this connection must not be opened")


@pytest.fixture
def bucket() -> Iterator[JarStores]:
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="jars")
        yield JarStores(s3=lambda: Aws().client("s3"), machine=not_opened)


def test_a_local_path_is_not_copied(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar")
    with local_copy(str(path), JarStores(not_opened, not_opened)) as found:
        assert found == path
    assert path.exists()


def test_an_object_of_s3_is_fetched_and_its_copy_removed(bucket: JarStores, tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", size=9_000_000)
    boto3.client("s3").upload_file(str(path), "jars", "a/b c.jar")
    with local_copy("s3://jars/a/b c.jar", bucket) as found:
        assert found.read_bytes() == path.read_bytes()
    assert not found.exists()


@pytest.mark.parametrize("spec", ["s3://jars/none.jar", "s3://no-such-bucket/nn.jar"])
def test_a_missing_object_is_refused(bucket: JarStores, spec: str) -> None:
    with pytest.raises(Refused, match="cannot be found"), local_copy(spec, bucket):
        pass


@pytest.fixture
def cutting() -> Iterator[str]:
    """Serve objects of which the connection breaks in the middle; yield the URL."""

    class Cut(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "9000")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"half")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Cut) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_download_that_breaks_again_and_again_is_told(
    cutting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cutting)
    stores = JarStores(s3=lambda: Aws().client("s3"), machine=not_opened)
    with pytest.raises(SetupError) as caught, local_copy("s3://jars/nn.jar", stores):
        pass
    (problem,) = caught.value.problems
    assert problem.what == "the download of s3://jars/nn.jar broke"
    assert problem.why == "4 read, but total bytes expected is 9000."
    assert problem.hint == "run the same command again"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_temporary_folder_is_told(
    bucket: JarStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namenode.jar").symlink_to("/dev/full")
    monkeypatch.setattr(
        "aws_setup.namenodes.jar.temporary_folder", lambda: contextlib.nullcontext(tmp_path)
    )
    machine = JarStores(not_opened, lambda _: OneFile(b"jar"))
    with pytest.raises(NoTemporaryFile) as caught, local_copy("ssh://", machine):
        pass
    assert "No space left" in caught.value.problems[0].why
    assert "TMPDIR" in caught.value.problems[0].hint
    boto3.client("s3").put_object(Bucket="jars", Key="nn.jar", Body=b"jar")
    gone = contextlib.nullcontext(tmp_path / "gone")
    monkeypatch.setattr("aws_setup.namenodes.jar.temporary_folder", lambda: gone)
    with pytest.raises(NoTemporaryFile), local_copy("s3://jars/nn.jar", bucket):
        pass


@pytest.mark.parametrize(
    "spec",
    ["s3://jars", "s3://", "ftp://a/b", "ssh://h:22/x", "ssh://me@h", "ssh://h:a/x", "s3://[a/b"],
)
def test_malformed_sources_are_refused(bucket: JarStores, spec: str) -> None:
    with pytest.raises(Refused), local_copy(spec, bucket):
        pass


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """Set a limit of which a test may hold several copies; another test has the real one."""
    monkeypatch.setattr("aws_setup.namenodes.jar.JAR_LIMIT", MIB)
    return MIB


def test_an_object_that_is_too_large_is_not_fetched(bucket: JarStores, limit: int) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket="jars", Key="huge", Body=bytes(limit + 1))
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

    def open_machine(name: str) -> OneFile:
        asked.append(name)
        return machine

    with local_copy(spec, JarStores(not_opened, open_machine)) as found:
        assert found.read_bytes() == b"jar"
    assert (asked, machine.asked[-1]) == ([address], path)


def test_a_file_of_a_machine_that_is_too_large_is_refused(limit: int) -> None:
    machine = OneFile(bytes(limit + 1))
    with (
        pytest.raises(Refused, match="too large"),
        local_copy("ssh://", JarStores(not_opened, lambda _: machine)),
    ):
        pass

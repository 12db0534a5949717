"""Jars: what is refused before anything is sent, and how the base64 is kept."""

from __future__ import annotations

import base64
import hashlib
import tracemalloc
from pathlib import Path

import pytest

from aws_setup.errors import Refused
from aws_setup.namenodes.jar import BLOCK, CODE_LIMIT, JAR_LIMIT, MIB, encoded_length
from tests.whisk_support import jar_of, make_jar


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


def test_a_jar_of_36_mib_is_taken_and_one_byte_more_refused(tmp_path: Path) -> None:
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
    whole = make_jar(tmp_path / "nn.jar", size=9000).read_bytes()
    half = tmp_path / "half.jar"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match="is not a jar"):
        jar_of(half)
    with pytest.raises(Refused, match="cannot be found"):
        jar_of(tmp_path)


def test_a_missing_main_class_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", main="other.place.OpenWhiskHandler")
    with pytest.raises(Refused) as refused:
        jar_of(path)
    assert "other.place.OpenWhiskHandler" in refused.value.problems[0].hint

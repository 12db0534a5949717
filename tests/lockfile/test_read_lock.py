"""Lock files that cannot be used: one cause, one fix, exit code 2, and no write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.config import load_config, lock_warnings
from aws_setup.config.lock_file import OWN_KEYS, PRIVATE_KEYS, Lock, read_lock
from aws_setup.config.model import Config
from aws_setup.errors import Refused
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import cloud, settings
from tests.support.scripts import prepare, run

__all__ = ["cloud", "settings"]

GOOD: dict[str, Any] = {
    "schema": 1,
    "deployment": "lambda-fs",
    "region": "us-east-1",
    "infrastructure": {"project": "1.0", "zones": ["use1-az6", "use1-az1"]},
    "cluster": {"chart": {"commit": "a" * 40}, "addons": {"vpc-cni": "v1.20.5-eksbuild.1"}},
    "configuration": {"num_ndb_datanodes": 2, "ndb_num_cpus": None, "eks_cluster_name": "theirs"},
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str | bytes | None = None, **changes: Any) -> Path:
        path = tmp_path / "other.lock.yaml"
        document = {key: value for key, value in (GOOD | changes).items() if value != "absent"}
        content = yaml.safe_dump(document) if text is None else text
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "changes", "what", "hint"),
    [
        ("", {}, "is no lock file", "unchanged"),
        ("- 1\n", {}, "is no lock file", "unchanged"),
        ("a: [b\n", {}, "is no lock file", "unchanged"),
        (b"\xff\xfe\x00\xd8", {}, "is no lock file", "unchanged"),
        (b"PK\x03\x04\x00\x00", {}, "is no lock file", "unchanged"),
        ("deployment_name: x\n", {}, "is no lock file", "unchanged"),
        ("&a [*a]\n", {}, "is no lock file", "unchanged"),
        (f"schema: 1\nx: {'[' * 99}{']' * 99}\n", {}, "is no lock file", "unchanged"),
        (None, {"schema": "one"}, "is no lock file", "unchanged"),
        (None, {"schema": True}, "is no lock file", "unchanged"),
        (None, {"schema": 0}, "is no lock file", "unchanged"),
        (None, {"schema": 2}, "newer version", "use version 1.0"),
        (None, {"region": "absent"}, "is damaged", "unchanged"),
        (None, {"region": 7}, "is damaged", "unchanged"),
        (None, {"configuration": "absent"}, "is damaged", "unchanged"),
        (None, {"configuration": {1: 2}}, "is damaged", "unchanged"),
        (None, {"infrastructure": []}, "is damaged", "unchanged"),
        (None, {"cluster": "x"}, "is damaged", "unchanged"),
        (None, {"infrastructure": {"zones": ["us-east-1a"]}}, "is damaged", "unchanged"),
        (None, {"infrastructure": {"zones": ["a b", "c"]}}, "is damaged", "unchanged"),
        (None, {"configuration": {"new_key": 1}}, "does not know", "version 1.0"),
    ],
)
def test_a_bad_file_has_a_cause_and_a_fix(
    write: Write, text: str | bytes | None, changes: dict[str, Any], what: str, hint: str
) -> None:
    if "configuration" in changes and isinstance(changes["configuration"], dict):
        changes = {"infrastructure": {"project": "1.0"}, **changes}
    with pytest.raises(Refused) as caught:
        read_lock(write(text, **changes))
    [problem] = caught.value.problems
    assert what in problem.what
    assert hint in problem.hint


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.lock.yaml", tmp_path):
        with pytest.raises(Refused, match="cannot be read"):
            read_lock(path)


def config_file(folder: Path, text: str = "") -> Path:
    path = folder / "config_aws.yaml"
    path.write_text("ssh_keypair_name: k\nssh_key_path: k.pem\n" + text)
    return path


def test_what_is_recorded_overrides_the_file_but_neither_flags_nor_names(
    write: Write, tmp_path: Path
) -> None:
    lock = read_lock(write())
    path = config_file(
        tmp_path, "num_ndb_datanodes: 8\neks_cluster_name: mine\nndb_num_cpus: 4\nno_color: True\n"
    )
    config = load_config(path, lock=lock)
    assert config.num_ndb_datanodes == 2
    assert config.ndb_num_cpus is None, "what the deployment left open is left open"
    assert config.eks_cluster_name == "mine"
    assert config.openwhisk_chart_ref == "a" * 40
    assert config.eks_addon_versions == {"vpc-cni": "v1.20.5-eksbuild.1"}
    assert config.aws_region == "us-east-1"
    moved = load_config(path, lock=lock, overrides={"aws_region": "us-west-2"})
    assert moved.aws_region == "us-west-2"
    changed, absent = lock_warnings(path, lock)
    assert changed.why == "ndb_num_cpus: 4 -> none; num_ndb_datanodes: 8 -> 2"
    assert "does not record" in absent.what, "a file of an older version lacks newer keys"


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({"num_ndb_datanodes": "many"}, "other.lock.yaml: num_ndb_datanodes"),
        ({"vpc_cidr": "10.0.0.1/16"}, "host bits"),
        ({"zookeeper_ami": "ami-x"}, "zookeeper_ami"),
        ({"eks_log_types": [{"api": 1}]}, "eks_log_types"),
        ({"openwhisk_chart": "ext::sh -c x"}, "openwhisk_chart"),
        ({"vpc_name": "a\x07b", "num_ndb_datanodes": "\x07"}, "num_ndb_datanodes"),
    ],
)
def test_a_bad_value_names_file_and_key(
    write: Write, tmp_path: Path, configuration: dict[str, Any], expected: str
) -> None:
    lock = read_lock(write(configuration=configuration))
    with pytest.raises(Refused) as caught:
        load_config(config_file(tmp_path), lock=lock)
    assert expected in str(caught.value)


def test_keys_that_are_private_are_never_recorded() -> None:
    """A new key with a path, a password, an address or an ARN must be listed as private."""
    words = ("SecretStr", "local_path", "arn:aws", "_address")
    for key, field in Config.model_fields.items():
        annotation = f"{field.annotation} {field.metadata}"
        if any(word in annotation for word in words):
            assert key in PRIVATE_KEYS, key
    assert Config.model_fields.keys() >= PRIVATE_KEYS | OWN_KEYS
    assert not PRIVATE_KEYS & OWN_KEYS


def test_a_script_refuses_with_exit_code_2_and_writes_nothing(
    cloud: RehearsalCloud, tmp_path: Path, write: Write
) -> None:
    folder = prepare(tmp_path / "work")
    before = len(cloud.calls.writes())
    bad = str(write(schema=9))
    for words in (["create", "--from", bad], ["plan", "--from", bad], ["status", "--against", bad]):
        ended = run(SCRIPT, folder, *words, "--yes", "--json")
        assert ended.exit_code == 2
        assert "newer version" in ended.document["problems"][0]["what"]
    for words in (["destroy", "--from", bad], ["status", "--from", bad], ["--against", bad]):
        assert run(SCRIPT, folder, *words, "--yes").exit_code == 2
    assert len(cloud.calls.writes()) == before
    assert not (folder / "receipts").exists() or not list((folder / "receipts").glob("*.yaml"))


def test_lock_is_a_value() -> None:
    lock = Lock(Path("x"), "eu-west-1", {}, {})
    assert (lock.images, lock.zone_ids, lock.repeated) == ((), (), {"aws_region": "eu-west-1"})
    assert json.dumps(lock.addons) == "{}"

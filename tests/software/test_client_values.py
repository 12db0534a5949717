"""Followers, login and endpoint of the clients, without machines."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aws_setup.config.cross_checks import discouraged_settings
from aws_setup.config.paths import namenodes_path, ndb_password_path
from aws_setup.errors import Refused
from aws_setup.software.clients.benchmark import with_followers
from aws_setup.software.clients.desired import LAMBDA_FS, NdbLogin, endpoint_url
from aws_setup.software.clients.login import choose, database_login, image_login
from aws_setup.software.clients.namenode_record import (
    NameNodeRecord,
    NameNodeRecordFile,
    read_record,
    write_record,
)
from aws_setup.software.clients.step import ClientConfiguration
from tests.support.fake_machines import FakeMachine, FakePool, fake_context

NEW = "followers:\n  - ip: 10.0.0.7\n    user: ubuntu"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "a: 1\nfollowers:\n- ip: x\n  user: y\n\n# next\nb: 2\n",
            f"a: 1\n{NEW}\n\n# next\nb: 2\n",
        ),
        ("followers: [{ip: x}]  # old\nb: 2\n", f"{NEW}  # old\nb: 2\n"),
        ("followers: []\n", f"{NEW}\n"),
        ("followers:\n", f"{NEW}\n"),
        ("a: 1", f"a: 1\n{NEW}\n"),
        ("# only a comment\n", f"# only a comment\n{NEW}\n"),
        ("", f"{NEW}\n"),
        ("a: 1\r\nfollowers: []\r\n", f"a: 1\n{NEW}\n".replace("\n", "\r\n")),
    ],
)
def test_only_the_followers_change(before: str, after: str) -> None:
    written = with_followers(before.encode(), ["10.0.0.7"], source="vm: config.yaml")
    assert written == after.encode()
    assert yaml.safe_load(written)["followers"] == [{"ip": "10.0.0.7", "user": "ubuntu"}]
    assert with_followers(written, ["10.0.0.7"], source="vm") == written


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"followers: [}", "not YAML in UTF-8"),
        (b"\xff\xfe", "not YAML in UTF-8"),
        (b"- a\n", "not a mapping"),
        (b"followers: []\nfollowers: []\n", "occurs 2 times"),
        (b"a: &x [1]\nfollowers: *x\n", "form that this program does not edit"),
    ],
)
def test_a_benchmark_file_that_cannot_be_edited_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        with_followers(text, ["10.0.0.7"], source="vm: config.yaml")
    assert caught.value.problems[0].what == "vm: config.yaml cannot be edited"


IMAGE = NdbLogin("user", "of-the-image", "vanilla_hopsfs")


def test_what_is_left_out_is_that_of_the_image(tmp_path: Path) -> None:
    config = fake_context(tmp_path, {}).config
    assert choose(config, IMAGE) == IMAGE
    changed = config.model_copy(update={"ndb_database": "mine"})
    assert choose(changed, IMAGE) == NdbLogin("user", "of-the-image", "mine")
    assert "of-the-image" not in repr(IMAGE)


def test_the_stored_password_belongs_to_the_user_of_an_earlier_version(tmp_path: Path) -> None:
    config = fake_context(tmp_path, {}).config
    ndb_password_path(config).parent.mkdir(parents=True)
    ndb_password_path(config).write_text("generated\n")
    assert choose(config, IMAGE) == IMAGE
    named = fake_context(tmp_path, {}, ndb_user="lambdafs").config
    assert choose(named, IMAGE).password == "generated"
    both = fake_context(tmp_path, {}, ndb_user="lambdafs", ndb_password="set").config
    assert choose(both, IMAGE).password == "set"


def test_a_file_without_a_login_means_the_published_one(tmp_path: Path) -> None:
    machine = FakeMachine("client")
    assert image_login(machine, LAMBDA_FS, {}).user == "user"
    assert image_login(machine, LAMBDA_FS, {LAMBDA_FS.ndb: b"a=1\n"}).password == "123password123"
    with pytest.raises(Refused, match="no name of a database"):
        text = b"com.mysql.clusterj.database=a`b\n"
        image_login(machine, LAMBDA_FS, {LAMBDA_FS.ndb: text})


def test_without_a_client_vm_no_machine_is_asked(tmp_path: Path) -> None:
    ctx = fake_context(tmp_path, {})
    assert database_login(ctx, FakePool(ctx.config, [])).database == "vanilla_hopsfs"
    step = ClientConfiguration(FakePool(ctx.config, []), lambda _: "")
    assert step.find(ctx) is None, "create is still to launch the VMs"


def test_a_stopped_client_is_drift_for_create(tmp_path: Path) -> None:
    machine = FakeMachine("client")
    machine.address = ""
    ctx = fake_context(tmp_path, {"lambda-fs client": [machine]})
    found = ClientConfiguration(FakePool(ctx.config, [machine]), lambda _: "").find(ctx)
    assert found
    assert (found.state, [drift.what for drift in found.drift]) == ("stopped", ["services"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"prefix": "a"}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    ctx = fake_context(tmp_path, {}, num_namenode_deployments=5)
    default = NameNodeRecord(deployments=5)
    assert read_record(ctx.config) == default
    write_record(ctx.config, NameNodeRecord("mine", "whisk.system", 7, "https://h"))
    assert read_record(ctx.config).deployments == 7
    namenodes_path(ctx.config).write_text(text)
    assert read_record(ctx.config) == default
    step = NameNodeRecordFile()
    found = step.find(ctx)
    assert found
    step.delete(ctx, found)
    assert step.find(ctx) is None


def test_the_endpoint_has_scheme_port_namespace_and_prefix() -> None:
    url = endpoint_url("http://elb:80/", "whisk.system", "nn")
    assert url == "http://elb:80/api/v1/web/whisk.system/default/nn"


def test_the_plan_warns_that_namenodes_need_the_configured_login(tmp_path: Path) -> None:
    config = fake_context(tmp_path, {}, ndb_user="ada", ndb_password="x").config
    (warning,) = discouraged_settings(config)
    assert warning.keys == ("ndb_user", "ndb_password")
    assert "image or jar" in warning.hint
    assert discouraged_settings(fake_context(tmp_path, {}).config) == []

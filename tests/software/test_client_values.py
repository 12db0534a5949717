"""Followers, login and endpoint of the clients, without machines."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from aws_setup.aws.inventory import Inventory, tag_of
from aws_setup.aws.tags import STEP_TAG
from aws_setup.config.cross_checks import discouraged_settings
from aws_setup.config.paths import namenodes_path, ndb_password_path
from aws_setup.engine.step import Found
from aws_setup.errors import Refused
from aws_setup.software.clients.benchmark import site_of, with_followers, with_site
from aws_setup.software.clients.desired import LAMBDA_FS, NdbLogin, endpoint_url
from aws_setup.software.clients.login import choose, client_login, database_login, image_login
from aws_setup.software.clients.namenode_record import (
    NameNodeRecord,
    NameNodeRecordFile,
    configured_record,
    read_record,
    write_record,
)
from aws_setup.software.clients.remote_files import ORIGINAL
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
    ("before", "after"),
    [
        ("a: 1\nhdfsConfigFile: /old # mine\nb: 2\n", "a: 1\nhdfsConfigFile: /new # mine\nb: 2\n"),
        ("hdfsConfigFile:\nb: 2\n", "hdfsConfigFile: /new\nb: 2\n"),
        ("\"hdfsConfigFile\": '/old'\r\n", "hdfsConfigFile: /new\r\n"),
        ("a: 1", "a: 1\nhdfsConfigFile: /new\n"),
    ],
)
def test_the_benchmark_reads_the_file_that_is_written(before: str, after: str) -> None:
    written = with_site(before.encode(), "/new", source="vm: config.yaml")
    assert written == after.encode()
    assert site_of(written, source="vm") == "/new"
    assert with_site(written, "/new", source="vm") == written


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


def test_the_password_of_another_computers_user_is_that_of_the_clients_file(
    tmp_path: Path,
) -> None:
    config = fake_context(tmp_path, {}, ndb_user="lambdafs").config
    machine = FakeMachine("client")
    prefix = b"io.hops.metadata.ndb.mysqlserver."
    written = prefix + b"username=lambdafs\n" + prefix + b"password=generated\n"
    image = prefix + b"username=user\n" + prefix + b"password=of-the-image\n"
    files = {LAMBDA_FS.ndb: written, LAMBDA_FS.ndb + ORIGINAL: image}
    login = client_login(config, machine, LAMBDA_FS, files)
    assert (login.password, login.assumed) == ("generated", False)
    login = client_login(config, machine, LAMBDA_FS, {LAMBDA_FS.ndb: image})
    assert (login.password, login.assumed) == ("of-the-image", True)
    both = fake_context(tmp_path, {}, ndb_user="lambdafs", ndb_password="set").config
    assert client_login(both, machine, LAMBDA_FS, files).password == "set"


def test_what_a_client_calls_is_known_without_a_record_once_it_was_configured() -> None:
    def record(site: str, original: str | None) -> NameNodeRecord | None:
        files = {LAMBDA_FS.site: site.encode()}
        if original is not None:
            files[LAMBDA_FS.site + ORIGINAL] = original.encode()
        return configured_record(LAMBDA_FS, files, source="client")

    def text(**values: str) -> str:
        rows = (
            f"<property><name>serverless.{name.replace('_', '.')}</name><value>{value}</value>"
            "</property>"
            for name, value in values.items()
        )
        return f"<configuration>{''.join(rows)}</configuration>"

    image = text(deployments_max="37", endpoint="https://author/api/v1/web/whisk.system/default/a")
    assert record(image, None) is None
    assert record(image, image) is None
    mine = text(deployments_max="12", endpoint="https://elb/api/v1/web/whisk.system/default/mine")
    assert record(mine, image) == NameNodeRecord("mine", "whisk.system", 12)
    waits = text(deployments_max="12", endpoint="https://author/api/v1/web/whisk.system/default/a")
    assert record(waits, image) == NameNodeRecord(deployments=12), "OpenWhisk has no address yet"
    for endpoint in ("", "https://elb/other", "https://[elb/api/v1/web/guest/default/nn"):
        assert record(text(deployments_max="12", endpoint=endpoint), image) == NameNodeRecord(
            deployments=12
        )
    assert record(text(deployments_max="many", endpoint=""), image) is None


def test_without_a_client_vm_no_machine_is_asked(tmp_path: Path) -> None:
    ctx = fake_context(tmp_path, {})
    assert database_login(ctx, FakePool(ctx.config, [])).database == "vanilla_hopsfs"
    step = ClientConfiguration(FakePool(ctx.config, []), lambda _: "")
    assert step.find(ctx) is None, "create is still to launch the VMs"


def test_a_stopped_client_is_not_checked_until_create_has_started_it(tmp_path: Path) -> None:
    machine = FakeMachine("client")
    machine.address = ""
    ctx = fake_context(tmp_path, {"lambda-fs client": [machine]})
    found = ClientConfiguration(FakePool(ctx.config, [machine]), lambda _: "").find(ctx)
    assert found
    assert (found.state, found.drift) == ("not checked: client is stopped", ())


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
    assert "set namenode_image" in warning.hint
    assert discouraged_settings(fake_context(tmp_path, {}).config) == []


def instance(step: str, machine: FakeMachine, address: str) -> dict[str, Any]:
    """Return a VM as EC2 describes it."""
    return {
        "InstanceId": machine.id,
        "InstanceType": "r5.4xlarge",
        "ImageId": "ami-0",
        "LaunchTime": datetime(2026, 11, 27, tzinfo=UTC),
        "State": {"Name": "running" if address else "stopped"},
        "PrivateIpAddress": machine.private_ip,
        "PublicIpAddress": address or None,
        "Tags": [{"Key": STEP_TAG, "Value": step}, {"Key": "Name", "Value": machine.name}],
    }


def looked_up(folder: Path, instances: list[dict[str, Any]], machines: list[FakeMachine]) -> Found:
    """Return what the step finds in a script without steps for the VMs."""
    ctx = fake_context(folder, {}, create_zookeeper_vms=False)
    listed = SimpleNamespace(
        all=lambda _kind: instances,
        of_step=lambda _kind, step, fresh=False: [
            item for item in instances if tag_of(item, STEP_TAG) == step
        ],
    )
    ctx.inventory = cast(Inventory, listed)
    pool = FakePool(ctx.config, machines)
    found = ClientConfiguration(pool, lambda _: "https://elb:443", lookup=True).find(ctx)
    assert found
    assert ctx.found == {}, "the VMs are not resources of that script"
    return found


def test_configure_finds_the_client_vms_itself(tmp_path: Path) -> None:
    assert looked_up(tmp_path, [], []).skipped == "there is no client VM"
    files = {
        LAMBDA_FS.site: b"<configuration/>",
        LAMBDA_FS.ndb: b"",
    }
    answer = "".join(f"{b64encode(data).decode() or '-'} {path}\n" for path, data in files.items())
    client = FakeMachine("client", answer=lambda _command, _stdin: (0, answer))
    manager = FakeMachine("manager")
    vms = [
        instance("lambda-fs client", client, "203.0.113.1"),
        instance("ndb manager", manager, "203.0.113.2"),
    ]
    found = looked_up(tmp_path, vms, [client, manager])
    assert [drift.what for drift in found.drift] == [
        "client: hdfs-site.xml",
        "client: ndb-config.properties",
    ]
    assert found.facts["serverless.endpoint"].startswith("https://elb:443/api/v1/web/guest/")
    assert len(client.commands) == 1, "one command reads every file"
    assert manager.commands == []
    client.address = ""
    vms[0] = instance("lambda-fs client", client, "")
    assert "create starts them" in looked_up(tmp_path, vms, [client, manager]).skipped

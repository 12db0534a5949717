"""`create` against the emulated cloud, down to NDB's stand-ins, a real MariaDB and the clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms.client_files import PUBLISHED_PASSWORD
from tests.support.aws import client
from tests.support.laptop import Laptop, actions, laptop_beside
from tests.support.machines import needs_machines

pytestmark = [needs_machines, pytest.mark.timeout(300)]


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laptop]:
    monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
    with laptop_beside(cloud, tmp_path, database=True, create_zookeeper_vms=False) as found:
        yield found


def test_missing_scripts_and_unknown_types_are_refused_before_anything_is_created(
    laptop: Laptop,
) -> None:
    (laptop.folder / "sql" / "schema.sql").unlink()
    path = laptop.folder / "config_aws.yaml"
    document = yaml.safe_load(path.read_text()) | {"ndb_datanode_instance_type": "i3.xlarge"}
    path.write_text(yaml.safe_dump(document))
    refused = laptop.run("create", code=2)
    text = " ".join(problem["what"] for problem in refused["problems"])
    assert "schema.sql cannot be read" in text
    assert "i3.xlarge is unknown" in text
    owned = [{"Name": "tag-key", "Values": ["Project"]}]
    assert not client("ec2").describe_vpcs(Filters=owned)["Vpcs"]


def test_create_again_after_a_stop_and_destroy(laptop: Laptop) -> None:
    assert laptop.run("create")["result"] == "ok"
    steps = laptop.receipt()
    assert steps["ndb storage"]["state"] == "2 of 2 started"
    assert steps["mysqld"]["state"] == "running"
    assert steps["ndb tables"]["state"] == "12 of 12 scripts"
    assert steps["lambda-fs format"]["state"] == "formatted"
    assert steps["ndb tables"]["user"] == "user", "that of the client's image"
    written = "".join(path.read_text() for path in (laptop.folder / "receipts").glob("*.[jl]*"))
    assert PUBLISHED_PASSWORD not in written

    assert set(actions(laptop.run("create")).values()) == {"exists"}

    ec2 = client("ec2")
    found = ec2.describe_instances()["Reservations"]
    ids = [instance["InstanceId"] for group in found for instance in group["Instances"]]
    ec2.stop_instances(InstanceIds=ids)
    started = actions(laptop.run("create"))
    assert {name for name, action in started.items() if action == "update"} >= {
        "ndb management server",
        "ndb storage",
        "mysqld",
    }
    assert started["lambda-fs format"] != "create"
    assert set(actions(laptop.run("create")).values()) == {"exists"}
    assert laptop.run("create", "--reformat", code=2)["result"] == "refused"
    assert laptop.run("create", "--reformat", code=2, typed="y")["result"] == "refused"
    reformatted = actions(laptop.run("create", "--reformat", typed="lambda-fs"))
    assert {name for name, action in reformatted.items() if action != "exists"} == {
        "lambda-fs format",
        "hopsfs format",
    }
    password = laptop.folder / "receipts" / "lambda-fs.ndb_password"
    password.write_text("of an earlier version\n")
    assert laptop.run("destroy")["result"] == "ok"
    assert not password.exists()

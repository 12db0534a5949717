"""Random faults: a seed is reproducible, every kind occurs, and faults are bounded."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.rehearsal.cli import main
from aws_setup.rehearsal.core import random_faults
from aws_setup.rehearsal.core.random_faults import FaultKind, RandomFaults, SeededFaults
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT, Settings
from aws_setup.rehearsal.core.types import AwsError, Call
from aws_setup.rehearsal.kubernetes.api import faults as kubernetes_faults
from aws_setup.rehearsal.openwhisk import faults as openwhisk_faults
from aws_setup.rehearsal.vms import ec2_sync
from tests.support.aws import client

MENUS = (
    random_faults.READ_FAULTS,
    random_faults.WRITE_FAULTS,
    random_faults.STALE_READ_FAULTS,
    random_faults.CAPACITY_FAULTS,
    random_faults.SLOW_FAULTS,
    kubernetes_faults.API_READ_FAULTS,
    kubernetes_faults.API_WRITE_FAULTS,
    kubernetes_faults.API_WATCH_FAULTS,
    ec2_sync.LATE_SSHD_FAULTS,
    ec2_sync.CONNECTION_FAULTS,
    openwhisk_faults.READS,
    openwhisk_faults.WRITES,
)


@pytest.fixture
def settings() -> Settings:
    """A cloud with random faults."""
    return Settings(speed=0, chaos=4)


def call(action: str, **params: object) -> Call:
    return Call("ec2", action, dict(params), "us-east-1", ACCOUNT)


def drawn(
    seed: int, menu: random_faults.FaultProbabilities, identity: str, calls: int = 40
) -> list[FaultKind | None]:
    plan = SeededFaults(seed)
    return [plan.fault(menu, identity, number) for number in range(1, calls + 1)]


@pytest.mark.parametrize("menu", MENUS)
def test_draws_depend_on_the_seed_only(
    menu: random_faults.FaultProbabilities,
) -> None:
    asked = [f"call {number}" for number in range(60)]
    first = [drawn(5, menu, item) for item in asked]
    assert first == [drawn(5, menu, item) for item in reversed(asked)][::-1]
    assert first != [drawn(6, menu, item) for item in asked]


def test_the_fault_of_a_call_does_not_depend_on_other_calls() -> None:
    asked = [call("CreateSubnet", CidrBlock=f"10.0.{number}.0/24") for number in range(40)]

    def run(order: list[Call]) -> dict[str, str]:
        item, message = RandomFaults(9), {}
        for each in order:
            try:
                message[str(each.params)] = str(item.before(each))
            except AwsError as error:
                message[str(each.params)] = error.code
        return message

    assert run(asked) == run(asked[::-1])
    assert len(set(run(asked).values())) > 2


def test_generated_ids_and_tokens_do_not_identify_a_call() -> None:
    first = call("CreateTags", Resources=["i-0123456789abcdef0"], ClientToken="a")
    second = call("CreateTags", Resources=["i-0fedcba9876543210"], ClientToken="b")
    other = call("CreateTags", Resources=["vpc-0fedcba9876543210"], ClientToken="b")
    assert (
        random_faults.call_identity(first)
        == random_faults.call_identity(second)
        != random_faults.call_identity(other)
    )


@pytest.mark.parametrize("menu", MENUS)
def test_a_client_that_retries_succeeds(menu: random_faults.FaultProbabilities) -> None:
    for seed in range(40):
        for number in range(20):
            runs = [
                len(list(met))
                for bad, met in groupby(drawn(seed, menu, f"call {number}"), key=bool)
                if bad
            ]
            assert max(runs, default=0) <= random_faults.MAX_BURST_LENGTH


def test_every_kind_has_a_probability_and_occurs_within_a_few_seeds() -> None:
    met = {
        kind
        for menu in MENUS
        for seed in range(1, 6)
        for number in range(30)
        for kind in drawn(seed, menu, f"call {number}", calls=8)
    }
    assert met - {None} == set(FaultKind)


def test_the_admin_api_reports_the_faults(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    for number in range(40):
        with suppress(BotoCoreError, ClientError):
            ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")
    with urllib.request.urlopen(f"{cloud.url}/_rehearsal/chaos") as answer:
        message = json.load(answer)
    assert message["summary"].startswith("random faults (seed 4): ")
    assert (
        message["counts"]["throttled"] == sum(h["kind"] == "throttled" for h in message["hits"]) > 0
    )


def test_serve_prints_the_faults_at_its_end(tmp_path: Path) -> None:
    words = ["serve", "--speed", "0", "--chaos", "7", "--state-dir", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "aws_setup.rehearsal", *words], stdout=pipe, stderr=pipe, text=True
    ) as server:
        assert server.stdout
        line = ""
        while not line.startswith("export AWS_ENDPOINT_URL="):
            line = server.stdout.readline()
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        url = line.partition("=")[2].strip()
        ec2 = boto3.client("ec2", endpoint_url=url, region_name="us-east-1", config=once)
        for number in range(40):
            with suppress(BotoCoreError, ClientError):
                ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")
        server.send_signal(signal.SIGINT)
        _, output = server.communicate(timeout=240)
    assert server.returncode == 0
    message = json.loads((tmp_path / "chaos.json").read_text())
    assert message["seed"] == 7
    assert message["hits"]
    assert message["summary"] in output.splitlines()


def test_an_invalid_seed_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--chaos", "monkey"])
    assert ended.value.code == 2
    assert "--chaos: invalid int value: 'monkey'" in capsys.readouterr().err

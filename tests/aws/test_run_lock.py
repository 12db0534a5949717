"""The run lock of a deployment: who gets it, who takes it over, and who stops."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from aws_setup.aws import errors as aws_errors
from aws_setup.aws import run_lock_store
from aws_setup.aws.run_lock import SAFE, LockHeld, Outdated, RunLock
from aws_setup.aws.run_lock_store import EXPIRES, LockStore, Standing
from aws_setup.aws.session import Aws
from aws_setup.cli.run_lock import released
from aws_setup.config import Config
from aws_setup.engine.processes import ProcessId, is_running, this_process
from aws_setup.engine.write_guard import guarding
from aws_setup.errors import SetupError
from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.core.protocol import HttpAnswer
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.support.aws import client

CONFIG = Config(ssh_keypair_name="key", ssh_key_path="key.pem", aws_region="us-east-1")
PATH = "/lambda-fs/lambda-fs/lock"


@pytest.fixture
def aws(cloud: RehearsalCloud) -> Iterator[Aws]:
    """A session with the cloud."""
    session = Aws(region="us-east-1")
    yield session
    session.close()


@pytest.fixture
def locks(aws: Aws) -> Iterator[list[RunLock]]:
    """The locks of a test, which are released at its end."""
    made: list[RunLock] = []
    yield made
    for lock in made:
        lock.release()


def observed(aws: Aws, locks: list[RunLock], *, verb: str = "create", **how: Any) -> RunLock:
    """Return the lock of a new run that has looked at it."""
    lock = RunLock(aws, CONFIG, verb=verb, **how)
    locks.append(lock)
    lock.observe()
    return lock


def put(number: int, *, age: float = 0.0, cloud: RehearsalCloud, **value: Any) -> None:
    """Create a generation of another computer, last renewed `age` seconds ago."""
    content = {"owner": "ada@far", "verb": "create", "run": "r0", "computer": "far", "pid": 7}
    text = value.pop("text", json.dumps({"state": "held", "since": "noon"} | content | value))
    name = f"{PATH}/{number}"
    client("ssm").put_parameter(Name=name, Value=text, Type="String", Overwrite=True)
    made = cloud.store_of(Parameters)["us-east-1", name]
    made.modified -= timedelta(seconds=age)


def names(cloud: RehearsalCloud) -> list[str]:
    return [name.removeprefix(f"{PATH}/") for _, name in cloud.store_of(Parameters)]


def test_of_two_runs_one_writes_and_the_other_examines_again(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    first, second = observed(aws, locks), observed(aws, locks, verb="destroy")
    first.acquire()
    with pytest.raises(LockHeld, match="has run create since"):
        second.acquire()
    with pytest.raises(LockHeld):
        observed(aws, locks)
    first.release()
    with pytest.raises(Outdated):
        second.acquire()
    second.acquire()
    assert (second.held, names(cloud)) == (True, ["2"])
    tags = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=f"{PATH}/2")
    assert {"Key": "lambda-fs:deployment", "Value": "lambda-fs"} in tags["TagList"]
    second.remove()
    assert names(cloud) == []


def test_a_run_that_comes_between_is_noticed_also_when_it_destroyed_everything(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    put(3, cloud=cloud, state="free")
    stale, other = observed(aws, locks), observed(aws, locks)
    other.acquire()
    other.remove()
    with pytest.raises(Outdated):
        stale.acquire()
    stale.release()
    current = observed(aws, locks)
    current.acquire()
    assert names(cloud) == ["5"]


def test_a_killed_owner_of_this_computer_is_followed_at_once(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = this_process()
    stat = Path(f"/proc/{sleeper.pid}/stat")
    started = stat.read_text().rpartition(") ")[2].split()[19] if here.started else ""
    process = ProcessId(here.computer, sleeper.pid, started)
    value: dict[str, Any] = {
        "computer": here.computer,
        "pid": sleeper.pid,
        "process_started": started,
    }
    put(1, cloud=cloud, age=2 * EXPIRES, **value)
    assert is_running(process) is not False
    if here.started:
        with pytest.raises(LockHeld):
            observed(aws, locks)
    sleeper.kill()
    sleeper.communicate()
    assert is_running(process) is False
    put(1, cloud=cloud, **value)
    lock = observed(aws, locks)
    lock.acquire()
    assert (lock.held, names(cloud)) == (True, ["2"])


@pytest.mark.parametrize(
    ("age", "breaks", "taken"),
    [(EXPIRES / 2, False, False), (EXPIRES + 30, False, True), (0.0, True, True)],
    ids=["works", "expired", "broken"],
)
def test_the_lock_of_another_computer(
    cloud: RehearsalCloud,
    aws: Aws,
    locks: list[RunLock],
    age: float,
    breaks: bool,
    taken: bool,
) -> None:
    put(4, cloud=cloud, age=age)
    if not taken:
        with pytest.raises(LockHeld, match="ada@far has run create since noon"):
            observed(aws, locks)
        return
    said: list[str] = []
    lock = observed(aws, locks, breaks=breaks, note=said.append)
    lock.acquire()
    assert names(cloud) == ["5"]
    assert "ada@far" in said[0]


def test_an_owner_that_wakes_up_keeps_its_lock(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    put(1, cloud=cloud, age=EXPIRES + 1)
    taker = observed(aws, locks)
    put(1, cloud=cloud)
    with pytest.raises(LockHeld):
        taker.acquire()
    assert (taker.held, names(cloud)) == (False, ["1"])


def test_a_run_whose_lock_was_broken_stops_before_its_next_write(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    first = observed(aws, locks)
    first.acquire()
    breaker = observed(aws, locks, breaks=True, verb="destroy")
    breaker.acquire()
    first._renewed = (time.monotonic() - 2 * SAFE, time.time())
    with guarding(first.check), pytest.raises(SetupError, match=r"is lost: .* has run destroy"):
        aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert cloud.calls.named("CreateVpc") == []
    first.release()
    assert names(cloud) == ["2"]
    with guarding(breaker.check):
        aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")


def test_a_run_that_slept_continues_where_no_other_has_taken_its_place(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    lock = observed(aws, locks)
    lock.acquire()
    lock._renewed = (time.monotonic(), time.time() - 3600)
    lock.check()
    current = LockStore(aws, CONFIG).read().current
    assert current is not None
    assert (current.version, current.standing) == (2, Standing.RUNNING)
    client("ssm").delete_parameters(Names=[f"{PATH}/1"])
    lock._renewed = (time.monotonic(), time.time() - 3600)
    with pytest.raises(SetupError, match="is lost: another run has removed it"):
        lock.check()
    assert names(cloud) == []


def test_a_run_that_cannot_renew_its_lock_stops(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lock = observed(aws, locks)
    lock.acquire()
    lock._renewed = (time.monotonic() - 2 * SAFE, time.time())
    cloud.faults.add({"fault": "fail", "action": "ssm.*", "code": "InternalServerError"})
    with pytest.raises(SetupError, match="is lost: it could not be renewed"):
        lock.check()
    cloud.faults.clear()
    lock.check()


def test_a_create_whose_answer_is_lost_is_the_runs_own(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    cloud.faults.add({"fault": "lose-answer", "action": "ssm.PutParameter", "calls": [1]})
    lock = observed(aws, locks)
    lock.acquire()
    assert (lock.held, names(cloud)) == (True, ["1"])


@pytest.mark.parametrize("action", ["ssm:*", "ssm:GetParametersByPath", "ssm:PutParameter"])
def test_without_permission_there_is_no_lock_and_no_failure(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock], action: str
) -> None:
    cloud.settings.deny.append(DeniedPermission(action=action))
    lock = observed(aws, locks)
    lock.acquire()
    lock.check()
    assert not lock.held
    assert "permission" in lock.unavailable


@pytest.mark.parametrize("drawn", ["1234567890123abc", "1234567890123456", "abcdef0123456789"])
def test_a_run_knows_its_own_lock_whatever_was_drawn_for_it(
    aws: Aws, locks: list[RunLock], monkeypatch: pytest.MonkeyPatch, drawn: str
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: drawn)
    lock = observed(aws, locks)
    lock.acquire()
    lock._renew()
    lock.check()
    found = lock.store.read().current
    assert found is not None
    assert (found.holder.run, found.holder.first_run) == (drawn, drawn)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"pid": "x", "expires_seconds": "never"}', '{"pid": 1e400}'],
)
def test_a_value_that_is_no_lock_is_held_by_an_unknown_run_until_it_expires(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock], text: str
) -> None:
    put(1, cloud=cloud, text=text or " ")
    with pytest.raises(LockHeld, match="an unknown user"):
        observed(aws, locks)
    put(1, cloud=cloud, text=text or " ", age=EXPIRES + 1)
    observed(aws, locks).acquire()


def test_what_a_value_says_is_shown_without_control_characters_and_account_ids(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock]
) -> None:
    put(1, cloud=cloud, owner="\x1b]0;x\x07 123456789012", verb="v" * 900, pid=2**70)
    put(1_000_000_000, cloud=cloud, state="free")
    with pytest.raises(LockHeld) as caught:
        observed(aws, locks)
    shown = str(caught.value)
    assert "\x1b" not in shown
    assert "123456789012" not in shown
    assert len(shown) < 300


def test_a_page_of_a_proxy_does_not_replace_how_the_run_has_ended(
    cloud: RehearsalCloud, aws: Aws, locks: list[RunLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = observed(aws, locks)
    lock.acquire()
    page = HttpAnswer(200, b"<html>Sign in</html>", {"content-type": "text/html"})
    monkeypatch.setattr(cloud, "handle", lambda _: page)
    lock._renewed = (time.monotonic() - 2 * SAFE, time.time())
    with pytest.raises(SetupError, match="is lost: it could not be renewed"):
        lock.check()
    with pytest.raises(KeyError, match="how it ended"), released(lock):
        raise KeyError("how it ended")
    assert not lock.held


@pytest.mark.parametrize("wrong", [-240.0, 240.0], ids=["slow", "fast"])
def test_a_clock_that_is_four_minutes_wrong_changes_neither_who_gets_the_lock_nor_its_times(
    cloud: RehearsalCloud,
    aws: Aws,
    locks: list[RunLock],
    monkeypatch: pytest.MonkeyPatch,
    wrong: float,
) -> None:
    """The clock of this computer is what the scripts' modules read; AWS's stays right.

    AWS refuses signatures from five minutes on, and botocore reads its own clock for them.
    """

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wrong:
            moved = datetime.now(tz) + timedelta(seconds=wrong)
            return cls.fromtimestamp(moved.timestamp(), tz)

    monkeypatch.setattr(run_lock_store, "datetime", Wrong)
    monkeypatch.setattr(aws_errors, "datetime", Wrong)
    put(4, cloud=cloud, age=EXPIRES - 30)
    with pytest.raises(LockHeld):
        observed(aws, locks)
    live = LockStore(aws, CONFIG).read().current
    assert live is not None
    assert EXPIRES - 31 <= live.age < EXPIRES
    put(4, cloud=cloud, age=EXPIRES + 30)
    lock = observed(aws, locks)
    lock.acquire()
    lock.check()
    assert names(cloud) == ["5"]
    own = lock.store.read().current
    assert own is not None
    since = datetime.strptime(own.holder.since, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - since) < timedelta(minutes=2), "within the minute shown"

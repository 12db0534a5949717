"""Uploads against the stand-in OpenWhisk: many actions, repeats, failures, Ctrl-C."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.errors import Interrupted, SetupError
from aws_setup.namenodes.action import Deed, DesiredAction, deed, parse
from aws_setup.namenodes.client import Client, StatusError
from aws_setup.namenodes.deploy import Abort, Event, Kind, Outcome, Pool, Task
from aws_setup.namenodes.jar import JAR_LIMIT, Jar
from aws_setup.namenodes.uploader import Uploader
from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer
from aws_setup.rehearsal.openwhisk.store import Limits
from tests.support.openwhisk import QuickClock, client_of, jar_of, make_jar, openwhisk, wanted


@pytest.fixture
def whisk() -> Iterator[OpenWhiskServer]:
    with openwhisk() as running:
        yield running


@pytest.fixture
def jar(tmp_path: Path) -> Jar:
    return jar_of(make_jar(tmp_path / "nn.jar", size=100_000))


def deploy(
    whisk: OpenWhiskServer,
    jar: Jar,
    *,
    count: int = 5,
    jobs: int = 3,
    want: DesiredAction | None = None,
    client: Client | None = None,
    events: list[Event] | None = None,
) -> Outcome:
    """Bring `count` actions to what is wanted, as the script does."""
    client, want = client or client_of(whisk.url), want or wanted(jar)
    existing = {item["name"]: parse(item) for item in client.listing()}
    tasks = [
        Task(name, todo, len(jar.code))
        for name in (f"namenode{index}" for index in range(count))
        if (todo := deed(existing.get(name), want)) is not Deed.NOTHING
    ]
    abort = Abort()
    uploader = Uploader(client, want, jar, existing, abort)
    clock = QuickClock()
    tell = (events if events is not None else []).append
    return Pool(jobs, abort, clock.stop).run(tasks, uploader.act, tell)


def test_first_run_sends_every_action_and_the_second_none(whisk: OpenWhiskServer, jar: Jar) -> None:
    assert len(deploy(whisk, jar).done) == 5
    assert {put["sha256"] for put in whisk.puts} == {jar.sha256}
    assert all(put["overwrite"] == "false" for put in whisk.puts)
    assert deploy(whisk, jar).done == {}
    assert whisk.requests["PUT"] == 5


def test_new_limits_go_out_without_the_code(whisk: OpenWhiskServer, jar: Jar) -> None:
    deploy(whisk, jar)
    deploy(whisk, jar, want=wanted(jar, memory=512))
    assert [put["code_length"] for put in whisk.puts[5:]] == [0] * 5
    held = whisk.store.actions["namenode3"]
    assert held["limits"]["memory"] == 512
    assert {"key": "actionMemory", "value": 512} in held["parameters"]
    assert set(whisk.store.code.values()) == {jar.sha256}
    assert deploy(whisk, jar, want=wanted(jar, memory=512)).done == {}


@pytest.mark.parametrize("trouble", list(HttpFaultKind))
@pytest.mark.parametrize("status", [502, 503, 504])
def test_every_passing_trouble_is_overcome(
    whisk: OpenWhiskServer, jar: Jar, trouble: HttpFaultKind, status: int
) -> None:
    whisk.faults.pending.append(Fault(trouble, name="namenode1", status=status, times=2))
    assert len(deploy(whisk, jar).done) == 5
    assert deploy(whisk, jar).done == {}


@pytest.mark.parametrize("trouble", [HttpFaultKind.RESET_AFTER, HttpFaultKind.STATUS_AFTER])
def test_a_put_that_took_effect_is_not_sent_again(
    whisk: OpenWhiskServer, jar: Jar, trouble: HttpFaultKind
) -> None:
    whisk.faults.pending.append(Fault(trouble, name="namenode1"))
    deploy(whisk, jar)
    assert whisk.requests["PUT"] == 5
    assert whisk.store.actions["namenode1"]["version"] == "0.0.1"


def test_retry_after_is_kept(whisk: OpenWhiskServer, jar: Jar) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, status=429, retry_after=17))
    clock = QuickClock()
    deploy(whisk, jar, client=client_of(whisk.url, clock=clock), jobs=1)
    assert clock.pauses == [17.0]


def test_pauses_grow_until_the_deadline_and_the_last_answer_is_named(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, status=503, times=1000))
    clock = QuickClock()
    outcome = deploy(whisk, jar, client=client_of(whisk.url, clock=clock), jobs=1, count=1)
    assert "503" in str(outcome.failed["namenode0"])
    assert "5 min" in str(outcome.failed["namenode0"])
    assert clock.time <= 300
    assert max(clock.pauses) > 10 > min(clock.pauses)


def test_a_lasting_refusal_stops_new_work_and_a_second_run_makes_the_rest(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, name="namenode2", status=403))
    outcome = deploy(whisk, jar, count=9, jobs=1)
    assert isinstance(outcome.failed["namenode2"], StatusError)
    assert list(outcome.done) == ["namenode0", "namenode1"]
    assert outcome.not_started == [f"namenode{index}" for index in range(3, 9)]
    again = deploy(whisk, jar, count=9, jobs=2)
    assert set(again.done) == {"namenode2", *outcome.not_started}


def test_memory_over_the_maximum_and_unknown_kinds_are_lasting(tmp_path: Path, jar: Jar) -> None:
    with openwhisk(OpenWhiskServer()) as whisk:
        whisk.store.limits = Limits(max_memory=1000)
        outcome = deploy(whisk, jar, count=1)
        assert "exceeds allowed threshold" in str(outcome.failed["namenode0"])
        assert whisk.requests["PUT"] == 1


def test_progress_counts_every_byte_once(whisk: OpenWhiskServer, jar: Jar) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, name="namenode1", status=502))
    events: list[Event] = []
    deploy(whisk, jar, events=events)
    sent = sum(event.bytes for event in events if event.kind is Kind.BYTES)
    bodies = sum(put["code_length"] for put in whisk.puts)
    assert bodies < sent < bodies + 5 * 1000


def test_an_echoed_code_does_not_disturb(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    whisk.echo = True
    large = jar_of(make_jar(tmp_path / "large.jar", size=9_000_000))
    assert len(deploy(whisk, large, count=2).done) == 2


def test_somebody_else_s_update_shows_although_annotations_stay(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    deploy(whisk, jar)
    foreign = whisk.store.actions["namenode2"]
    whisk.store.actions["namenode2"] = foreign | {"version": "0.0.2"}
    assert list(deploy(whisk, jar).done) == ["namenode2"]
    assert deploy(whisk, jar).done == {}


def test_a_change_between_look_and_put_is_told_and_mended_by_the_next_run(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    deploy(whisk, jar, count=1)
    existing = {"namenode0": parse(whisk.store.actions["namenode0"])}
    whisk.store.actions["namenode0"] = whisk.store.actions["namenode0"] | {"version": "0.0.2"}
    events: list[Event] = []
    uploader = Uploader(client_of(whisk.url), wanted(jar), jar, existing, Abort())
    assert uploader.act(Task("namenode0", Deed.UPDATE), events.append) == "version 0.0.3"
    told = next(event.text for event in events if event.kind is Kind.NOTE)
    assert told.startswith("something else")
    assert list(deploy(whisk, jar, count=1).done) == ["namenode0"]
    assert deploy(whisk, jar, count=1).done == {}


def test_two_runs_that_create_the_same_do_not_disturb_each_other(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    deploy(whisk, jar, count=1)
    late = Uploader(client_of(whisk.url), wanted(jar), jar, {}, Abort())
    assert late.act(Task("namenode0", Deed.CREATE), lambda _: None) == "version 0.0.1"
    other = Uploader(client_of(whisk.url), wanted(jar, memory=512), jar, {}, Abort())
    with pytest.raises(StatusError, match="already exists"):
        other.act(Task("namenode0", Deed.CREATE), lambda _: None)
    assert whisk.store.actions["namenode0"]["version"] == "0.0.1"


def test_many_uploads_need_no_more_memory_than_one(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    path = make_jar(tmp_path / "nn.jar", size=8_000_000)
    tracemalloc.start()
    try:
        large = jar_of(path)
        assert len(deploy(whisk, large, count=12, jobs=4).done) == 12
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(large.code)


def test_many_pages_are_listed(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    small = jar_of(make_jar(tmp_path / "small.jar"))
    deploy(whisk, small, count=401, jobs=8)
    whisk.requests.clear()
    assert deploy(whisk, small, count=401).done == {}
    assert whisk.requests == {"GET": 3}


def test_ctrl_c_lets_running_uploads_end_and_starts_no_new_one(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    client = client_of(whisk.url)
    uploader = Uploader(client, wanted(jar), jar, {}, Abort())
    tasks = [Task(f"namenode{index}", Deed.CREATE) for index in range(6)]
    pressed = threading.Event()

    def tell(event: Event) -> None:
        if event.kind is Kind.DONE and not pressed.is_set():
            pressed.set()
            raise KeyboardInterrupt

    outcome = Pool(2, uploader.abort, lambda: None).run(tasks, uploader.act, tell)
    assert outcome.interrupted
    assert set(outcome.done) == set(whisk.store.actions)
    assert len(outcome.not_started) >= 3


def test_a_second_ctrl_c_breaks_uploads_off(whisk: OpenWhiskServer, jar: Jar) -> None:
    abort = Abort()
    abort.set()
    uploader = Uploader(client_of(whisk.url), wanted(jar), jar, {}, abort)
    with pytest.raises(Interrupted):
        uploader.act(Task("namenode0", Deed.CREATE), lambda _: None)
    assert whisk.store.actions == {}


def test_no_such_host_and_no_such_port() -> None:
    with pytest.raises(SetupError, match="cannot be found"):
        client_of("http://no-such-host.invalid").listing()
    with pytest.raises(SetupError, match="no success within"):
        client_of("http://127.0.0.1:9").listing()


def test_a_wrong_key_is_refused_at_once(whisk: OpenWhiskServer) -> None:
    with pytest.raises(StatusError, match="authentication is invalid") as refused:
        client_of(whisk.url, auth="a:b").listing()
    assert refused.value.status == 401
    assert whisk.requests["GET"] == 1


def test_a_first_look_gives_up_early_where_nobody_answers_but_not_on_a_busy_host(
    whisk: OpenWhiskServer,
) -> None:
    clock, notes = QuickClock(), list[str]()
    nobody = client_of("http://127.0.0.1:9", clock=clock).noting(notes.append)
    with pytest.raises(SetupError, match="no success within 30 s") as refused:
        nobody.first().listing()
    assert clock.time <= 30
    assert notes
    assert "--tunnel" in refused.value.problems[0].hint
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, method="GET", status=503, times=10))
    clock = QuickClock()
    assert client_of(whisk.url, clock=clock).first().listing() == []
    assert clock.time > 30


def test_the_largest_jar_goes_through(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    path = tmp_path / "largest.jar"
    short = JAR_LIMIT - make_jar(path, size=JAR_LIMIT - 1000).stat().st_size
    largest = jar_of(make_jar(path, size=JAR_LIMIT - 1000 + short))
    assert largest.size == JAR_LIMIT
    assert list(deploy(whisk, largest, count=1).done) == ["namenode0"]
    assert whisk.puts[0]["code_length"] == 48 * 1024 * 1024
    assert whisk.puts[0]["sha256"] == largest.sha256

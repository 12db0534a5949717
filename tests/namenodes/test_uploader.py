"""Uploads against the stand-in OpenWhisk: many actions, retries, failures, Ctrl-C."""

from __future__ import annotations

import signal
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.graph import Limits
from aws_setup.engine.http_deadline import HINT_CLOCK
from aws_setup.engine.result import changes
from aws_setup.engine.runner import EventKind, Outcome, StepEvent, apply
from aws_setup.errors import Interrupted, SetupError
from aws_setup.namenodes.action import CurrentAction, DesiredAction, parse
from aws_setup.namenodes.client import Client, StatusError
from aws_setup.namenodes.http import TransientError
from aws_setup.namenodes.jar import JAR_LIMIT, Jar
from aws_setup.namenodes.step import NameNodeContext, plan_actions
from aws_setup.namenodes.uploader import Abort, Upload
from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer
from aws_setup.rehearsal.openwhisk.store import Limits as ActionLimits
from tests.support.hostile_http import server_of_tomorrow
from tests.support.openwhisk import QuickClock, client_of, desired, jar_of, make_jar, openwhisk


@pytest.fixture
def whisk() -> Iterator[OpenWhiskServer]:
    with openwhisk() as running:
        yield running


@pytest.fixture
def jar(tmp_path: Path) -> Jar:
    return jar_of(make_jar(tmp_path / "nn.jar", size=100_000))


def context(
    client: Client, goal: DesiredAction, jar: Jar | None, existing: dict[str, CurrentAction]
) -> NameNodeContext:
    """Return what the steps work with after a listing."""
    return NameNodeContext(
        clock=QuickClock(), client=client, desired=goal, jar=jar, existing=existing
    )


def deploy(
    whisk: OpenWhiskServer,
    jar: Jar,
    *,
    count: int = 5,
    jobs: int = 3,
    want: DesiredAction | None = None,
    client: Client | None = None,
    events: list[StepEvent] | None = None,
) -> Outcome:
    """Apply the desired state to `count` actions, as the script does."""
    client, want = client or client_of(whisk.url), want or desired(jar)
    existing = {item["name"]: parse(item) for item in client.listing()}
    ctx = context(client, want, jar, existing)
    rows = changes(plan_actions(ctx, [f"namenode{index}" for index in range(count)]))
    tell = (events if events is not None else []).append
    limits = Limits(workers=jobs, fail_fast=True)
    return apply(rows, ctx, tell=tell, stop=lambda: None, limits=limits)


def upload(
    client: Client,
    jar: Jar,
    current: CurrentAction | None = None,
    *,
    goal: DesiredAction | None = None,
    abort: Abort | None = None,
    notes: list[str] | None = None,
) -> str:
    """Send namenode0 once; return its version."""
    note = (notes if notes is not None else []).append
    goal = goal or desired(jar)
    return Upload(client, "namenode0", goal, jar, current, abort or Abort(), note=note).run()


def test_first_run_sends_every_action_and_the_second_none(whisk: OpenWhiskServer, jar: Jar) -> None:
    assert len(deploy(whisk, jar).done) == 5
    assert {put["sha256"] for put in whisk.puts} == {jar.sha256}
    assert all(put["overwrite"] == "false" for put in whisk.puts)
    assert deploy(whisk, jar).done == {}
    assert whisk.requests["PUT"] == 5


def test_new_limits_go_out_without_the_code(whisk: OpenWhiskServer, jar: Jar) -> None:
    deploy(whisk, jar)
    deploy(whisk, jar, want=desired(jar, memory=512))
    assert [put["code_length"] for put in whisk.puts[5:]] == [0] * 5
    held = whisk.store.actions["namenode3"]
    assert held["limits"]["memory"] == 512
    assert {"key": "actionMemory", "value": 512} in held["parameters"]
    assert set(whisk.store.code.values()) == {jar.sha256}
    assert deploy(whisk, jar, want=desired(jar, memory=512)).done == {}


@pytest.mark.parametrize("fault", list(HttpFaultKind))
@pytest.mark.parametrize("status", [502, 503, 504])
def test_every_transient_fault_is_retried(
    whisk: OpenWhiskServer, jar: Jar, fault: HttpFaultKind, status: int
) -> None:
    whisk.faults.pending.append(Fault(fault, name="namenode1", status=status, times=2))
    assert len(deploy(whisk, jar).done) == 5
    assert deploy(whisk, jar).done == {}


@pytest.mark.parametrize("fault", [HttpFaultKind.RESET_AFTER, HttpFaultKind.STATUS_AFTER])
def test_a_put_that_took_effect_is_not_sent_again(
    whisk: OpenWhiskServer, jar: Jar, fault: HttpFaultKind
) -> None:
    whisk.faults.pending.append(Fault(fault, name="namenode1"))
    deploy(whisk, jar)
    assert whisk.requests["PUT"] == 5
    assert whisk.store.actions["namenode1"]["version"] == "0.0.1"


def test_retry_after_is_obeyed(whisk: OpenWhiskServer, jar: Jar) -> None:
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


def test_a_permanent_error_stops_new_work_and_a_second_run_creates_the_rest(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, name="namenode2", status=403))
    outcome = deploy(whisk, jar, count=9, jobs=1)
    assert isinstance(outcome.failed["namenode2"], StatusError)
    assert list(outcome.done) == ["namenode0", "namenode1"]
    assert outcome.blocked == [f"namenode{index}" for index in range(3, 9)]
    again = deploy(whisk, jar, count=9, jobs=2)
    assert set(again.done) == {"namenode2", *outcome.blocked}


def test_memory_over_the_maximum_is_a_permanent_error(tmp_path: Path, jar: Jar) -> None:
    with openwhisk(OpenWhiskServer()) as whisk:
        whisk.store.limits = ActionLimits(max_memory=1000)
        outcome = deploy(whisk, jar, count=1)
        assert "exceeds allowed threshold" in str(outcome.failed["namenode0"])
        assert whisk.requests["PUT"] == 1


def test_progress_counts_every_byte_once(whisk: OpenWhiskServer, jar: Jar) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, name="namenode1", status=502))
    events: list[StepEvent] = []
    deploy(whisk, jar, events=events)
    sent = sum(event.bytes for event in events if event.kind is EventKind.PROGRESS)
    bodies = sum(put["code_length"] for put in whisk.puts)
    assert bodies < sent < bodies + 5 * 1000


def test_an_echoed_code_does_not_disturb(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    whisk.echo = True
    large = jar_of(make_jar(tmp_path / "large.jar", size=9_000_000))
    assert len(deploy(whisk, large, count=2).done) == 2


def test_an_update_by_another_program_is_detected_although_annotations_stay(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    deploy(whisk, jar)
    changed = whisk.store.actions["namenode2"]
    whisk.store.actions["namenode2"] = changed | {"version": "0.0.2"}
    assert list(deploy(whisk, jar).done) == ["namenode2"]
    assert deploy(whisk, jar).done == {}


def test_a_change_between_listing_and_put_is_noted_and_fixed_by_the_next_run(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    deploy(whisk, jar, count=1)
    existing = parse(whisk.store.actions["namenode0"])
    whisk.store.actions["namenode0"] = whisk.store.actions["namenode0"] | {"version": "0.0.2"}
    notes: list[str] = []
    assert upload(client_of(whisk.url), jar, existing, notes=notes) == "0.0.3"
    assert notes[0].startswith("another program changed it")
    assert list(deploy(whisk, jar, count=1).done) == ["namenode0"]
    assert deploy(whisk, jar, count=1).done == {}


def test_two_runs_that_create_the_same_do_not_disturb_each_other(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    deploy(whisk, jar, count=1)
    assert upload(client_of(whisk.url), jar) == "0.0.1"
    with pytest.raises(StatusError, match="already exists"):
        upload(client_of(whisk.url), jar, goal=desired(jar, memory=512))
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


def test_after_ctrl_c_running_uploads_end_and_no_new_one_starts(
    whisk: OpenWhiskServer, jar: Jar
) -> None:
    ctx = context(client_of(whisk.url), desired(jar), jar, {})
    rows = plan_actions(ctx, [f"namenode{index}" for index in range(6)])
    main = threading.main_thread().ident or 0
    pressed, interrupted = threading.Event(), threading.Event()

    def tell(event: StepEvent) -> None:
        if event.kind is EventKind.DONE and not pressed.is_set():
            pressed.set()
            signal.pthread_kill(main, signal.SIGINT)
            interrupted.wait(240)

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        limits = Limits(workers=2, fail_fast=True, abort=ctx.abort.set)
        outcome = apply(rows, ctx, tell=tell, stop=lambda: None, limits=limits)
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.interrupted
    assert set(outcome.done) == set(whisk.store.actions)
    assert len(outcome.not_started) >= 3


def test_a_second_ctrl_c_aborts_uploads(whisk: OpenWhiskServer, jar: Jar) -> None:
    abort = Abort()
    abort.set()
    with pytest.raises(Interrupted):
        upload(client_of(whisk.url), jar, abort=abort)
    assert whisk.store.actions == {}


def test_no_such_host_and_no_such_port() -> None:
    with pytest.raises(SetupError, match="cannot be found"):
        client_of("http://no-such-host.invalid").listing()
    with pytest.raises(SetupError, match="no success within"):
        client_of("http://127.0.0.1:9").listing()


def test_a_name_that_no_longer_resolves_is_waited_for(
    whisk: OpenWhiskServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a VPN is opened again; before the first answer the name itself may be wrong."""
    client = client_of(whisk.url)
    assert client.listing() == []
    idle = client.connection._pools.connection_from_url(whisk.url).pool
    assert idle is not None
    kept = idle.get()
    kept.close()  # the next request opens it again
    idle.put(kept)
    resolve, asked = socket.getaddrinfo, list[object]()

    def fail_twice(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        if len(asked) <= 2:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fail_twice)
    assert client.listing() == []
    assert len(asked) == 3


def test_a_certificate_of_tomorrow_blames_the_clock(tmp_path: Path) -> None:
    with (
        server_of_tomorrow(tmp_path) as (url, certificate),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(
            SetupError, match="not valid at the time of this computer's clock"
        ) as it:
            client_of(url).listing()
    (problem,) = it.value.problems
    assert problem.why.endswith("certificate is not yet valid")
    assert problem.hint.startswith(HINT_CLOCK)
    assert "-i" not in problem.hint.split()


def test_a_wrong_key_is_refused_at_once(whisk: OpenWhiskServer) -> None:
    with pytest.raises(StatusError, match="authentication is invalid") as refused:
        client_of(whisk.url, auth="a:b").listing()
    assert refused.value.status == 401
    assert whisk.requests["GET"] == 1


def test_the_first_request_fails_early_without_a_connection_but_not_on_a_busy_host(
    whisk: OpenWhiskServer,
) -> None:
    clock, notes = QuickClock(), list[str]()
    unreachable = client_of("http://127.0.0.1:9", clock=clock).with_note(notes.append)
    with pytest.raises(SetupError, match="no success within 30 s") as refused:
        unreachable.fail_early().listing()
    assert clock.time <= 30
    assert len(notes) == 1, "the same reason is not repeated"
    hint = refused.value.problems[0].hint
    assert "--tunnel" in hint
    assert "if the deployment is paused" in hint
    assert "create_aws_infrastructure.py resume" in hint
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, method="GET", status=503, times=10))
    clock = QuickClock()
    assert client_of(whisk.url, clock=clock).fail_early().listing() == []
    assert clock.time > 30


def test_the_largest_jar_goes_through(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    path = tmp_path / "largest.jar"
    short = JAR_LIMIT - make_jar(path, size=JAR_LIMIT - 1000).stat().st_size
    largest = jar_of(make_jar(path, size=JAR_LIMIT - 1000 + short))
    assert largest.size == JAR_LIMIT
    assert list(deploy(whisk, largest, count=1).done) == ["namenode0"]
    assert whisk.puts[0]["code_length"] == 48 * 1024 * 1024
    assert whisk.puts[0]["sha256"] == largest.sha256


def test_reasons_of_retries_that_take_turns_are_told_once_each() -> None:
    """Of a paused deployment they filled the terminal for five minutes."""
    told: list[str] = []
    client = client_of("https://127.0.0.1:1").with_note(told.append)
    reasons = cycle(("connection reset by peer", "TLS: unexpected eof while reading"))

    def attempt(_: TransientError | None) -> None:
        raise TransientError(next(reasons))

    with pytest.raises(SetupError, match="no success within"):
        client.retry("list the actions", attempt)
    assert len(told) == len(set(told)) == 2

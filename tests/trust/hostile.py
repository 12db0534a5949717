"""Hostile environments: each is disturbed for one run, which ends well or says why not.

The next run, in a world that is whole again, ends as one that was never disturbed.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.core import protocol
from aws_setup.rehearsal.core.faults import CallMatcher, ConnectionDropped
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.settings import LATENCIES, Quotas
from aws_setup.rehearsal.core.types import AwsError
from tests.support.disturbed import CLOCK, FILE_SIZE
from tests.trust import snapshot, story
from tests.trust.story import Undisturbed
from tests.trust.world import Failed, World

HOUR = 3600
INTERRUPTED = "interrupted.*\n.*run the same command again"
LOST = "reach|connection|network"
NO_ID = "00000000-0000-4000-8000-000000000000"
MIDDLE = {
    "create": "aws ec2.RunInstances",
    "configure": "aws eks.CreateNodegroup",
    "register": "openwhisk PUT namenode1",
    "update": "openwhisk PUT namenode1",
    "pause": "aws ec2.StopInstances",
    "resume": "aws ec2.StartInstances",
    "destroy": "aws ec2.TerminateInstances",
}
"""The write of each command at which something happens."""


def _nothing(_: World) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """A hostile world: what `begin` does to it before a run, and `at` in its middle.

    `says` is what the run says of it, as an error or a warning; '' where it must end well. With
    `may_end_well` it may end well without a word.
    """

    name: str
    says: str = ""
    begin: Callable[[World], None] = _nothing
    at: Callable[[World], None] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    phase: str = "create"
    may_end_well: bool = False

    def __str__(self) -> str:
        return f"{self.name}, {self.phase}"


def _faults(*rules: dict[str, object]) -> Callable[[World], None]:
    return lambda world: world.cloud.faults.add(*rules)


def _throttle(percent: int) -> Callable[[World], None]:
    return _faults({"fault": "fail", "code": "Throttling", "percent": percent})


def _quotas(world: World) -> None:
    world.cloud.settings.quotas = Quotas(vcpus=8)


def _iam_lag(world: World) -> None:
    world.cloud.settings.lag = True
    world.cloud.settings.latencies = {**dict.fromkeys(LATENCIES, 0.0), "iam visible": 7.0}
    world.cloud.clock.speed = 60.0


def _expire(world: World) -> None:
    world.cloud.settings.credentials = "expired"


def _hang_up(world: World) -> None:
    os.kill(world.tap.pid, signal.SIGHUP)


def _network(world: World) -> None:
    """Break this request and the fifty after it, as while a computer changes its network."""
    left = itertools.count(50, -1)

    def gate() -> None:
        if next(left) > 0:
            raise ConnectionDropped

    world.tap.gate = gate
    raise ConnectionDropped


def _sleep(world: World) -> None:
    """Let an hour pass for the run and for AWS, while no connection survives."""
    os.kill(world.tap.pid, signal.SIGSTOP)
    (world.folder / "clock").write_text(str(HOUR))
    for parameter in world.cloud.store_of(Parameters).values():
        parameter.modified -= timedelta(seconds=HOUR)
    os.kill(world.tap.pid, signal.SIGCONT)
    raise ConnectionDropped


def _check_dates(world: World) -> None:
    """Refuse requests whose date is more than five minutes wrong, as AWS does.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
    """
    plain = world.cloud.handle

    def handle(request: HttpRequest) -> HttpAnswer:
        date, now = request.headers.get("x-amz-date", ""), datetime.now(UTC)
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if date else now
        if abs(signed - now) <= timedelta(minutes=5):
            return plain(request)
        call = request.call
        code = "RequestExpired" if call.service == "ec2" else "SignatureDoesNotMatch"
        message = f"Signature not yet current: {date} is still later than {now:%Y%m%dT%H%M%SZ}"
        return protocol.encode_error(call, AwsError(code, message, status=403), NO_ID)

    world.cloud.handle = handle  # type: ignore[method-assign]


def _later(phase: str) -> tuple[Case, ...]:
    """Return what is tried with each command after create.

    A short one may have made its last call when its session expires.
    """
    return (
        Case("session expires in the middle", "expired", at=_expire, phase=phase),
        Case("terminal closed", INTERRUPTED, at=_hang_up, phase=phase),
        Case("network changes", LOST, at=_network, phase=phase, may_end_well=True),
        Case(
            "asleep for an hour",
            "again",
            at=_sleep,
            variables={CLOCK: "@clock"},
            phase=phase,
            may_end_well=True,
        ),
        Case("30 % throttled", begin=_throttle(30), phase=phase),
        Case("disk full", "File too large", variables={FILE_SIZE: "0"}, phase=phase),
    )


CASES = (
    Case("stale reads", begin=_faults({"fault": "stale-read", "seconds": 0.05})),
    Case("IAM lag", begin=_iam_lag, variables={"AWS_SETUP_PACE": "0.0167"}),
    Case("10 % throttled", begin=_throttle(10)),
    Case(
        "no capacity in one zone",
        "capacity",
        begin=_faults({"fault": "no-capacity", "zone": "us-east-1a"}),
    ),
    Case("quota too small", "quota", begin=_quotas),
    Case("session expires in the middle", "expired", at=_expire),
    Case("clock is a day wrong", "clock", begin=_check_dates, variables={CLOCK: "86400"}),
    Case("names are not resolved", "resolve", variables={"AWS_ENDPOINT_URL": "http://aws.invalid"}),
    Case("disk full", "File too large", variables={FILE_SIZE: "0"}),
    Case("home is read-only", variables={"HOME": "/proc/self"}),
    Case("no home", variables={"HOME": ""}),
    Case("terminal closed", INTERRUPTED, at=_hang_up),
    Case("asleep for an hour", "again", at=_sleep, variables={CLOCK: "@clock"}, may_end_well=True),
    Case("network changes", LOST, at=_network, may_end_well=True),
    Case("stale reads", begin=_faults({"fault": "stale-read", "seconds": 0.05}), phase="configure"),
    Case("IAM lag", begin=_iam_lag, variables={"AWS_SETUP_PACE": "0.0167"}, phase="configure"),
    Case("quota too small", "quota", begin=_quotas, phase="configure"),
    # Auto Scaling launches the nodes in the other zone (auto-scaling-benefits, "Balance across
    # Availability Zones").
    # Here each group has one node, and so one subnet: of which zone, its drawn id decides.
    Case(
        "no capacity in one zone",
        r"AsgInstanceLaunchFailures[\s\S]*it re-creates the node group, in another zone",
        begin=_faults({"fault": "no-capacity", "zone": "us-east-1a"}),
        phase="configure",
        may_end_well=True,
    ),
    Case(
        "no capacity in any zone",
        r"AsgInstanceLaunchFailures[\s\S]*set another openwhisk_core_instance_type",
        begin=_faults(
            {"fault": "no-capacity", "zone": "us-east-1a"},
            {"fault": "no-capacity", "zone": "us-east-1b"},
        ),
        phase="configure",
    ),
    Case(
        "clock is a day wrong",
        "clock",
        begin=_check_dates,
        variables={CLOCK: "86400"},
        phase="configure",
    ),
    Case(
        "names are not resolved",
        "resolve",
        variables={"AWS_ENDPOINT_URL": "http://aws.invalid"},
        phase="configure",
    ),
    Case("home is read-only", "/proc", variables={"HOME": "/proc/self"}, phase="configure"),
    Case("no home", variables={"HOME": ""}, phase="register"),
    *(case for phase in MIDDLE if phase != "create" for case in _later(phase)),
)


def attempt(world: World, case: Case, expected: Undisturbed) -> str:
    """Run a command in a copy of a hostile world; return '' or what is wrong."""
    try:
        return world.fork(lambda: _attempt(world, case, expected))
    except Failed as failure:
        return str(failure)


def _attempt(world: World, case: Case, expected: Undisturbed) -> str:
    phase, settings = story.PHASES[case.phase], world.cloud.settings.model_copy(deep=True)
    handle = world.cloud.handle
    case.begin(world)
    code = _disturbed(world, case)
    output, locks = world.output, phase is story.DESTROY
    if why := _not_injected(world):
        raise Failed(f"{why}\n{output}")
    world.cloud.handle = handle  # type: ignore[method-assign]
    world.cloud.faults.clear()
    world.cloud.clock.speed = 0.0
    for name in type(settings).model_fields:
        setattr(world.cloud.settings, name, getattr(settings, name))
    if why := _unclear(case, code, output):
        return f"{why}\n{output}"
    ended = story.take(world, locks=locks)
    if code == 0 and (text := snapshot.differences(expected.after, ended)):
        return f"ended well, but not the same\n{text}\n{output}"
    if again := story.act(world, phase):
        return f"run again: exit code {again}\n{world.output}\nthe disturbed run:\n{output}"
    text = snapshot.differences(expected.after, story.take(world, locks=locks))
    return f"run again: not the same\n{text}\n{output}" if text else ""


def _disturbed(world: World, case: Case) -> int:
    phase, reached = story.PHASES[case.phase], not case.at

    def before_write(name: str) -> None:
        nonlocal reached
        if case.at and not reached and name == MIDDLE[case.phase]:
            reached = True
            case.at(world)

    (world.folder / "clock").write_text("0")
    variables = {
        name: value.replace("@", f"{world.folder}/") for name, value in case.variables.items()
    }
    world.tap.arm()
    world.tap.before_write = before_write
    try:
        code = world.run(phase.script, *phase.words, **variables)
    finally:
        world.tap.gate, world.tap.before_write = lambda: None, lambda _: None
        (world.folder / "clock").unlink()
        world.settle()
    if not reached:
        raise Failed(f"the run made no {MIDDLE[case.phase]}: nothing happened in its middle")
    return code


def _not_injected(world: World) -> str:
    """Return which fault has met no call; '' where each has."""
    faults = world.cloud.faults
    idle = [
        rule
        for rule in faults.rules
        if isinstance(rule, CallMatcher) and not faults._injected.get(id(rule))
    ]
    return f"nothing was disturbed by {idle}" if idle else ""


def _unclear(case: Case, code: int, output: str) -> str:
    """Return what is missing in the output of a run that did not end well."""
    if "Traceback" in output:
        return f"exit code {code} with a traceback"
    if code == 0 and (case.may_end_well or not case.says):
        return ""
    if not case.says:
        return f"exit code {code}: it must end well"
    leftovers = (3,) if case.phase == "destroy" else ()
    if code not in (0, 1, 2, 129, 130, *leftovers):
        return f"exit code {code} is none of ours"
    if not re.search(case.says, output):
        return f"exit code {code}, and nothing says {case.says}"
    return ""


def run_cases(world: World, cases: Sequence[Case] = CASES) -> Iterator[tuple[Case, str]]:
    """Tell the story, and at each of its commands try the cases of it."""
    left = list(cases)
    for phase in story.STORY:
        mine = [case for case in left if case.phase == phase.name]
        if mine:
            expected = story.undisturbed(world, phase)
            for case in mine:
                yield case, attempt(world, case, expected)
        left = [case for case in left if case.phase != phase.name]
        if not left:
            return
        story.advance(world, phase)

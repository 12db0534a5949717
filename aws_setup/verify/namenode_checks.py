"""Checks of the NameNode actions: alike, answering, and how long they took to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from aws_setup.engine.wait import Clock, Pending, wait_until
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.namenodes.action import Body, CurrentAction, DesiredAction, differences, parse
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import HttpConnection, HttpResponse, TransientError
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.verify import cold_seconds, fill_in, for_each, most_common
from aws_setup.verify.chain import WHISK, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.client_checks import HTTP_SECONDS, connection, signed_endpoint

INVOCATIONS = 8
"""NameNodes that are invoked at the same time."""

TRIES = 3
"""Requests to one NameNode: while its container starts, OpenWhisk answers after 60 seconds."""

INVOKE_SECONDS = 90.0
"""Seconds for one answer; OpenWhisk answers after 60 at the latest."""

RECORD_SECONDS = 10.0
"""Seconds within which OpenWhisk has stored the record of an activation."""

LOGS = "read the NameNode's log: `wsk activation list`, then `wsk activation logs ID`"

ACTIVATION = "x-openwhisk-activation-id"
"""Header of the answer of a web action.
https://github.com/apache/openwhisk/blob/master/docs/webactions.md"""


@dataclass(frozen=True)
class Answer:
    """What a NameNode answered: why it failed, '' if not; seconds; the id of its activation."""

    failure: str
    seconds: float
    activation: str = ""


def check_alike(chain: Chain) -> str:
    """All NameNode actions have the same jar, memory and concurrency, and are web actions."""
    if not chain.actions:
        raise NotApplicable("the actions were not listed")
    return judge_actions([parse(item) for item in chain.actions])


def judge_actions(actions: Sequence[CurrentAction]) -> str:
    """Return what the NameNodes have in common.

    Raises:
        Broken: one differs from most; it names the first difference.
    """
    kind = most_common(action.kind for action in actions) or ""
    main = most_common(action.main for action in actions) or ""
    desired = fill_in(DesiredAction(kind, main, None, None), actions)
    # Actions that another program has created name no jar.
    desired = replace(desired, sha256=desired.sha256 or None)
    wrong = [
        f"{action.name}: {drift.what} is {drift.has}, not {drift.wants}"
        for action in actions
        for drift in differences(action, desired)[:1]
    ]
    if wrong:
        others = f" ({len(wrong)} of {len(actions)} NameNodes)" if len(wrong) > 1 else ""
        fix = WHISK.replace("--sync", "--update").replace("NUMBER", str(len(actions)))
        raise Broken(wrong[0] + others, fix)
    limits = f"{desired.memory} MB, {count_of(desired.concurrency or 1, 'request')} at a time"
    return f"{len(actions)} alike: {desired.kind}, {limits}"


def check_invocations(chain: Chain) -> str:
    """Each NameNode answers when it is invoked as the client does, by its web action."""
    endpoint, number = chain.settings.endpoint, chain.settings.deployments
    names = Selection(endpoint.prefix, 0, number).names
    path = f"/api/v1/web/{endpoint.namespace}/default"
    access = Endpoint(endpoint.url, ":", insecure=True)
    with connection(chain, access, width=INVOCATIONS, read_seconds=INVOKE_SECONDS) as http:
        answers = for_each(
            names,
            lambda name: _invoke(http, f"{path}/{name}", clock=chain.clock),
            clock=chain.clock,
            jobs=INVOCATIONS,
        )
    failed = {name: answer.failure for name, answer in answers.items() if answer.failure}
    if failed:
        first = min(failed, key=names.index)
        others = f" ({len(failed)} of {number} fail)" if len(failed) > 1 else ""
        is_missing = failed[first].endswith("(HTTP 404)")
        fix = WHISK.replace("NUMBER", str(number)) if is_missing else LOGS
        raise Broken(f"{first}: {failed[first]}{others}", fix)
    slowest = max(answer.seconds for answer in answers.values())
    return f"{number} of {number} answer, in at most {slowest:.1f} s; {_starts(chain, answers)}"


def _invoke(http: HttpConnection, path: str, *, clock: Clock) -> Answer:
    """Invoke a NameNode, again while it starts."""
    failure, began = "", clock.now()
    for _ in range(TRIES):
        try:
            body = Body(b"{}", memoryview(b""), b"")
            response = http.send("POST", path, body=body, signed=False)
        except TransientError as error:
            failure = str(error)
            continue
        failure = _failure(response)
        if response.status not in (202, 429, 502, 503, 504):
            headers = {key.lower(): value for key, value in response.headers.items()}
            return Answer(failure, clock.now() - began, headers.get(ACTIVATION, ""))
    return Answer(failure, clock.now() - began)


def _failure(response: HttpResponse) -> str:
    if response.status == 202:
        return "no answer within 60 seconds"
    reported = isinstance(response.document, dict) and response.document.get("error")
    return response.reason if response.status >= 300 or reported else ""


def _starts(chain: Chain, answers: Mapping[str, Answer]) -> str:
    """Return how many NameNodes had to start, and how long that took, as OpenWhisk recorded it."""
    try:
        with connection(chain, signed_endpoint(chain), width=INVOCATIONS) as http:
            client = Client(http, chain.clock, HTTP_SECONDS)
            found = for_each(
                [answer.activation for answer in answers.values() if answer.activation],
                lambda id: _cold_seconds(client, id),
                clock=chain.clock,
                jobs=INVOCATIONS,
            )
    except (NotApplicable, SetupError) as reason:
        return f"cold starts not known: {reason}"
    return start_text(list(found.values()), number=len(answers))


def start_text(seconds: Sequence[float | None], *, number: int) -> str:
    """Return the cold starts of some NameNodes in words.

    Args:
        seconds: of each whose record is known: of its cold start, None for a warm one.
        number: how many were invoked.
    """
    if len(seconds) < number:
        return (
            "cold starts not known: "
            f"{count_of(number - len(seconds), 'answer names', 'answers name')} no activation"
        )
    cold = [item for item in seconds if item is not None]
    if not cold:
        return "all were warm"
    if len(cold) == 1:
        return f"1 cold start of {cold[0]:.1f} s"
    return f"{len(cold)} cold starts of {median(cold):.1f} s (median), at most {max(cold):.1f} s"


def _cold_seconds(client: Client, activation: str) -> float | None:
    """Return the seconds of a cold start, None if the container was warm."""
    record = wait_until(
        f"OpenWhisk records activation {activation}",
        lambda: client.activation(activation) or Pending("no record yet"),
        clock=client.clock,
        deadline=RECORD_SECONDS,
        pause=0.5,
    )
    return cold_seconds(record)

"""Checks of the NameNode actions: alike, answering, and how long they took to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS
from aws_setup.engine.decoding import decoding
from aws_setup.engine.wait import Clock
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.namenodes.action import (
    NOT_OPENWHISK,
    CurrentAction,
    DesiredAction,
    differences,
    most_common,
    parse,
)
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import HttpConnection, HttpResponse, TransientError
from aws_setup.namenodes.ping import exception_of, ping_body
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.verify import (
    activation_record,
    cold_seconds,
    fill_in,
    for_each,
    logged_error,
)
from aws_setup.openwhisk.action_pods import fix_of, last_failure, waiting_pod
from aws_setup.verify.chain import WHISK, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.client_checks import HTTP_SECONDS, connection, signed_endpoint

INVOCATIONS = 8
"""NameNodes that are invoked at the same time."""

TRIES = 3
"""Requests to one NameNode: while its container starts, OpenWhisk answers after 60 seconds."""

INVOKE_SECONDS = 90.0
"""Seconds for one answer; OpenWhisk answers after 60 at the latest."""

INTERNAL = "whisk internal error"
"""OpenWhisk's own failure, as to provide a container: no log of the action says more.
https://github.com/apache/openwhisk/blob/master/docs/actions.md
"""

LOGS = "read the NameNode's log: `wsk activation list`, then `wsk activation logs ID`"
LOG = "read the NameNode's log: `wsk activation logs {}`"

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
    """All NameNode actions have the same jar and limits, and are web actions."""
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
    """Each NameNode answers the ping of λFS's clients, by its web action as they call it."""
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
    failed = {name: answer for name, answer in answers.items() if answer.failure}
    if failed:
        first = min(failed, key=names.index)
        others = f" ({len(failed)} of {number} fail)" if len(failed) > 1 else ""
        cause, fix = _reason(chain, first, failed[first])
        raise Broken(f"{first}: {cause}{others}", fix)
    slowest = max(answer.seconds for answer in answers.values())
    return f"{number} of {number} answer, in at most {slowest:.1f} s; {_starts(chain, answers)}"


def _reason(chain: Chain, name: str, answer: Answer) -> tuple[str, str]:
    """Return why a NameNode has failed, and the fix.

    The answer of an action that has failed has no cause, so that of its pod, or of the activation's
    log, is taken where they are known: an action that gets no container has no log.
    """
    if answer.failure.endswith("(HTTP 404)"):
        return answer.failure, WHISK.replace("NUMBER", str(chain.settings.deployments))
    if waiting := _of_pods(chain, name, waiting_pod):
        return waiting
    logged = _logged(chain, answer) if answer.activation else ""
    provided = logged and not logged.startswith(INTERNAL)
    if not provided and (failed := _of_pods(chain, name, last_failure)):
        return failed
    return logged or answer.failure, LOG.format(answer.activation) if answer.activation else LOGS


def _of_pods(chain: Chain, name: str, ask: Callable[[Context, str], str]) -> tuple[str, str] | None:
    """Return the cause and the fix that the pods of the actions tell; None where they tell none."""
    try:
        cause = ask(chain.ctx, name)
    except (SetupError, *AWS_ERRORS):
        return None
    return (f"it gets no container: {cause}", fix_of(chain.ctx, cause)) if cause else None


def _logged(chain: Chain, answer: Answer) -> str:
    """Return the error in the log of an activation, '' where there is none or it is not known."""
    logged = ""
    try:
        with connection(chain, signed_endpoint(chain)) as http:
            logged = logged_error(Client(http, chain.clock, HTTP_SECONDS), answer.activation)
    except (NotApplicable, SetupError):
        pass  # the answer says less, and is still the cause
    return logged


def _invoke(http: HttpConnection, path: str, *, clock: Clock) -> Answer:
    """Ping a NameNode, again while it starts."""
    failure, began = "", clock.now()
    for _ in range(TRIES):
        try:
            response = http.send("POST", path, body=ping_body(), signed=False)
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
    if response.status >= 300 or reported:
        return response.reason
    return exception_of(response.document)


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
    with decoding(f"OpenWhisk's record of {activation} cannot be used", NOT_OPENWHISK):
        return cold_seconds(activation_record(client, activation))

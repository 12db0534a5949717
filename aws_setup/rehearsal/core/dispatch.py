"""The cloud: passes one call at a time through the rules and moto, and logs it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from moto.core.exceptions import ServiceException

from aws_setup.rehearsal.core import internal_errors, moto, permissions, protocol
from aws_setup.rehearsal.core.accounts import acting_in, current_account
from aws_setup.rehearsal.core.clock import CloudClock
from aws_setup.rehearsal.core.consistency import ConsistencyDelays
from aws_setup.rehearsal.core.faults import ConnectionDropped, FaultRules
from aws_setup.rehearsal.core.idempotency import ClientTokens
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.random_faults import RandomFaults
from aws_setup.rehearsal.core.registry import RuleTables, collect_rules
from aws_setup.rehearsal.core.settings import ACCOUNT, LATENCIES, Settings
from aws_setup.rehearsal.core.types import AwsError, Call, Resource

log = logging.getLogger(__name__)
T = TypeVar("T")


class Cloud:
    """An emulated AWS, of one account or more; every request is handled under one lock."""

    def __init__(
        self, settings: Settings | None = None, *, clock: CloudClock | None = None
    ) -> None:
        """Start an empty cloud; it replaces an earlier one, as moto has one state per process."""
        self.settings = settings or Settings()
        self.clock = clock or CloudClock(self.settings.speed)
        self.latencies = LATENCIES | self.settings.latencies
        self.calls = CallLog()
        seed = self.settings.chaos
        self.random_faults = (
            None if seed is None else RandomFaults(seed, self.clock.now, timed=self.clock.speed > 0)
        )
        self.faults = FaultRules(self.settings.seed, self.random_faults)
        self.lock = threading.RLock()
        self._tables: RuleTables = collect_rules()
        self._tokens = ClientTokens()
        self._delays = ConsistencyDelays()
        self._stores: dict[tuple[str, type[Any]], Any] = {}
        moto.reset()
        self._started: set[str] = set()
        self._start_account()

    def _start_account(self) -> None:
        """Give the current account what each one has, before its first call."""
        if current_account() not in self._started:
            self._started.add(current_account())
            for start in self._tables.start:
                start(self)

    @property
    def admin_routes(self) -> dict[tuple[str, str], Any]:
        """Method and path below /_rehearsal -> the handler of a service module."""
        return self._tables.admin_routes

    def backend(self, service: str, region: str = "us-east-1") -> Any:
        """Return moto's backend of a service in a region."""
        return moto.backend(service, region, partition=self.settings.partition)

    def store_of(self, kind: type[T]) -> T:
        """Return the account's one object of a class in which a module keeps its state."""
        key = current_account(), kind
        if key not in self._stores:
            self._stores[key] = kind()
        found: T = self._stores[key]
        return found

    def schedule(self, latency: str, transition: Any) -> None:
        """Apply `transition` after the delay of that name in the table of latencies."""
        seconds = self.latencies[latency]
        if self.random_faults:
            seconds = self.random_faults.delay(latency, seconds)
        self.clock.after(seconds, transition)

    def ask(self, call: Call, /, **params: Any) -> dict[str, Any]:
        """Return moto's answer to a call, with some parameters replaced (None: removed).

        Raises:
            AwsError: moto rejected the call.
        """
        merged = call.params | params
        moto_call = replace(call, params={k: v for k, v in merged.items() if v is not None})
        request = protocol.encode_request(moto_call, _authorization(moto_call))
        return protocol.decode_answer(moto_call, moto.ask_moto(moto_call, request))

    def ask_action(self, call: Call, action: str, /, **params: Any) -> dict[str, Any]:
        """Return moto's answer to another action of the call's service, in the same region."""
        return self.ask(replace(call, action=action, params={}), **params)

    def call(
        self, service: str, action: str, /, *, region: str = "us-east-1", **params: Any
    ) -> Any:
        """Make a call from inside the cloud, all rules applied, as a service does for another.

        Raises:
            AwsError: the call was rejected.
        """
        internal_call = Call(service, action, params, region, current_account(), client="rehearsal")
        with self.lock:
            for before in self._tables.before.get(internal_call.key, ()):
                before(self, internal_call)
            answer = self._tables.answers.get(internal_call.key)
            result = answer(self, internal_call) if answer else self.ask(internal_call)
            for after in self._tables.after.get(internal_call.key, ()):
                after(self, internal_call, result)
        return result

    def snapshot(self) -> list[Resource]:
        """Return every resource that exists, in every service and region."""
        with self.lock:
            self.clock.apply_due()
            return [
                resource
                for list_resources in self._tables.list_resources
                for resource in list_resources(self)
            ]

    def handle(self, request: HttpRequest) -> HttpAnswer:
        """Answer one request.

        Raises:
            ConnectionDropped: a fault replaces the answer.
        """
        request_id = str(uuid.uuid4())
        try:
            call = request.call
        except AwsError as error:
            unknown = Call("sts", "GetCallerIdentity", {}, "", ACCOUNT)
            return protocol.encode_error(unknown, error, request_id)
        call = replace(call, account=self.settings.accounts.get(call.access_key, ACCOUNT))
        with self.lock, acting_in(call.account):
            self._start_account()
            return self._answer_and_log(call, request, request_id)

    def _answer_and_log(self, call: Call, request: HttpRequest, request_id: str) -> HttpAnswer:
        at, status, code = self.clock.now(), 0, ""
        try:
            answer = self._answer(call, request, request_id)
            status = answer.status
            answer = self.faults.distort(call, answer)
            if self.faults.loses_answer(call):
                status = 0
                raise ConnectionDropped
        except (AwsError, ServiceException) as error:
            refusal = error if isinstance(error, AwsError) else AwsError(error.code, error.message)
            answer = protocol.encode_error(call, refusal, request_id)
            status, code = answer.status, refusal.code
        except ConnectionDropped:
            raise
        except Exception as error:
            log.exception("%s.%s", call.service, call.action)
            internal_errors.record(f"the answer to {call.service}.{call.action}", error)
            status, code = 500, "InternalFailure"
            fault = AwsError(code, f"internal error of the rehearsal cloud: {error!r}", status=500)
            answer = protocol.encode_error(call, fault, request_id)
        finally:
            self.calls.record(call, at=at, status=status, code=code)
        return answer

    def _answer(self, call: Call, request: HttpRequest, request_id: str) -> HttpAnswer:
        self.clock.apply_due()
        self.faults.before(call)
        permissions.check_permission(self.settings, call)
        for check in self._tables.check_call:
            check(self, call)
        earlier = self._tokens.earlier_answer(call)
        if earlier is not None:
            return earlier
        self._delays.check(call, self.clock.now())
        for before in self._tables.before.get(call.key, ()):
            before(self, call)
        if call.service == "ec2" and call.params.get("DryRun"):
            message = "Request would have succeeded, but DryRun flag is set."
            raise AwsError("DryRunOperation", message, status=412)
        answer = self._execute(call, request, request_id)
        self._tokens.remember(call, answer)
        return answer

    def _execute(self, call: Call, request: HttpRequest, request_id: str) -> HttpAnswer:
        """Execute a call by a rule or by moto; raises AwsError when either rejects it."""
        afters = self._tables.after.get(call.key, ())
        if rule := self._tables.answers.get(call.key):
            result = rule(self, call)
        else:
            raw = moto.ask_moto(call, request, request_id)
            if raw.status < 300 and not afters and not self._needs_parsed_answer(call):
                return raw
            result = protocol.decode_answer(call, raw)
        for after in afters:
            after(self, call, result)
        if call.reads:
            self._delays.strip(call, result, self.clock.now())
        elif seconds := self.faults.stale_seconds(call):
            self._delays.hide(call, result, until=self.clock.now() + seconds)
        return protocol.encode_answer(call, result, request_id)

    def _needs_parsed_answer(self, call: Call) -> bool:
        """Return whether the parsed answer is needed: a stale read is active."""
        if call.reads:
            return self._delays.any_hidden(self.clock.now())
        return self.faults.may_be_stale()


def _authorization(call: Call) -> str:
    scope = f"{call.access_key or 'AKIAREHEARSAL0000000'}/20260101/{call.region}/{call.service}"
    return f"AWS4-HMAC-SHA256 Credential={scope}/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True)
class CallLogEntry:
    """One call of the log."""

    number: int
    at: float
    """The cloud's seconds when it arrived."""
    service: str
    action: str
    reads: bool
    status: int
    """The HTTP status; 0 when the connection was dropped instead of an answer."""
    code: str
    """AWS's error code; empty after success."""
    client: str
    region: str
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """Service and action, as in "ec2.CreateVpc"."""
        return f"{self.service}.{self.action}"


class CallLog(list[CallLogEntry]):
    """The calls in the order in which they were answered."""

    def record(self, call: Call, *, at: float, status: int, code: str) -> None:
        """Add one call."""
        self.append(
            CallLogEntry(
                number=len(self) + 1,
                at=round(at, 3),
                service=call.service,
                action=call.action,
                reads=call.reads,
                status=status,
                code=code,
                client=call.client,
                region=call.region,
                params=call.params,
            )
        )

    def writes(self) -> list[CallLogEntry]:
        """Return the calls that are not read-only."""
        return [call for call in self if not call.reads]

    def named(self, action: str) -> list[CallLogEntry]:
        """Return the calls of one action."""
        return [call for call in self if call.action == action]

    def count(self, value: Any = None) -> Any:
        """Return how often each "service.Action" was called (or, as a list does, `value`)."""
        return Counter(call.name for call in self) if value is None else super().count(value)

"""The parameters in which a deployment's run lock is kept, and what they say.

Each run that writes has a generation of its own, a parameter of AWS's Parameter Store whose name
ends with the next number: of two runs only one can create it, because a create without Overwrite
fails where the name exists. The highest generation counts; it stays when its run has ended, marked
as free, so that the next number also says whether another run has come between.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
Parameters of the standard tier and their calls cost nothing:
https://aws.amazon.com/systems-manager/pricing/
"""

from __future__ import annotations

import getpass
import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from aws_setup.aws.session import Aws, error_code
from aws_setup.aws.tags import as_list, tags
from aws_setup.config import Config
from aws_setup.engine.decoding import Undecodable, json_object
from aws_setup.engine.processes import ProcessId, is_running, this_process
from aws_setup.engine.safe_text import json_text, shorten

STEP = "run lock"
"""The step tag of the parameters."""

EXPIRES = 180.0
"""Seconds after its last renewal, by AWS's clock, after which a lock may be taken over."""

LONGEST = 3600.0
"""Seconds that a lock may claim for itself; a longer time is read as this one."""

RUN_ID_BYTES = 8

EXISTS = frozenset({"ParameterAlreadyExists", "TooManyUpdates"})
"""Error codes of a create that another run has won, or is about to."""

ACTIVE: set[str] = set()
"""The runs of this process that hold a lock."""


class Standing(StrEnum):
    """What is known of the run that a generation belongs to."""

    FREE = "free"
    RUNNING = "running"
    ENDED = "ended"
    EXPIRED = "expired"


@dataclass(frozen=True)
class LockHolder:
    """Who has a lock: texts for people, already harmless, and what identifies run and process.

    `first_run` is the run that found no lock: each later one passes it on, until a destroy deletes
    the lock. '' where a run of an earlier version began.
    """

    run: str
    owner: str
    verb: str
    since: str
    process: ProcessId
    held: bool = True
    expires: float = EXPIRES
    first_run: str = ""

    def text(self) -> str:
        """Return the holder as the value of a parameter; flat, because `{{` is not allowed."""
        return json_text(
            {
                "state": "held" if self.held else "free",
                "owner": self.owner,
                "verb": self.verb,
                "since": self.since,
                "run": self.run,
                "first_run": self.first_run,
                "expires_seconds": self.expires,
                "computer": self.process.computer,
                "pid": self.process.pid,
                "process_started": self.process.started,
            }
        )


@dataclass(frozen=True)
class Generation:
    """One parameter: its number, its version, its age since the last renewal, and its holder."""

    number: int
    version: int
    age: float
    holder: LockHolder

    @property
    def standing(self) -> Standing:
        """What is known of the run, by its process where it ran here, else by AWS's clock."""
        holder = self.holder
        if not holder.held:
            return Standing.FREE
        if holder.process == this_process():
            return Standing.RUNNING if holder.run in ACTIVE else Standing.ENDED
        running = is_running(holder.process)
        if running is None:
            return Standing.EXPIRED if self.age > holder.expires else Standing.RUNNING
        return Standing.RUNNING if running else Standing.ENDED

    @property
    def expires_in(self) -> float:
        """Seconds after which another computer may take it over unless it is renewed; 0 at least.

        On the holder's own computer its process decides, whatever the time.
        """
        return max(0.0, self.holder.expires - self.age)

    def document(self) -> dict[str, Any]:
        """Return what `status --json` says of it."""
        holder = self.holder
        user, _, host = holder.owner.rpartition("@")
        return {
            "owner": holder.owner,
            "host": host if user else "",
            "verb": holder.verb,
            "since": holder.since,
            "run": holder.run,
            "state": self.standing.value,
            "renewed_seconds_ago": round(self.age),
            "expires_in_seconds": round(self.expires_in),
        }


@dataclass(frozen=True)
class LockState:
    """The generations that exist, the highest last."""

    generations: tuple[Generation, ...] = field(default=())

    @property
    def current(self) -> Generation | None:
        """The highest generation, the one that counts."""
        return self.generations[-1] if self.generations else None

    @property
    def numbers(self) -> list[int]:
        """The numbers of all generations."""
        return [generation.number for generation in self.generations]


def path_of(config: Config) -> str:
    """Return the path of the deployment's parameters."""
    return f"/lambda-fs/{config.deployment_name}/lock"


def new_holder(aws: Aws, verb: str) -> LockHolder:
    """Return this run as a holder; `since` is AWS's time, whatever this computer's clock says."""
    now = datetime.now(UTC) - timedelta(seconds=aws.clock_skew or 0.0)
    return LockHolder(
        run=secrets.token_hex(RUN_ID_BYTES),
        owner=_harmless(f"{_user()}@{socket.gethostname()}"),
        verb=_harmless(verb),
        since=now.strftime("%Y-%m-%d %H:%M UTC"),
        process=this_process(),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def _harmless(value: object) -> str:
    """Return a text of at most 64 characters without invisible ones and account ids."""
    return re.sub(r"\d{12,}", "…", shorten(str(value), 64))


class LockStore:
    """The parameters of one deployment."""

    def __init__(self, aws: Aws, config: Config) -> None:
        self.aws, self._config = aws, config
        self.path = path_of(config)

    def name(self, number: int) -> str:
        """Return the name of a generation."""
        return f"{self.path}/{number}"

    def read(self) -> LockState:
        """Return the generations that exist; other parameters below the path are left out.

        Raises:
            botocore.exceptions.ClientError: AWS refused the call.
        """
        found: dict[int, Generation] = {}
        for page in self.aws.ssm.get_paginator("get_parameters_by_path").paginate(Path=self.path):
            for generation in _generations(page, self.path):
                found[generation.number] = generation
        return LockState(tuple(found[number] for number in sorted(found)))

    def create(self, number: int, holder: LockHolder) -> bool:
        """Create a generation; False where it exists.

        Raises:
            botocore.exceptions.ClientError: AWS refused the call for another reason.
        """
        try:
            self.aws.ssm.put_parameter(
                Name=self.name(number),
                Value=holder.text(),
                Type="String",
                Description="The lock of a run of the lambda-fs scripts",
                Overwrite=False,
                Tags=as_list(tags(self._config, STEP)),
            )
        except self.aws.ssm.exceptions.ClientError as error:
            if error_code(error) in EXISTS:
                return False
            raise
        return True

    def write(self, number: int, holder: LockHolder, *, once: bool = False) -> int:
        """Write a generation that exists, and return its new version: 1 where it was deleted.

        With `once` the request is not repeated.
        """
        client = self.aws.ssm_once if once else self.aws.ssm
        answer = client.put_parameter(
            Name=self.name(number), Value=holder.text(), Type="String", Overwrite=True
        )
        return int(answer["Version"])

    def delete(self, numbers: Sequence[int]) -> set[int]:
        """Delete generations and return the numbers of those that existed."""
        deleted: set[int] = set()
        for start in range(0, len(numbers), 10):  # a call takes ten names
            names = {self.name(number): number for number in numbers[start : start + 10]}
            answer = self.aws.ssm.delete_parameters(Names=list(names))
            deleted |= {names[name] for name in answer["DeletedParameters"] if name in names}
        return deleted


def _generations(page: Mapping[str, Any], path: str) -> Iterator[Generation]:
    """Yield the generations of an answer; ages are measured on the clock that the answer has."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        now = parsedate_to_datetime(str(date))
    except ValueError:
        now = datetime.now(UTC)
    for item in page["Parameters"]:
        number = str(item["Name"]).removeprefix(f"{path}/")
        if re.fullmatch(r"[1-9][0-9]{0,8}", number):
            age = max(0.0, (now - item["LastModifiedDate"]).total_seconds())
            yield Generation(int(number), int(item["Version"]), age, _holder(item["Value"]))


def _run_id(value: object) -> str:
    """Return what identifies a run, compared and never shown; '' where it is no such id.

    It may look like an account id: of the ids one in a hundred has twelve digits in a row.
    """
    text = str(value)
    return text if re.fullmatch(rf"[0-9a-f]{{{2 * RUN_ID_BYTES}}}", text) else ""


def _holder(value: str) -> LockHolder:
    """Return what a parameter says; one that cannot be read is held by an unknown run."""
    try:
        document = json_object(value)
    except Undecodable:
        document = {}
    pid, expires = document.get("pid"), document.get("expires_seconds")
    return LockHolder(
        run=_run_id(document.get("run")),
        owner=_harmless(document.get("owner") or "an unknown user"),
        verb=_harmless(document.get("verb") or "an unknown command"),
        since=_harmless(document.get("since") or "an unknown time"),
        process=ProcessId(
            str(document.get("computer", "")),
            pid if isinstance(pid, int) else 0,
            str(document.get("process_started", "")),
        ),
        held=document.get("state") != "free",
        expires=min(LONGEST, max(0.0, expires)) if isinstance(expires, int | float) else EXPIRES,
        first_run=_run_id(document.get("first_run")),
    )

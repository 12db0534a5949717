"""Takes one action out of the published policy, and checks what a run says about it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aws_setup.config import Config
from aws_setup.config.loader import load_config
from aws_setup.preflight.iam_policy import IMPLIED, actions_for
from aws_setup.preflight.policy_document import policy
from aws_setup.rehearsal.core.permissions import ALWAYS_ALLOWED, iam_action
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission, Settings
from aws_setup.rehearsal.core.types import Call
from aws_setup.tables.infrastructure import infrastructure_steps
from tests.support.preflight import Operator, one_line
from tests.trust.canaries import VARIABLES, Search
from tests.trust.cliffs import READ
from tests.trust.snapshot import differences
from tests.trust.story import CREATE, PHASES, Phase, Undisturbed, act, advance, take, undisturbed
from tests.trust.world import Failed, World

CONFIG = Config(ssh_keypair_name="k", ssh_key_path="k")
SIMULATE = "iam:SimulatePrincipalPolicy"
SIMULATED = actions_for([step.name for step in infrastructure_steps(CONFIG)])
"""What the simulator is asked about: one of them missing is known before the first write."""

STORY = ("create", "configure", "register", "update", "extend", "pause", "resume")
"""The commands that are run one after the other; destroy follows create without machines."""

DEADLINE_ROLE = Phase("role", CREATE, ("create", "--only", "deadline role", "--yes"))


class Watched(Operator):
    """An operator with a canary in each secret, which is searched for after each run."""

    def __init__(self, cloud: RehearsalCloud, folder: Path, temporary: Path) -> None:
        """Search in what is sent to the cloud, too."""
        super().__init__(cloud, folder)
        self.search = Search(folder, temporary)
        in_aws = cloud.handle

        def handle(request: HttpRequest) -> HttpAnswer:
            self.search.see("a request to AWS", request.body)
            return in_aws(request)

        cloud.handle = handle  # type: ignore[method-assign]

    def run(self, *arguments: str, **keys: Any) -> dict[str, Any]:
        """Run the script; a secret where none may be is an AssertionError."""
        ended = super().run(*arguments, **keys)
        self.search.see("the output", self.output.encode())
        if leaks := self.search.leaks():
            raise AssertionError("\n".join(leaks))
        return ended


@contextmanager
def operator() -> Iterator[Watched]:
    """Yield an operator who has exactly the published policy, with a cloud of his own."""
    with (
        serve(Settings(speed=0)) as cloud,
        tempfile.TemporaryDirectory(prefix="permissions-") as folder,
        tempfile.TemporaryDirectory(prefix="permissions-") as temporary,
    ):
        mine = {
            **VARIABLES,
            "TMPDIR": temporary,
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_SETUP_PACE": "0",
            "AWS_SETUP_CHECKIP": "http://127.0.0.1:9/",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        held = {name: os.environ.get(name) for name in mine}
        os.environ.update(mine)
        try:
            tempfile.tempdir = None
            found = Watched(cloud, Path(folder), Path(temporary))
            cloud.settings.policies = [policy(CONFIG, account=ACCOUNT, region="us-east-1")]
            yield found
        finally:
            tempfile.tempdir = None
            for name, value in held.items():
                os.environ.pop(name, None)
                os.environ.update({name: value} if value is not None else {})


def called() -> list[str]:
    """Return the actions that create and destroy call, and that can be denied.

    They are sorted: each process takes its share of the list, and calls come in another order each
    time.
    """
    with operator() as user:
        before = len(user.cloud.calls)
        for verb in ("create", "destroy"):
            ended = user.run(verb, "--yes")
            assert ended["exit_code"] == 0, ended
        calls = [call for call in user.cloud.calls[before:] if call.client != "rehearsal"]
        keys = {(call.service, call.action) for call in calls} - ALWAYS_ALLOWED
        return sorted({iam_action(Call(*key, {}, "", "")) for key in keys})


def simulated_failure(action: str) -> str:
    """Return what is wrong with a create that lacks an action which the simulator knows."""
    with operator() as user:
        user.cloud.settings.deny = [DeniedPermission(action=action)]
        ended = user.run("create", "--yes")
        writes = len(user.cloud.calls.writes()) - user.writes_before
        if ended["exit_code"] != 2 or writes:
            return f"exit code {ended['exit_code']} after {writes} writes"
        return _unnamed(action, ended)


def real_failure(action: str) -> str:
    """Return what is wrong with create and destroy that lack an action, without a simulator.

    Each runs without the action, and again with it.
    """
    denied = False
    with operator() as user:
        for verb in ("create", "destroy"):
            before = len(user.cloud.calls)
            user.cloud.settings.deny = [DeniedPermission(action=it) for it in (action, SIMULATE)]
            ended = user.run(verb, "--yes")
            if ended["exit_code"] == 2 and len(user.cloud.calls.writes()) > user.writes_before:
                return f"{verb}: refused after a write"
            if ended["exit_code"] and (why := _unnamed(action, ended)):
                return f"{verb}: {why}"
            denied = denied or _was_denied(user.cloud, action, since=before)
            user.cloud.settings.deny = []
            ended = user.run(verb, "--yes")
            if ended["exit_code"]:
                return f"{verb} with the permission: {ended['problems']}"
    return "" if denied else "nothing was denied"


TAGS = "ec2:CreateTags"
"""EC2 checks it for calls that tag what they create, too, and for their DryRuns:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html"""


def _was_denied(cloud: RehearsalCloud, action: str, *, since: int = 0) -> bool:
    """Return whether a call of the action was refused, which a run may survive."""
    codes = ("Unauthorized", "AccessDenied")
    calls = list(cloud.calls)[since:]
    denied = [call for call in calls if any(code in call.code for code in codes)]
    names = {iam_action(Call(call.service, call.action, {}, "", "")) for call in denied}
    # What AWS checks for another call, too, such as to pass a role, is refused as that one.
    implied = action in IMPLIED or action == TAGS
    return action in names or (implied and bool(names - {SIMULATE}))


def in_story(
    world: World, share: Callable[[Sequence[str]], Sequence[str]], *, story: Sequence[str] = STORY
) -> Iterator[tuple[str, str, str]]:
    """Run commands with the published policy, and each also in copies that lack one action of it.

    Args:
        world: a world without resources.
        share: chooses from the actions that a command calls.
        story: the commands, the first of which is only run.

    Yields:
        The command, the action, and '' or what is wrong.
    """
    config = load_config(world.folder / "config_aws.yaml")
    # The policy leaves this role to an administrator (docs/permissions.md).
    advance(world, DEADLINE_ROLE)
    world.cloud.settings.policies = [policy(config, account=ACCOUNT, region="us-east-1")]
    first, *others = (PHASES[name] for name in story)
    advance(world, first)
    for phase in others:
        expected = undisturbed(world, phase)
        for action in share(_actions(expected)):
            yield phase.name, action, _story_failure(world, phase, action, expected)
        advance(world, phase)


def _actions(requests: Undisturbed) -> list[str]:
    """Return the actions that a run has called, without those that nobody can be denied."""
    names = (name.removeprefix(READ) for name in (*requests.writes, *requests.reads))
    calls = {name.removeprefix("aws ") for name in names if name.startswith("aws ")}
    keys = {(service, action) for service, _, action in (name.partition(".") for name in calls)}
    return sorted(iam_action(Call(*key, {}, "", "")) for key in keys - ALWAYS_ALLOWED)


def _story_failure(world: World, phase: Phase, action: str, expected: Undisturbed) -> str:
    """Return what is wrong when a command lacks an action, and then has it; no simulator helps."""
    settings = world.cloud.settings

    def attempt() -> str:
        before = len(world.cloud.calls)
        settings.deny = [DeniedPermission(action=name) for name in (action, SIMULATE)]
        if act(world, phase) and action not in (text := world.text("run")):
            return f"{action} is nowhere in:\n{text}"
        if not _was_denied(world.cloud, action, since=before):
            return "nothing was denied"
        settings.deny = []
        if code := act(world, phase):
            return f"with the permission: exit code {code}\n{world.output}"
        return differences(expected.after, take(world))

    try:
        return world.fork(attempt)
    except Failed as failure:
        return str(failure)


def _unnamed(action: str, ended: dict[str, Any]) -> str:
    """Return the lines of a run unless one of them names the action."""
    lines = [one_line(problem) for problem in ended["problems"]]
    return "" if any(action in line for line in lines) else f"{action} is in no line of {lines}"

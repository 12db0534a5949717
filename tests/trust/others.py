"""A world full of other people's resources, and their state byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aws_setup.rehearsal.aws.parameters import Parameters
from aws_setup.rehearsal.aws.scheduler import ScheduleStore
from aws_setup.rehearsal.core.accounts import acting_in
from aws_setup.rehearsal.environment import Environment
from tests.trust import story
from tests.trust.aws_state import GONE, all_allowed, described
from tests.trust.client import KEY, aws_client
from tests.trust.planted import PLANTS, plant_in_account, plant_in_other_account
from tests.trust.story import CONFIGURE, CREATE, WHISK, Phase
from tests.trust.world import World

STORY = [
    *story.STORY[:-1],
    Phase("sync", WHISK, ("--sync", "-n", "1", *story.ACTIONS[2:], "-j", "second.jar", "--yes")),
    Phase("delete", WHISK, ("--delete", "-n", "2", "--yes")),
    Phase("remove", CONFIGURE, ("destroy", "--yes")),
    story.DESTROY,
]
"""The commands of the story, and the others that delete something."""

IDS = (
    "AllocationId", "InstanceId", "VolumeId", "NetworkInterfaceId", "NatGatewayId", "RouteTableId",
    "GroupId", "SubnetId", "InternetGatewayId", "VpcId", "LaunchTemplateId", "KeyPairId",
    "AutoScalingGroupName", "RoleName", "ServerCertificateName", "LoadBalancerName", "Arn",
)  # fmt: skip
"""Members that identify a resource, the most special first."""

OTHER_ACCOUNT, OTHER_KEY = "210987654321", "AKIAOTHER00000000000"

NOTHING = "Nothing of lambda-fs exists in region "

State = Mapping[str, str]
"""Kind and id of each thing -> all that is known of it."""


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def state(environment: Environment) -> dict[str, str]:
    """Return everything that exists, byte for byte."""
    everything = [*_aws(environment), *_eks(environment), *_cluster(environment)]
    found = dict(everything)
    assert len(found) == len(everything), "two things have one id"
    return found


def _listed(environment: Environment, key: str = KEY) -> Iterator[tuple[str, str]]:
    """Yield what the list calls of an account show."""
    with all_allowed(environment.cloud):
        for name, item in described(environment.cloud, key):
            known = item.get("State")
            known = known.get("Name") if isinstance(known, dict) else known
            if known not in GONE:
                yield f"{name} {next(item[it] for it in IDS if it in item)}", _text(item)


def _aws(environment: Environment) -> Iterator[tuple[str, str]]:
    cloud = environment.cloud
    yield from _listed(environment)
    for role in cloud.backend("iam").roles.values():
        policies = [sorted(role.managed_policies), role.policies, role.assume_role_policy_document]
        yield f"policies of {role.name}", _text(policies)
    for (region, name), parameter in cloud.store_of(Parameters).items():
        yield f"parameter {region} {name}", _text(vars(parameter))
    for key, group in cloud.store_of(ScheduleStore).groups.items():
        schedules = {name: vars(held) for name, held in group.schedules.items()}
        yield f"schedules {key}", _text([group.tags, group.state, schedules])


def _eks(environment: Environment) -> Iterator[tuple[str, str]]:
    cloud, client = environment.cloud, aws_client(environment.cloud, "eks")
    with all_allowed(cloud):
        for name in client.list_clusters()["clusters"]:
            yield f"cluster {name}", _text(client.describe_cluster(name=name)["cluster"])
            for addon in client.list_addons(clusterName=name)["addons"]:
                found = client.describe_addon(clusterName=name, addonName=addon)["addon"]
                yield f"add-on {name} {addon}", _text(found)


def _cluster(environment: Environment) -> Iterator[tuple[str, str]]:
    for cluster, api in environment.hooks.apis.items():
        for key, item in list(api.state.objects.items()):
            yield f"object {cluster} {key}", _text(item)
    store = environment.openwhisk.whisk.store
    for name, action in store.actions.items():
        yield f"action {name}", _text([action, store.code.get(name)])
    for kind, names in store.others.items():
        yield f"openwhisk {kind}", _text(names)


def changed(before: State, now: State) -> str:
    """Return what of `before` is gone or changed, a line for each; '' for nothing."""
    lines = []
    for key, text in before.items():
        if key not in now:
            lines.append(f"gone: {key}")
        elif now[key] != text:
            pairs = enumerate(zip(text, now[key], strict=False))
            at = next((place for place, (one, other) in pairs if one != other), 0)
            lines.append(
                f"changed: {key} … {text[at - 60 : at + 60]} -> {now[key][at - 60 : at + 60]}"
            )
    return "\n".join(lines)


def run_story(world: World, phases: Sequence[Phase] = STORY) -> Iterator[tuple[str, str]]:
    """Tell a story among other people's things; yield each command, and what it changed."""
    plant_in_account(world)
    known, ended = state(world.environment), set[str]()
    theirs = ids(known)
    for at, phase in enumerate(phases):
        if code := story.act(world, phase):
            yield phase.name, f"exit code {code}\n{world.output}"
            return
        now = state(world.environment)
        yield phase.name, changed(known, now)
        if phase.name in SHOWN_AFTER:
            for words in (("status",), ("plan",)):
                yield f"{words[0]} after {phase.name}", named(world, words, theirs)
        if phase.name in PLANTS:
            PLANTS[phase.name](world)
            planted = state(world.environment).items()
            known |= {key: text for key, text in planted if now.get(key) != text}
        # With their cluster, or with OpenWhisk, what they have in it ends.
        if phases[at + 1 :] == [story.DESTROY]:
            ended |= {key for key in known if key.startswith("object lambda-fs-eks-cluster (")}
        if phase.name == "delete":
            ended |= {key for key in known if key.startswith(("action ", "openwhisk "))}
        known = {key: text for key, text in known.items() if key not in ended}
    left = state(world.environment).keys() - known.keys() - ended
    yield "nothing of ours is left", "\n".join(sorted(left))


SHOWN_AFTER = ("create", "configure", "pause")
"""Commands after which `status` and `plan` run: they may name nothing that is other people's."""

_ID = re.compile(r"[a-z]+-[0-9a-f]{8,17}")


def ids(known: State) -> frozenset[str]:
    """Return the ids of things, which AWS draws."""
    words = (key.split()[-1] for key in known)
    return frozenset(word for word in words if _ID.fullmatch(word))


REFUSED, PAUSED = 2, "the deployment is paused"
"""The exit code of a plan that cannot be applied, and what it says after a pause."""


def named(world: World, words: tuple[str, ...], theirs: Collection[str]) -> str:
    """Return which ids of other people a command that only shows prints; '' for none."""
    code = world.run(CREATE, *words)
    found = sorted(set(_ID.findall(world.text("run"))) & set(theirs))
    if code and not (words == ("plan",) and code == REFUSED and PAUSED in world.output):
        return f"exit code {code}\n{world.output}"
    return f"it names {', '.join(found)}\n{world.output}" if found else ""


def destroy_elsewhere(world: World) -> Iterator[tuple[str, str]]:
    """Create, then destroy in another region and account: nothing is found, and that is written.

    The other account has resources of the same names.
    """
    story.advance(world, story.PHASES["create"])
    cloud = world.environment.cloud
    cloud.settings.accounts = {OTHER_KEY: OTHER_ACCOUNT}
    plant_in_other_account(world.environment, OTHER_KEY)
    for name, words, variables in (
        ("another region", ("--region", "eu-west-1"), {}),
        ("another account", (), {"AWS_ACCESS_KEY_ID": OTHER_KEY}),
    ):
        before = _everywhere(world)
        code = world.run(CREATE, "destroy", "--yes", *words, **variables)
        why = changed(before, _everywhere(world))
        if code or NOTHING not in world.output or name.split()[-1] not in world.output:
            why = why or f"exit code {code}\n{world.output}"
        yield f"destroy in {name}", why


def _everywhere(world: World) -> dict[str, str]:
    """Return everything that exists in both accounts, and the files on this computer."""
    theirs = _listed(world.environment, OTHER_KEY)
    found = {f"in the other account: {name}": text for name, text in theirs}
    with acting_in(OTHER_ACCOUNT):
        roles = world.environment.cloud.backend("iam").roles
        found |= {f"in the other account: {role}": _text(vars(roles[role])) for role in roles}
    assert any("ndb-manager-node" in text for text in found.values()), "the other account is empty"
    return {**state(world.environment), **found, **_files(world)}


def _files(world: World) -> dict[str, str]:
    """Return what the deployment keeps on this computer."""
    folder = world.folder / "infrastructure_json"
    paths = [path for path in folder.iterdir() if path.suffix not in (".log", ".jsonl", ".html")]
    return {f"file {path.name}": path.read_text(errors="replace") for path in paths}

"""OpenWhisk's keys that were lost or replaced: its database knows those of the first run alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.openwhisk.release_records import pack, unpack
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.controllers import database
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.load_balancer import subjects_of
from tests.scripts.test_configure import steps_of
from tests.support.cluster import Lab, lab

pytestmark = [pytest.mark.timeout(300)]

SECRET = "owdev-lambda-fs"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        assert isinstance(made.hooks, EksApiServers)
        made.hooks.job_effects.append(lambda pod: initialise(made, pod))
        made.run("configure")
        yield made


def initialise(zoo: Lab, pod: dict[str, Any]) -> None:
    """Let OpenWhisk accept the keys with which its database is initialised, from then on."""
    if isinstance(zoo.hooks, EksApiServers) and database.wipes(pod):
        zoo.whisk.auth = subjects_of(zoo.hooks, pod)["guest"]


def data(zoo: Lab) -> dict[str, str]:
    """Return the keys that the Secret holds."""
    held = zoo.api.state.require("secrets", SECRET, "openwhisk")["data"]
    keys = ("system", "guest", "database")
    return {key: base64.b64decode(held[key]).decode() for key in keys if key in held}


def change(zoo: Lab, **values: str | None) -> None:
    """Change the Secret's data as kubectl patch does; None removes a key."""
    held = zoo.api.state.require("secrets", SECRET, "openwhisk")
    for key, value in values.items():
        held["data"].pop(key, None)
        if value is not None:
            held["data"][key] = base64.b64encode(value.encode()).decode()
    zoo.api.state.put("secrets", held)


def lose(zoo: Lab, name: str) -> None:
    zoo.api.state.remove("secrets", zoo.api.state.require("secrets", name, "openwhisk"))


def lose_those_of_the_release(zoo: Lab) -> None:
    """Let helm's records and the chart's Secrets have no keys, as after many releases by hand."""
    for record in zoo.api.state.all("secrets", "openwhisk"):
        if record["metadata"]["name"].startswith("sh.helm"):
            document = unpack(record)
            document["config"] = {}
            record["data"]["release"] = pack(document)
            zoo.api.state.put("secrets", record)
    for name in ("owdev-whisk.auth", "owdev-db.auth"):
        lose(zoo, name)


def accepted(zoo: Lab) -> bool:
    """Whether OpenWhisk accepts the key of the file for wsk and whisk_helper.py."""
    (file,) = zoo.folder.rglob("*.wskprops")
    found = re.search(r"^AUTH=(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    header = "Basic " + base64.b64encode(found[1].encode()).decode()
    return zoo.whisk.store_of(header) is zoo.whisk.store


def conflict_of(zoo: Lab) -> dict[str, Any]:
    """Return the one problem of a configure that is refused and writes nothing."""
    (problem,) = zoo.run("configure", code=2)["problems"]
    return dict(problem)


@pytest.mark.parametrize("lost", [("system", "guest", "database"), ("guest",)])
@pytest.mark.parametrize("records", [True, False])
def test_lost_keys_are_taken_back_from_the_release(
    zoo: Lab, lost: tuple[str, ...], records: bool
) -> None:
    before = data(zoo)
    change(zoo, **dict.fromkeys(lost))
    if len(lost) == 3:
        lose(zoo, SECRET)
    if not records:
        for record in zoo.api.state.all("secrets", "openwhisk"):
            if record["metadata"]["name"].startswith("sh.helm"):
                record["data"]["release"] = pack(unpack(record) | {"config": {}})
                zoo.api.state.put("secrets", record)
    planned = zoo.run("plan")
    assert planned["problems"] == []
    assert "taken back from the release" in steps_of(planned)["openwhisk keys"]["drift"][0]["wants"]
    zoo.run("configure")
    assert data(zoo) == before
    assert accepted(zoo)


def test_keys_that_nothing_has_any_more_are_a_conflict(zoo: Lab) -> None:
    lose(zoo, SECRET)
    lose_those_of_the_release(zoo)
    problem = conflict_of(zoo)
    assert problem["what"] == "OpenWhisk's keys are lost: database, guest, system"
    assert "the database knows no others" in problem["why"]
    assert "restore the Secret owdev-lambda-fs" in problem["hint"]
    assert SECRET not in zoo.objects("secrets")


def test_a_key_that_was_replaced_in_place_is_a_conflict_whose_fix_works(zoo: Lab) -> None:
    before = data(zoo)
    change(zoo, guest="00000000-0000-0000-0000-000000000000:another")
    problem = conflict_of(zoo)
    assert "guest key of OpenWhisk is as the database knows it" in problem["what"]
    assert """-p '{"data":{"guest":null}}'""" in problem["hint"]
    change(zoo, guest=None)
    zoo.run("configure")
    assert data(zoo) == before
    assert accepted(zoo)

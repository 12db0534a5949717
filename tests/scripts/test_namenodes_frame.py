"""whisk_helper.py shares the frame of all scripts: --only, --html, plans, the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws_setup.config import Config
from aws_setup.engine.history import read_events
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from tests.support.openwhisk import make_jar, openwhisk
from whisk_helper import main


@pytest.fixture
def whisk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OpenWhiskServer]:
    """A stand-in OpenWhisk and an empty folder with a jar."""
    with openwhisk() as running:
        monkeypatch.setenv("WHISK_APIHOST", running.url)
        monkeypatch.setenv("WHISK_AUTH", AUTH)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        monkeypatch.chdir(tmp_path)
        make_jar(tmp_path / "nn.jar", size=20_000)
        yield running


def script(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "-j", "nn.jar"])


def document(result: Result) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def write_config(**keys: int) -> None:
    """Write the configuration of the folder."""
    text = "ssh_keypair_name: k\nssh_key_path: k.pem\ninfrastructure_json_path: receipts\n"
    text += "".join(f"{key}: {value}\n" for key, value in keys.items())
    Path("config_aws.yaml").write_text(text, encoding="utf-8")


def memory(whisk: OpenWhiskServer, name: str = "namenode0") -> int:
    return int(whisk.store.actions[name]["limits"]["memory"])


def test_only_restricts_every_verb_to_the_named_actions(whisk: OpenWhiskServer) -> None:
    script("-n", "4", "--create", "--only", "namenode1", "--only", "namenode3")
    assert sorted(whisk.store.actions) == ["namenode1", "namenode3"]
    script("-n", "4", "--create")
    listed = document(script("--list", "--only", "namenode2", "--json"))
    assert [action["name"] for action in listed["actions"]] == ["namenode2"]
    script("-n", "4", "--limits-only", "--memory", "512", "--only", "namenode2")
    assert (memory(whisk, "namenode1"), memory(whisk, "namenode2")) == (256, 512)
    verified = document(script("-n", "4", "--verify", "--only", "namenode2", "--json"))
    assert [step["name"] for step in verified["steps"]] == ["namenode2"]
    pruned = ["-n", "1", "--sync", "--prune", "--yes", "--only", "namenode3"]
    assert script(*pruned).exit_code == 0
    assert sorted(whisk.store.actions) == ["namenode0", "namenode1", "namenode2"]
    assert script("-n", "9", "--delete", "--yes", "--only", "namenode1").exit_code == 0
    assert sorted(whisk.store.actions) == ["namenode0", "namenode2"]


def test_only_with_another_name_is_refused_without_a_write(whisk: OpenWhiskServer) -> None:
    refused = script("-n", "1000", "--create", "--only", "namenod7")
    assert refused.exit_code == 2
    assert '--only "namenode7"' in refused.stderr
    assert "and 920 more" in refused.stderr
    assert whisk.requests["PUT"] == 0


@pytest.mark.parametrize("configured", [True, False])
def test_html_writes_a_page_about_the_run(whisk: OpenWhiskServer, configured: bool) -> None:
    if configured:
        write_config()
    created = script("-n", "3", "--create", "--memory", "300", "--html", "page.html")
    assert created.exit_code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count(">created<") == 3
    assert AUTH.split(":")[1] not in page
    for arguments in (["--list"], ["-n", "4", "--verify"], ["-n", "4", "--sync", "--plan"]):
        assert script(*arguments, "--html", "page.html").exit_code in (0, 1)
        page = Path("page.html").read_text(encoding="utf-8")
        assert "namenode2" in page
        assert (">update<" in page) == ("--sync" in arguments), "--list and --verify change nothing"
    logs = list(Path().rglob("*.events.jsonl"))
    assert [len(read_events(log)) for log in logs] == ([1] if configured else [])


def test_html_in_a_missing_folder_is_refused_before_any_request(whisk: OpenWhiskServer) -> None:
    assert script("-n", "1", "--create", "--html", "missing/page.html").exit_code == 2
    assert whisk.requests == {}


def test_the_plan_of_create_shows_conflicts(whisk: OpenWhiskServer, tmp_path: Path) -> None:
    script("-n", "1", "--create")
    make_jar(tmp_path / "nn.jar", seed=9)
    planned = script("-n", "2", "--create", "--plan", "--json")
    assert planned.exit_code == 1
    steps = {step["name"]: step for step in document(planned)["steps"]}
    assert steps["namenode0"]["action"] == "conflict"
    assert "--sync" in steps["namenode0"]["drift"][0]["mend"]
    assert steps["namenode1"]["action"] == "create"
    assert "namenode0 exist already" in document(planned)["problems"][0]["what"]


def test_the_memory_is_the_original_s_without_a_configuration(whisk: OpenWhiskServer) -> None:
    script("-n", "1", "--create")
    assert memory(whisk) == 256


def test_the_configuration_sets_the_default_of_memory(whisk: OpenWhiskServer) -> None:
    write_config()
    script("-n", "1", "--create")
    assert memory(whisk) == Config(ssh_keypair_name="k", ssh_key_path="k").openwhisk_action_memory
    write_config(openwhisk_action_memory=1234)
    lowered = script("-n", "1", "--update", "--plan")
    assert "openwhisk_action_memory, 1234, replaces 20000" in lowered.stderr
    script("-n", "1", "--update")
    assert memory(whisk) == 1234
    script("-n", "1", "--update", "--memory", "300")
    assert memory(whisk) == 300
    assert script("-n", "1", "--verify").exit_code == 0, "without --memory any value is right"


def test_files_that_cannot_be_written_are_named_before_anything_is_sent(
    whisk: OpenWhiskServer,
) -> None:
    write_config()
    record = Path("receipts/lambda-fs.namenodes.json")
    record.mkdir(parents=True)
    ended = script("-n", "1", "--create", "--json")
    assert ended.exit_code == 2
    (problem,) = document(ended)["problems"]
    assert record.name in problem["what"]
    assert problem["why"] == "it is a folder"
    assert not whisk.store.actions

"""The third script as a user runs it, against the stand-in OpenWhisk: what it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer
from tests.support.namenodes import ORIGINAL, Script, document, jar, script, whisk
from tests.support.openwhisk import make_jar

__all__ = ["jar", "script", "whisk"]


def test_the_original_instruction(whisk: OpenWhiskServer, script: Script, jar: str) -> None:
    result = script("-n", "20", "--create", *ORIGINAL, "-j", jar)
    assert result.exit_code == 0, result.output
    assert sorted(put["name"] for put in whisk.puts) == sorted(f"namenode{i}" for i in range(20))
    assert whisk.store.actions["namenode7"]["limits"]["memory"] == 20000
    assert "20 created" in result.stdout


def test_create_again_has_nothing_to_do_and_adds_missing_ones(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    script("-n", "3", "--create", *ORIGINAL, "-j", jar)
    again = script("-n", "3", "--create", *ORIGINAL, "-j", jar)
    assert again.exit_code == 0
    assert "Nothing to do" in again.stdout
    more = script("-n", "5", "--create", *ORIGINAL, "-j", jar)
    assert more.exit_code == 0
    assert whisk.requests["PUT"] == 5


def test_create_over_other_actions_writes_nothing_and_exits_1(
    whisk: OpenWhiskServer, script: Script, jar: str, tmp_path: Path
) -> None:
    script("-n", "2", "--create", *ORIGINAL, "-j", jar)
    other = str(make_jar(tmp_path / "other.jar", seed=9))
    result = script("-n", "4", "--create", *ORIGINAL, "-j", other)
    assert result.exit_code == 1
    assert "namenode0, namenode1 exist already" in result.stderr
    assert "--sync" in result.stderr
    assert whisk.requests["PUT"] == 2
    assert script("-n", "4", "--sync", *ORIGINAL, "-j", other).exit_code == 0
    assert len(whisk.store.actions) == 4


def test_update_creates_missing_ones_and_an_unchanged_one_sends_nothing(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    assert script("-s", "2", "-e", "5", "--update", *ORIGINAL, "-j", jar).exit_code == 0
    assert sorted(whisk.store.actions) == ["namenode2", "namenode3", "namenode4"]
    script("-s", "2", "-e", "5", "--update", *ORIGINAL, "-j", jar)
    assert whisk.requests["PUT"] == 3
    script("-s", "2", "-e", "5", "--update", "--force", *ORIGINAL, "-j", jar)
    assert whisk.requests["PUT"] == 6


def test_n_wins_over_e_with_a_warning_and_neither_is_refused(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    result = script("-n", "1", "-e", "9", "--create", *ORIGINAL, "-j", jar)
    assert "--ending-index 9 is ignored" in result.stderr
    assert list(whisk.store.actions) == ["namenode0"]
    assert script("--create", *ORIGINAL, "-j", jar).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "1"],
        ["-n", "1", "--create", "--update"],
        ["-n", "1", "--create", "--prune"],
        ["-n", "1", "--create", "--force"],
        ["-n", "1", "--limits-only"],
        ["-s", "5", "-e", "2", "--create"],
        ["-n", "1", "--create", "-p", "nn1"],
        ["-n", "1", "--create", "-p", "a/b"],
        ["-n", "1", "--create", "--jobs", "0"],
        ["-n", "1", "--create", "-j", "ftp://a/b.jar"],
    ],
)
def test_wrong_options_are_refused_before_any_request(
    whisk: OpenWhiskServer, script: Script, arguments: list[str]
) -> None:
    result = script(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert whisk.requests["PUT"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "90000"], "memory of 90000 MB"),
        (["--memory", "20000", "-k", "nodejs:20"], "kind nodejs:20"),
        (["--memory", "20000", "-m", "no.such.Class"], "no.such.Class"),
        (["--memory", "20000", "-c", "0"], "concurrency of 0"),
    ],
)
def test_what_openwhisk_does_not_allow_is_refused_before_the_first_put(
    whisk: OpenWhiskServer, script: Script, jar: str, arguments: list[str], message: str
) -> None:
    result = script("-n", "3", "--create", "-j", jar, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert whisk.requests["PUT"] == 0


def test_names_of_other_entities_and_kinds_are_not_overwritten(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    whisk.store.others["triggers"] = ["namenode1"]
    result = script("-n", "3", "--sync", *ORIGINAL, "-j", jar)
    assert (result.exit_code, whisk.requests["PUT"]) == (2, 0)
    assert "they are triggers" in result.stderr
    whisk.store.others.clear()
    script("-n", "3", "--sync", "-k", "java:8", *ORIGINAL, "-j", jar)
    for action in whisk.store.actions.values():
        action["annotations"] = [n for n in action["annotations"] if n["key"] != "lambda-fs"]
    result = script("-n", "3", "--sync", *ORIGINAL, "-j", jar)
    assert result.exit_code == 2
    assert "actions of kind java:8" in result.stderr


def test_a_wrong_key_exits_1_and_names_its_source(
    whisk: OpenWhiskServer, script: Script, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISK_AUTH", "wrong:key")
    result = script("-n", "3", "--create", *ORIGINAL, "-j", jar)
    assert result.exit_code == 1
    assert "authentication is invalid" in result.stderr
    assert "WHISK_APIHOST" in result.stderr
    assert "wrong:key" not in result.output


def test_limits_only_keeps_everything_else(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    script("-n", "2", "--create", *ORIGINAL, "-j", jar)
    assert script("-n", "2", "--limits-only", "--memory", "512").exit_code == 0
    limits = whisk.store.actions["namenode1"]["limits"]
    assert (limits["memory"], limits["concurrency"]) == (512, 4)
    assert whisk.puts[-1]["code_length"] == 0
    missing = script("-n", "3", "--limits-only", "--memory", "256")
    assert missing.exit_code == 1
    assert "the limits of namenode2 cannot be changed" in missing.stderr
    assert whisk.requests["PUT"] == 4


def test_a_default_that_lowers_a_limit_is_a_warning(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    script("-n", "1", "--create", *ORIGINAL, "-j", jar)
    result = script("-n", "1", "--update", "--plan", "-j", jar)
    assert "its default, 256, replaces 20000" in result.stderr
    assert "memory: 20000 -> 256" in result.stdout
    assert whisk.requests["PUT"] == 1


def test_prune_and_delete_ask_first(whisk: OpenWhiskServer, script: Script, jar: str) -> None:
    script("-n", "4", "--create", *ORIGINAL, "-j", jar)
    prune = ["-n", "2", "--sync", "--prune", *ORIGINAL, "-j", jar]
    refused = script(*prune)
    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    assert len(whisk.store.actions) == 4
    assert script(*prune, "--yes").exit_code == 0
    assert sorted(whisk.store.actions) == ["namenode0", "namenode1"]
    assert script("-n", "9", "--delete", "--yes").exit_code == 0
    assert whisk.store.actions == {}
    assert "Nothing to do" in script("-n", "9", "--delete").stdout


def test_prune_keeps_similar_names(whisk: OpenWhiskServer, script: Script, jar: str) -> None:
    script("-n", "1", "-p", "namenode-x", "--create", *ORIGINAL, "-j", jar)
    script("-n", "3", "--create", *ORIGINAL, "-j", jar)
    whisk.store.actions["namenode01"] = whisk.store.actions["namenode0"] | {"name": "namenode01"}
    script("-n", "1", "--sync", "--prune", "--yes", *ORIGINAL, "-j", jar)
    assert sorted(whisk.store.actions) == ["namenode-x0", "namenode0", "namenode01"]


def test_a_failure_is_named_with_every_other_action_s_end(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, name="namenode1", status=403))
    arguments = ["-n", "4", "--create", "--jobs", "1", *ORIGINAL, "-j", jar]
    result = script(*arguments, "--json")
    assert result.exit_code == 1
    ends = {step["name"]: step["end"] for step in document(result)["steps"]}
    assert ends["namenode0"] == "created, version 0.0.1"
    assert ends["namenode1"].startswith("failed")
    assert ends["namenode3"] == "not started"
    assert script(*arguments).exit_code == 0
    assert whisk.requests["PUT"] == 5

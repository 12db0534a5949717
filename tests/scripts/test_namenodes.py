"""The third script as a user runs it, against the stand-in OpenWhisk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws_setup.config import load_config
from aws_setup.namenodes.tunnel import fingerprint
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials, write_credentials
from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer, self_signed, serve
from tests.support.openwhisk import make_jar, openwhisk
from whisk_helper import main

ORIGINAL = ["--memory", "20000", "--concurrency", "4"]
Script = Callable[..., Result]


@pytest.fixture
def whisk(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenWhiskServer]:
    with openwhisk() as running:
        monkeypatch.setenv("WHISK_APIHOST", running.url)
        monkeypatch.setenv("WHISK_AUTH", AUTH)
        monkeypatch.setenv("AWS_SETUP_PACE", "0")
        yield running


@pytest.fixture
def jar(tmp_path: Path) -> str:
    return str(make_jar(tmp_path / "nn.jar", size=20_000))


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Run the script in an empty folder, without a configuration file."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    return run


def document(result: Result) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


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


def test_list_and_its_json(whisk: OpenWhiskServer, script: Script, jar: str) -> None:
    script("-n", "12", "--create", *ORIGINAL, "-j", jar)
    result = script("--list")
    assert "namenode11" in result.stdout
    assert "…" not in result.stdout
    actions = document(script("--list", "--json"))["actions"]
    assert [action["index"] for action in actions] == list(range(12))
    assert actions[3]["version"] == "0.0.1"
    assert len(actions[3]["jar_sha256"]) == 64
    assert document(script("--list", "-n", "13", "--json"))["missing"] == ["namenode12"]


def test_verify_finds_what_differs(
    whisk: OpenWhiskServer, script: Script, jar: str, tmp_path: Path
) -> None:
    script("-n", "4", "--create", *ORIGINAL, "-j", jar)
    assert script("-n", "4", "--verify").exit_code == 0
    assert script("-n", "4", "--verify", *ORIGINAL, "-j", jar).exit_code == 0
    other = str(make_jar(tmp_path / "other.jar", seed=9))
    assert script("-n", "4", "--verify", "-j", other).exit_code == 1
    script("-n", "1", "--limits-only", "--memory", "300")
    del whisk.store.actions["namenode2"]
    result = script("-n", "4", "--verify")
    assert result.exit_code == 1
    assert "memory is 300, not 20000" in result.stdout
    assert "missing" in result.stdout
    assert "2 of 4 actions failed the verification" in result.stderr


def test_invoke_prints_cold_starts_and_failures(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    script("-n", "2", "--create", *ORIGINAL, "-j", jar)
    result = script("-n", "2", "--verify", "--invoke")
    assert result.exit_code == 0
    assert "cold start 1.2 s" in result.stdout
    whisk.activation = {"late": True}
    assert script("-n", "2", "--verify", "--invoke").exit_code == 0
    failed = {"status": "developer error", "success": False, "result": {"error": "no ndb"}}
    whisk.activation = {"response": failed}
    result = script("-n", "2", "--verify", "--invoke")
    assert result.exit_code == 1
    assert "developer error: no ndb" in result.output
    assert whisk.requests["POST"] == 6


def test_the_public_default_key_is_a_warning(
    whisk: OpenWhiskServer, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    whisk.auth = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:anything"
    monkeypatch.setenv("WHISK_AUTH", whisk.auth)
    result = script("--list")
    assert "well-known guest key" in result.stderr


def test_a_jar_that_is_only_on_the_client_vm_is_explained(
    whisk: OpenWhiskServer, script: Script
) -> None:
    result = script("-n", "20", "--create", *ORIGINAL)
    assert result.exit_code == 2
    assert "-j ssh://" in result.stderr


def configured(tmp_path: Path, url: str, fingerprint: str = "") -> None:
    """Leave a configuration and what the second script knows about OpenWhisk."""
    (tmp_path / "config_aws.yaml").write_text(
        "ssh_keypair_name: k\nssh_key_path: ./key.pem\naws_region: us-east-1\n"
        "deployment_name: mine\ninfrastructure_json_path: ./receipts\n"
    )
    config = load_config(tmp_path / "config_aws.yaml")
    write_credentials(config, OpenWhiskCredentials(url, AUTH, fingerprint))


def test_the_deployment_s_file_and_pin_are_enough(
    script: Script, jar: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WHISK_APIHOST", raising=False)
    certificate, whisk = self_signed(), OpenWhiskServer()
    with serve(whisk, certificate=certificate) as url:
        configured(tmp_path, url, fingerprint(certificate.pem.decode()))
        result = script("-n", "2", "--create", *ORIGINAL, "-j", jar, "--json")
        assert result.exit_code == 0, result.stderr
        printed = document(result)
        assert printed["deployment"] == "mine"
        assert printed["apihost_from"].endswith("mine.wskprops")
        configured(tmp_path, url, "00" * 32)
        assert "another certificate" in script("--list").stderr
        loud = script("--list", "-i", "--apihost", url, "--auth", AUTH)
        assert loud.exit_code == 0
        assert "is not checked" in loud.stderr
    kept = (tmp_path / "receipts" / "mine.wskprops").stat().st_mode
    assert kept & 0o077 == 0
    assert AUTH not in (tmp_path / "receipts" / "mine.log").read_text()


def test_a_configuration_that_is_named_must_exist(script: Script) -> None:
    result = script("--list", "-y", "no-such.yaml")
    assert result.exit_code == 2
    assert "no-such.yaml" in result.stderr


def test_a_flaky_openwhisk_is_no_failure(whisk: OpenWhiskServer, script: Script, jar: str) -> None:
    whisk.faults.flaky = 0.3
    assert script("-n", "30", "--create", *ORIGINAL, "-j", jar).exit_code == 0
    whisk.faults.flaky = 0
    again = script("-n", "30", "--verify", *ORIGINAL, "-j", jar)
    assert again.exit_code == 0
    assert "Nothing to do" in script("-n", "30", "--update", *ORIGINAL, "-j", jar).stdout


def test_quiet_and_json_keep_the_streams_clean(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    quiet = script("-n", "2", "--create", "-q", *ORIGINAL, "-j", jar)
    assert quiet.stderr == ""
    result = script("-n", "2", "--update", "--force", "--json", *ORIGINAL, "-j", jar)
    steps = document(result)["steps"]
    assert [(step["action"], step["id"], step["sends_jar"]) for step in steps] == [
        ("update", "0.0.2", True)
    ] * 2
    assert json.loads(result.stdout)["result"] == "ok"

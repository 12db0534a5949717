"""The third script as a user runs it: what it lists, verifies and says, and how it connects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aws_setup.config import load_config
from aws_setup.namenodes.tunnel import fingerprint
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials, write_credentials
from aws_setup.rehearsal.openwhisk.invocation import Invocation, NameNode, StartError
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer, self_signed, serve
from tests.support.namenodes import ORIGINAL, Script, document, jar, script, whisk
from tests.support.openwhisk import make_jar

__all__ = ["jar", "script", "whisk"]

NO_NODE = (
    "org.apache.zookeeper.KeeperException$NoNodeException: KeeperErrorCode = NoNode for "
    "/namenode7/permanent"
)


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
    assert "cold start 1.5 s" in result.stdout
    whisk.activation = {"late": True}
    assert script("-n", "2", "--verify", "--invoke").exit_code == 0
    failed = {"status": "developer error", "success": False, "result": {"error": "no ndb"}}
    whisk.activation = {"response": failed}
    result = script("-n", "2", "--verify", "--invoke")
    assert result.exit_code == 1
    assert "developer error: no ndb" in result.output
    assert whisk.requests["POST"] == 6


def test_invoke_names_the_exception_of_a_namenode_that_cannot_start(
    whisk: OpenWhiskServer, script: Script, jar: str
) -> None:
    def start(_: Invocation) -> NameNode:
        raise StartError(NO_NODE)

    script("-n", "2", "--create", *ORIGINAL, "-j", jar)
    whisk.namenodes = start
    result = script("-n", "2", "--verify", "--invoke")
    assert result.exit_code == 1
    assert "failed: org.apache.zookeeper" in result.output
    assert "/namenode7/permanent" in result.output


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

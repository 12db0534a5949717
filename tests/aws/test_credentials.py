"""The credential chain: MFA codes, and what the user's configuration names."""

from __future__ import annotations

import getpass
import io
import os
import re
import sys
from hashlib import sha1
from pathlib import Path

import pytest
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider

from aws_setup.aws import credential_process
from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.mfa import ask_code
from aws_setup.aws.session import Aws
from aws_setup.errors import Problem, Refused, SetupError
from aws_setup.rehearsal.core.server import RehearsalCloud

ROLE = """
[profile researcher]
role_arn = arn:aws:iam::123456789012:role/researcher
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile base]
aws_access_key_id = AKIAREHEARSAL0000000
aws_secret_access_key = not-a-secret
[profile broken]
credential_process = /no/such/program
[profile not-json]
credential_process = echo no-json
[profile list]
credential_process = echo []
[profile old]
credential_process = echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", \
"SessionToken": "c", "Expiration": "2020-01-01T00:00:00Z"}'
[profile bytes]
credential_process = printf '\\377\\376'
[profile bad-attempts]
aws_access_key_id = a
aws_secret_access_key = b
max_attempts = many
[profile bad-endpoint]
aws_access_key_id = a
aws_secret_access_key = b
endpoint_url = nowhere
[profile no-token]
role_arn = arn:aws:iam::123456789012:role/researcher
web_identity_token_file = /no/such/token
"""


class Terminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the profiles, and take the keys out of the environment."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(ROLE, encoding="utf-8")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


@pytest.mark.kind("A6")
@pytest.mark.usefixtures("profiles", "cloud")
def test_without_a_terminal_a_needed_mfa_code_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(Refused) as caught:
        _ = Aws(profile="researcher", region="us-east-1").identity
    problem = caught.value.problems[0]
    assert problem.what == "this profile needs an MFA code"
    assert "mfa/me" in problem.why
    assert "run in a terminal, or take session keys first" in problem.hint


@pytest.mark.kind("A6")
@pytest.mark.usefixtures("profiles")
def test_with_a_terminal_the_code_is_asked_until_it_has_six_digits(
    cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(("12345", "123456"))
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _: next(typed))
    assert Aws(profile="researcher", region="us-east-1").identity.account
    assumed = [call for call in cloud.calls if call.action == "AssumeRole"]
    assert [call.params["TokenCode"] for call in assumed] == ["123456"]


@pytest.mark.kind("A6")
def test_no_code_and_a_closed_terminal_are_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys, "stdin", Terminal())
    for answer in (lambda _: "x", closed):
        monkeypatch.setattr(getpass, "getpass", answer)
        with pytest.raises(Refused, match="no code of six digits"):
            ask_code("Enter MFA code for arn: ")


@pytest.mark.kind("A6")
@pytest.mark.usefixtures("profiles", "cloud")
@pytest.mark.parametrize(
    "profile",
    ["broken", "not-json", "no-token", "list", "old", "bytes", "bad-attempts", "bad-endpoint"],
)
def test_what_the_profile_names_and_cannot_be_used_is_a_refusal(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
        monkeypatch.delenv(name)
    with pytest.raises(Refused, match=r"cannot be (loaded|used)") as caught:
        _ = Aws(profile=profile, region="us-east-1").identity
    assert len(caught.value.problems[0].hint) > 20
    assert not PYTHON.search(str(caught.value))


PYTHON = re.compile(r"\b\w+(Error|Exception)\b|Traceback")
"""Python's names, which say nothing to a user."""

SESSIONS = """
[profile sso]
sso_session = one
sso_account_id = 123456789012
sso_role_name = researcher
[profile older-sso]
sso_start_url = https://example.test/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = researcher
[sso-session one]
sso_start_url = https://example.test/start
sso_region = us-east-1
[profile hangs]
credential_process = sleep 600
[profile leaves-a-program]
credential_process = sh -c 'sleep 15 & echo none'
[profile role-of-hanging]
role_arn = arn:aws:iam::123456789012:role/researcher
source_profile = hangs
[profile endless]
credential_process = yes
[profile says-why]
credential_process = sh -c 'echo log in first >&2; exit 1'
[profile pipe-as-token]
role_arn = arn:aws:iam::123456789012:role/researcher
web_identity_token_file = {pipe}
"""

DAMAGE = (
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b'{"accessToken": 1, "expiresAt": "never"}',
    b'{"accessToken": "a", "expiresAt": "2020-01-01T00:00:00Z"}',
    b'{"accessToken": {"accessKeyId": 1}, "expiresAt": [], "clientId": 1}',
)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Write profiles with sessions and programs, in a home of their own; return its folder."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = SESSIONS.format(pipe=pipe)
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text, encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path / "sso"))
    monkeypatch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path / "sso"))
    return tmp_path


def fault_of(profile: str) -> Problem:
    """Return the problem of a profile's credentials, as a script shows it."""
    try:
        _ = Aws(profile=profile, region="us-east-1").identity
    except Exception as error:  # noqa: BLE001 -- what a script would catch
        shown = to_setup_error(error)
        assert isinstance(shown, SetupError), f"{profile}: {error!r}"
        (problem,) = shown.problems
        return problem
    raise AssertionError(profile)


@pytest.mark.kind("A6", "C7")
@pytest.mark.parametrize("profile", ["sso", "older-sso"])
def test_a_damaged_session_is_named_with_the_command_that_renews_it(
    profile: str, sessions: Path
) -> None:
    names = {
        "sso/" + sha1(b"one").hexdigest(),
        "sso/" + sha1(b"https://example.test/start").hexdigest(),
    }
    for damage in DAMAGE:
        for name in names:
            path = sessions / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(damage)
        problem = fault_of(profile)
        assert "login" in problem.hint, damage
        assert not PYTHON.search(f"{problem.why} {problem.hint}"), damage


@pytest.mark.kind("A6", "C4")
@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ("hangs", "has not ended after"),
        ("role-of-hanging", "has not ended after"),
        ("endless", "prints more than 1 MB"),
        ("leaves-a-program", "it is not JSON"),
        ("says-why", "log in first"),
        ("pipe-as-token", "a named pipe"),
    ],
)
def test_a_credential_process_ends_in_time_with_a_clear_line(
    profile: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_process, "PROCESS_SECONDS", 0.3)
    monkeypatch.setattr(credential_process, "PIPE_SECONDS", 0.1)
    problem = fault_of(profile)
    assert why in problem.why
    assert problem.hint


@pytest.mark.kind("C7")
@pytest.mark.parametrize("name", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_pipe_as_a_configuration_of_aws_is_refused_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv(name, str(tmp_path / "pipe"))
    with pytest.raises(Refused, match="a named pipe"):
        Aws(region="us-east-1")

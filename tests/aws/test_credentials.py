"""The credential chain: MFA codes, and what the user's configuration names."""

from __future__ import annotations

import getpass
import io
import os
import sys
from pathlib import Path

import pytest

from aws_setup.aws.mfa import ask_code
from aws_setup.aws.session import Aws
from aws_setup.errors import Refused
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
    assert "credential_process" in caught.value.problems[0].hint

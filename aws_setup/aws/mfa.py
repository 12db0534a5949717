"""The code of a multi-factor device, for profiles that assume a role with mfa_serial."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Mapping
from typing import Any

from aws_setup.config.aws_variables import has_keys
from aws_setup.engine.questions import require_main_thread
from aws_setup.errors import Refused

CODE = re.compile(r"\d{6}")
"""A code has six digits: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

TRIES = 3
"""How often a code of another form may be typed."""


def ask_code(question: str) -> str:
    """Return the code that the user types; botocore passes the question with the device's name.

    Raises:
        Refused: there is no terminal, or no code was typed.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(
            "this profile needs an MFA code",
            f"{question.strip().rstrip(':')}, and stdin is not a terminal",
            "run in a terminal, or take session keys first: `aws configure export-credentials "
            "--profile NAME --format env`",
        )
    require_main_thread(question)
    for _ in range(TRIES):
        try:
            code = getpass.getpass(question).strip()
        except EOFError:
            break
        if CODE.fullmatch(code):
            return code
        question = f"An MFA code has six digits. {question}"
    raise Refused(
        "this profile needs an MFA code", "no code of six digits was typed", "run the command again"
    )


def asks_user(session: Any, environ: Mapping[str, str]) -> bool:
    """Whether loading the credentials may ask a person: for an MFA code, or by a program.

    Follows the profiles that a profile's role takes its own credentials from:
    https://docs.aws.amazon.com/cli/latest/topic/config-vars.html

    Args:
        session: botocore's session.
        environ: the environment, whose keys come before the profile of a variable.
    """
    explicit = session.instance_variables().get("profile")
    if has_keys(environ) and not explicit:
        return False
    profiles: Mapping[str, Mapping[str, Any]] = session.full_config.get("profiles", {})
    name, seen = session.get_config_variable("profile") or "default", set()
    while name and name not in seen:
        seen.add(name)
        profile = profiles.get(name, {})
        if {"mfa_serial", "credential_process"} & profile.keys():
            return True
        name = profile.get("source_profile", "")
    return False


def install_prompt(resolver: Any) -> None:
    """Let the providers of a botocore credential resolver ask by `ask_code`.

    Providers that a profile's source_profile needs are built later: they copy the first one's.
    """
    for provider in resolver.providers:
        if hasattr(provider, "_prompter"):
            provider._prompter = ask_code

"""The code of a multi-factor device, for profiles that assume a role with mfa_serial."""

from __future__ import annotations

import getpass
import re
import sys
from typing import Any

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


def install_prompt(resolver: Any) -> None:
    """Let the providers of a botocore credential resolver ask by `ask_code`.

    Providers that a profile's source_profile needs are built later: they copy the first one's.
    """
    for provider in resolver.providers:
        if hasattr(provider, "_prompter"):
            provider._prompter = ask_code

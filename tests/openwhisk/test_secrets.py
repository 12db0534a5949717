"""OpenWhisk's keys in what is copied to a file: the name of their Secret stands for them."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.openwhisk.secrets import OpenWhiskSecrets, generate_secrets, without_keys

CTX: Any = SimpleNamespace(config=SimpleNamespace(openwhisk_release="owdev"))
SHOWN = "(in the Secret owdev-lambda-fs)"
KEYS = generate_secrets()


@pytest.mark.parametrize(
    ("content", "copied"),
    [
        (KEYS.system, SHOWN),
        (base64.b64encode(KEYS.guest.encode()).decode(), SHOWN),
        ({"db": [{"password": KEYS.database}, 1, None]}, {"db": [{"password": SHOWN}, 1, None]}),
        (f"-u {KEYS.system} --quiet", f"-u {SHOWN} --quiet"),
        ("whisk_admin_db", "whisk_admin_db"),
    ],
)
def test_each_key_is_replaced(content: Any, copied: Any) -> None:
    assert without_keys(content, CTX, KEYS) == copied


def test_an_empty_key_and_a_short_one_spoil_no_other_text() -> None:
    keys = OpenWhiskSecrets("", "", "admin")
    assert without_keys(["abc", "whisk_admin_db", ""], CTX, keys) == ["abc", "whisk_admin_db", ""]
    assert without_keys("admin", CTX, keys) == SHOWN


def test_without_the_secret_the_copy_keeps_what_may_be_nowhere_else() -> None:
    assert without_keys(KEYS.system, CTX, None) == KEYS.system

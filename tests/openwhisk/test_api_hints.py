"""What is advised where OpenWhisk's API does not answer: only a time-out is about addresses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aws_setup.config import Config
from aws_setup.errors import Place, address_hint
from aws_setup.openwhisk.api import _silent

CTX: Any = SimpleNamespace(
    config=Config(
        ssh_keypair_name="key", ssh_key_path="key.pem", openwhisk_access_cidrs=("1.2.3.4/32",)
    ),
    defaults=SimpleNamespace(operator_cidrs=()),
)
TIMED_OUT = "https://x:443: connection to x timed out"


def test_only_a_timeout_advises_to_compare_addresses() -> None:
    silent = _silent(CTX, TIMED_OUT, nodes="")
    assert "only 1.2.3.4/32 and the VPC may connect" in silent.state
    assert address_hint(Place.OPENWHISK) in silent.hint
    proxied = _silent(
        CTX, "https://x:443: the proxy does not connect: the connection timed out", nodes=""
    )
    assert "check HTTPS_PROXY" in proxied.hint
    assert "openwhisk_internal: True" in proxied.hint
    for state in (
        _silent(CTX, TIMED_OUT, nodes="0 of 3 nodes in service"),
        _silent(CTX, "https://x:443: connection refused", nodes=""),
        _silent(CTX, "https://x:443: 503", nodes=""),
    ):
        assert "address" not in state.hint
        assert "run `configure` again" in state.hint

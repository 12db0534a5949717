"""The certificate: names, lifetime, renewal, and the user's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aws_setup.cluster.certificate import (
    expires,
    names_of,
    own_pair,
    self_signed,
    split_chain,
)
from aws_setup.errors import Refused

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ELB = "a" * 32 + "-1234567890.ap-southeast-1.elb.amazonaws.com"


def test_a_load_balancers_long_name_is_in_the_names_and_not_in_the_subject() -> None:
    """Over 64 characters do not fit a common name: the failure of the original gen-certs job."""
    assert len("*." + ELB) > 64
    pair = self_signed("openwhisk", [ELB, "10.0.0.1"], days=90, now=NOW)
    assert names_of(pair.certificate) == {"openwhisk", ELB, "10.0.0.1"}
    assert pair.leaf.subject.rfc4514_string() == "CN=openwhisk"
    assert expires(pair.certificate) == NOW + timedelta(days=90)
    assert pair.leaf.not_valid_before_utc < NOW


def test_the_key_shows_in_no_representation() -> None:
    pair = self_signed("openwhisk", [], days=90, now=NOW)
    assert "PRIVATE" in pair.key
    assert "PRIVATE" not in repr(pair)


def test_a_chain_is_split_as_iam_wants_it() -> None:
    one, two = (self_signed(name, [], days=90, now=NOW) for name in ("leaf", "issuer"))
    body, chain = split_chain(one.certificate + two.certificate)
    assert (body, chain) == (one.certificate, two.certificate)
    assert split_chain(one.certificate) == (one.certificate, "")


def write(folder: Path, certificate: str, key: str) -> tuple[Path, Path]:
    both = folder / "c.pem", folder / "k.pem"
    both[0].write_text(certificate)
    both[1].write_text(key)
    return both


def test_the_users_own_pair_is_taken(tmp_path: Path) -> None:
    pair = self_signed("mine", [], days=90, now=NOW)
    assert own_pair(*write(tmp_path, pair.certificate, pair.key), now=NOW) == pair


@pytest.mark.parametrize("fault", ["no certificate", "no key", "another key", "expired", "missing"])
def test_a_pair_that_cannot_serve_is_refused_by_its_key_of_the_configuration(
    tmp_path: Path, fault: str
) -> None:
    pair = self_signed("mine", [], days=90, now=NOW)
    other = self_signed("other", [], days=90, now=NOW)
    texts = {
        "no certificate": ("text", pair.key),
        "no key": (pair.certificate, "text"),
        "another key": (pair.certificate, other.key),
    }
    certificate, key = write(tmp_path, *texts.get(fault, (pair.certificate, pair.key)))
    if fault == "missing":
        key.unlink()
    now = NOW + timedelta(days=91) if fault == "expired" else NOW
    with pytest.raises(Refused) as caught:
        own_pair(certificate, key, now=now)
    wrong = "cert" if fault in ("no certificate", "expired") else "key"
    assert caught.value.problems[0].what.startswith(f"openwhisk_tls_{wrong}:")

"""The certificate: names, lifetime, renewal, and the user's certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.errors import Refused
from aws_setup.openwhisk.certificate import (
    expires,
    load_user_pair,
    names_of,
    self_signed,
    split_chain,
)
from aws_setup.openwhisk.certificate_steps import desired_names, renewal_reasons
from tests.support.certificates import Key, ec_key, issued, pem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ELB = "a" * 32 + "-1234567890.ap-southeast-1.elb.amazonaws.com"


@pytest.mark.parametrize(
    "name", ["openwhisk", "*.example.com", "xn--l9a.example.com", "My OpenWhisk!", "10.0.0.1", "~"]
)
def test_every_name_that_the_configuration_accepts_can_be_in_a_certificate(name: str) -> None:
    config = Config(ssh_keypair_name="k", ssh_key_path="/k", openwhisk_tls_name=name)
    pair = self_signed(config.openwhisk_tls_name, [ELB], days=90, now=NOW)
    assert names_of(pair.certificate) == {name, ELB}


def test_a_load_balancers_long_name_is_an_alternative_name_and_not_the_subject() -> None:
    """Over 64 characters do not fit a common name: the failure of the original gen-certs job."""
    assert len("*." + ELB) > 64
    pair = self_signed("openwhisk", [ELB, "10.0.0.1"], days=90, now=NOW)
    assert names_of(pair.certificate) == {"openwhisk", ELB, "10.0.0.1"}
    assert pair.leaf.subject.rfc4514_string() == "CN=openwhisk"
    assert expires(pair.certificate) == NOW + timedelta(days=90)
    assert pair.leaf.not_valid_before_utc < NOW


def test_a_common_name_of_64_characters_is_the_longest() -> None:
    """X.509, ub-common-name: the reason why a load balancer's name is not the common name."""
    assert names_of(self_signed("a" * 64, [], days=1, now=NOW).certificate) == {"a" * 64}
    with pytest.raises(ValueError, match="64"):
        self_signed("a" * 65, [], days=1, now=NOW)


def test_names_hold_wildcards_addresses_and_each_name_once() -> None:
    names = ["*.example.com", "openwhisk", "::1", "*.example.com"]
    pair = self_signed("openwhisk", names, days=1, now=NOW)
    assert names_of(pair.certificate) == {"openwhisk", "*.example.com", "::1"}


def test_a_certificate_without_alternative_names_has_no_names() -> None:
    assert names_of(issued("server", ec_key())) == set()


def test_desired_names_are_the_service_and_the_load_balancer_once_it_is_known() -> None:
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem", openwhisk_release="rel")
    service = "rel-nginx.openwhisk.svc.cluster.local"
    assert desired_names(config, []) == [service]
    assert desired_names(config, [ELB, "public"]) == [service, ELB, "public"]


@pytest.mark.parametrize(
    ("days", "host", "reasons"),
    [
        (365, "", []),
        (31, "", []),
        (30, "", ["certificate"]),
        (365, ELB, ["certificate's names"]),
        (30, ELB, ["certificate", "certificate's names"]),
    ],
)
def test_a_certificate_is_renewed_30_days_before_its_end_and_for_a_missing_name(
    days: int, host: str, reasons: list[str]
) -> None:
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
    made = NOW - timedelta(days=config.openwhisk_tls_days - days)
    names = desired_names(config, [])
    pair = self_signed("openwhisk", names, days=config.openwhisk_tls_days, now=made)
    hosts = [host] if host else []
    clock = SimpleNamespace(today=lambda: NOW)
    ctx = cast(Context, SimpleNamespace(config=config, clock=clock))
    assert [drift.what for drift in renewal_reasons(ctx, pair, hosts)] == reasons
    users = config.model_copy(update={"openwhisk_tls_cert": "c.pem"})
    ctx = cast(Context, SimpleNamespace(config=users, clock=clock))
    assert renewal_reasons(ctx, pair, hosts) == []


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({"openwhisk_tls_name": "whisk.lab"}, ["certificate's common name"]),
        ({"openwhisk_tls_days": 90}, ["certificate's validity"]),
        ({}, []),
    ],
)
def test_a_certificate_is_renewed_for_another_name_or_validity(
    settings: dict[str, Any], reasons: list[str]
) -> None:
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
    pair = self_signed("openwhisk", desired_names(config, []), days=365, now=NOW)
    clock = SimpleNamespace(today=lambda: NOW)
    changed = config.model_copy(update=settings)
    ctx = cast(Context, SimpleNamespace(config=changed, clock=clock))
    assert [drift.what for drift in renewal_reasons(ctx, pair, [])] == reasons


def test_the_key_is_not_in_the_representation() -> None:
    pair = self_signed("openwhisk", [], days=90, now=NOW)
    assert "PRIVATE" in pair.key
    assert "PRIVATE" not in repr(pair)


def test_a_chain_is_split_as_iam_expects_it() -> None:
    one, two = (self_signed(name, [], days=90, now=NOW) for name in ("leaf", "issuer"))
    body, chain = split_chain(one.certificate + two.certificate)
    assert (body, chain) == (one.certificate, two.certificate)
    assert split_chain(one.certificate) == (one.certificate, "")


def write(folder: Path, certificate: str, key: str) -> tuple[Path, Path]:
    both = folder / "c.pem", folder / "k.pem"
    both[0].write_text(certificate)
    both[1].write_text(key)
    return both


def test_the_users_pair_is_accepted(tmp_path: Path) -> None:
    pair = self_signed("mine", [], days=90, now=NOW)
    assert load_user_pair(*write(tmp_path, pair.certificate, pair.key), now=NOW) == pair


@pytest.mark.parametrize("fault", ["no certificate", "no key", "another key", "expired", "missing"])
def test_the_refusal_of_an_unusable_pair_names_the_configuration_key(
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
        load_user_pair(certificate, key, now=now)
    wrong = "cert" if fault in ("no certificate", "expired") else "key"
    assert caught.value.problems[0].what.startswith(f"openwhisk_tls_{wrong}:")


ROOT, LEAF = ec_key(), ec_key(ec.SECP384R1())
BEGINS = NOW - timedelta(days=1)
AUTHORITY = issued("authority", ROOT, begins=BEGINS)
SERVER = issued("server", LEAF, by=("authority", ROOT), begins=BEGINS)


def test_an_ec_pair_with_its_chain_is_accepted_and_its_key_normalised(tmp_path: Path) -> None:
    pair = load_user_pair(*write(tmp_path, "a remark\n" + SERVER + AUTHORITY, pem(LEAF)), now=NOW)
    assert split_chain(pair.certificate) == (SERVER, AUTHORITY)
    assert pair.key.startswith("-----BEGIN EC PRIVATE KEY-----")
    key = serialization.load_pem_private_key(pair.key.encode(), password=None)
    assert key.public_key() == LEAF.public_key()


def test_a_key_with_openssls_parameters_is_accepted(tmp_path: Path) -> None:
    """`openssl ecparam -genkey` writes a block before the key, which IAM does not accept."""
    parameters = "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"
    plain = LEAF.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    pair = load_user_pair(*write(tmp_path, SERVER, parameters + plain), now=NOW)
    assert pair.key == plain


def self_made(key: Key, **more: Any) -> tuple[str, str]:
    return issued("own", key, begins=BEGINS, **more), pem(key)


UNUSABLE = {
    "encrypted": ((SERVER, pem(LEAF, secret=b"s3cret")), "key", "encrypted", "openssl pkey"),
    "chain first": ((AUTHORITY + SERVER, pem(LEAF)), "cert", "certificate 2", "first"),
    "another's chain": ((SERVER + issued("x", ec_key()), pem(LEAF)), "cert", "issuer", "first"),
    "other curve": (self_made(ec_key(ec.SECP521R1())), "key", "P-256", "openwhisk_tls_key"),
    "other kind": (self_made(ed25519.Ed25519PrivateKey.generate()), "key", "only RSA", "tls"),
    "DER": (("0\x82\x03", pem(LEAF)), "cert", "-----BEGIN", "openwhisk_tls_cert"),
    "early": (
        (issued("own", LEAF, begins=NOW + timedelta(days=2)), pem(LEAF)),
        "cert",
        "not valid before",
        "openwhisk_tls_cert",
    ),
}
"""Fault -> certificate and key, whose file is named, what `why` and `hint` contain."""


@pytest.mark.parametrize("fault", UNUSABLE)
def test_a_pair_that_aws_would_refuse_is_refused_with_its_reason(
    tmp_path: Path, fault: str
) -> None:
    both, wrong, why, hint = UNUSABLE[fault]
    with pytest.raises(Refused) as caught:
        load_user_pair(*write(tmp_path, *both), now=NOW)
    problem = caught.value.problems[0]
    assert problem.what.startswith(f"openwhisk_tls_{wrong}:")
    assert why in problem.why
    assert hint in problem.hint
    assert "s3cret" not in str(caught.value)

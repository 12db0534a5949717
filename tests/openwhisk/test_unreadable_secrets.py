"""What others can write into a Secret is drift, or refused with Secret, key and fix."""

from __future__ import annotations

import base64

import pytest

from aws_setup.eks.storage import _is_about
from aws_setup.errors import Refused
from aws_setup.kube.errors import KubeError, KubeForbidden, to_kube_error
from aws_setup.kube.objects import decode_secret
from aws_setup.openwhisk.certificate import KeyPair, is_readable


@pytest.mark.kind("D3")
@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x80abc"])
def test_a_value_that_is_not_utf_8_is_refused_by_name(raw: bytes) -> None:
    secret = {
        "metadata": {"name": "owdev-lambda-fs", "namespace": "openwhisk"},
        "data": {"system": base64.b64encode(raw).decode()},
    }
    with pytest.raises(Refused) as caught:
        decode_secret(secret)
    (problem,) = caught.value.problems
    assert "openwhisk/owdev-lambda-fs" in problem.what
    assert "system" in problem.why
    assert "kubectl -n openwhisk edit secret owdev-lambda-fs" in problem.hint


@pytest.mark.kind("D3")
@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_certificate_that_is_no_pem_is_not_readable(text: str) -> None:
    assert not is_readable(KeyPair(text, text))


@pytest.mark.kind("D4")
def test_only_a_denial_of_authorisation_asks_for_an_access_entry() -> None:
    def error(message: str) -> KubeError:
        return to_kube_error("POST", "/api/v1/secrets", 403, f'{{"message": "{message}"}}')

    denied = error("secrets is forbidden: User ada cannot create resource secrets in API group")
    assert isinstance(denied, KubeForbidden)
    assert "AmazonEKSClusterAdminPolicy" in str(denied.problems[0].hint)
    for other in (
        "unable to create new content in namespace openwhisk because it is being terminated",
        "exceeded quota: few, requested: pods=1",
    ):
        refused = error(other)
        assert "access entry" not in str(refused.problems[0].hint)


@pytest.mark.kind("D5")
def test_an_event_of_an_earlier_object_of_the_same_name_is_not_about_this_one() -> None:
    assert _is_about({"name": "a", "uid": "1"}, "a", "1")
    assert _is_about({"name": "a"}, "a", "1")
    assert not _is_about({"name": "a", "uid": "0"}, "a", "1")
    assert not _is_about({"name": "b", "uid": "1"}, "a", "1")

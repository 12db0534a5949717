"""destroy of everything while the cluster cannot be used: it goes on, and says why in one line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.kube.connect import ENDING_CLUSTER_SECONDS
from aws_setup.rehearsal.aws.eks.store import EksStore
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = [pytest.mark.kind("A12"), pytest.mark.timeout(240)]

NO_DER = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

UNREADABLE = {
    "no UTF-8": base64.b64encode(b"\xff\xfe\x00").decode(),
    "no base64": "-----",
    "no certificate": base64.b64encode(b"hello").decode(),
    "an empty PEM": base64.b64encode(NO_DER.encode()).decode(),
    "nothing": "",
}

LOST = "what is inside EKS cluster zoo is left to its deletion"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


def document(zoo: Lab) -> dict[str, Any]:
    """Return the record of the cluster in the emulated EKS."""
    return zoo.cloud.store_of(EksStore).regions["us-east-1"].clusters["zoo"].document


def check_destroyed(zoo: Lab, cause: str) -> None:
    """Check that destroy deletes the cluster and says once why it did not look into it."""
    result = zoo.destroy_everything()
    assert result["leftovers"] == []
    assert "zoo" not in zoo.cloud.store_of(EksStore).regions["us-east-1"].clusters
    (warning,) = [it for it in result["warnings"] if it["what"] == LOST]
    assert cause in warning["why"]


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_certificate_data_do_not_block_destroy(zoo: Lab, data: str) -> None:
    document(zoo)["certificateAuthority"] = {"data": data}
    check_destroyed(zoo, "the certificate data of EKS cluster zoo cannot be read")


def test_an_unreachable_api_server_is_asked_once(zoo: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aws_setup.kube.connect.ENDING_CLUSTER_SECONDS", 0.5)
    zoo.api.faults.add({"fault": "status", "status": 503, "times": 1000})
    check_destroyed(zoo, "(503)")
    assert {path for _, path, _ in zoo.api.requests} <= {"/api/v1/namespaces/kube-system"}


UNUSABLE = {
    "does not answer": {"status": 503},
    "refuses deletions, as a webhook does": {"status": 500, "verb": "delete"},
    "refuses to delete Services": {"status": 500, "verb": "delete", "resource": "services"},
}


@pytest.mark.parametrize("rule", UNUSABLE.values(), ids=UNUSABLE)
def test_what_openwhisk_has_in_aws_is_deleted_without_the_api_server(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any]
) -> None:
    """The load balancer uses the certificate, and only Kubernetes would delete it before."""
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        zoo.run("configure")
        iam, elb = client("iam"), client("elb")
        assert elb.describe_load_balancers()["LoadBalancerDescriptions"]
        assert iam.list_server_certificates()["ServerCertificateMetadataList"]
        monkeypatch.setattr("aws_setup.kube.connect.ENDING_CLUSTER_SECONDS", 0.5)
        zoo.api.faults.add({"fault": "status", "times": 1000, **rule})
        check_destroyed(zoo, str(rule["status"]))
        assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
        assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []


def test_a_token_that_the_api_server_refuses_does_not_block_destroy(zoo: Lab) -> None:
    zoo.api.faults.add({"fault": "status", "status": 401, "times": 1000})
    check_destroyed(zoo, "(401)")


def test_a_kubeconfig_that_does_not_exist_does_not_block_destroy(zoo: Lab) -> None:
    zoo.save(kubeconfig_path="missing/kubeconfig")
    check_destroyed(zoo, "kubeconfig")


def test_the_wait_for_a_cluster_that_ends_is_at_most_20_seconds() -> None:
    assert ENDING_CLUSTER_SECONDS + 2 <= 20

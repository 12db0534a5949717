"""The user's kubeconfig: Secrets and tokens go to the cluster itself, encrypted, or nowhere."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.engine.processes import this_process
from aws_setup.errors import SetupError
from aws_setup.kube import user_kubeconfig
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterEndpoint
from aws_setup.openwhisk.certificate import self_signed
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import StillClock

pytestmark = pytest.mark.kind("C3")

OWN = "https://0123.gr7.us-east-1.eks.amazonaws.com"


def client(folder: Path, **cluster: Any) -> KubeClient:
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return KubeClient.of_kubeconfig(str(path), None, StillClock())


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        ({"server": OWN, "insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ({"server": "https://other", "insecure-skip-tls-verify": True}, "insecure-skip"),
        ({"server": "http://other"}, "not an https URL"),
        ({"server": OWN.replace("https", "http")}, "not an https URL"),
    ],
)
def test_an_insecure_connection_is_refused(
    tmp_path: Path, cluster: dict[str, Any], why: str
) -> None:
    with pytest.raises(SetupError) as caught:
        client(tmp_path, **cluster)
    assert why in caught.value.problems[0].why
    assert "certificate-authority-data" in caught.value.problems[0].hint


def test_another_host_has_to_present_a_certificate_of_the_clusters_ca(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    def encoded(text: str) -> str:
        return b64encode(text.encode()).decode()

    with KubeApiServer() as api:
        endpoint = ClusterEndpoint(OWN, api.ca_pem)
    other = self_signed("other", [], days=90, now=datetime.now(UTC)).certificate
    for cluster, leads in (
        ({"server": OWN}, ""),
        ({"server": f"{OWN}/"}, ""),
        ({"server": "https://localhost:1"}, "https://localhost:1"),
        ({"server": "https://t", "certificate-authority-data": encoded(other)}, "https://t"),
        ({"server": "https://t", "certificate-authority-data": encoded(api.ca_pem)}, ""),
    ):
        assert client(tmp_path, **cluster).points_to_other_cluster(endpoint) == leads


def test_its_keys_are_written_where_a_later_run_deletes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    user_kubeconfig._own_folder.cache_clear()
    authority = b64encode(b"certificate").decode()
    client(tmp_path, **{"server": OWN, "certificate-authority-data": authority})
    user_kubeconfig._own_folder.cache_clear()
    me = this_process()
    (folder,) = temporary.iterdir()
    assert folder.name.startswith(f"lambda-fs-{me.computer}-{me.pid}-")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"certificate"]

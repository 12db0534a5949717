"""NameNodes in another namespace than guest: what the check of the actions says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials, write_credentials
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer, serve
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.software.clients.namenode_record import NameNodeRecord, write_record
from aws_setup.ssh.pool import MachinePool
from aws_setup.verify import client_checks, namenode_checks
from aws_setup.verify.chain import Chain, NameNodeEndpoint
from aws_setup.verify.check import Broken, NotApplicable
from tests.support.machines import ADDRESSES, public_ip, shared_key

SYSTEM_AUTH = "11111111-0000-4000-8000-000000000000:system"


@dataclass
class Deployed:
    """An emulated OpenWhisk, and an imitated λFS client that reaches it."""

    whisk: OpenWhiskServer
    chain: Any
    config: Config

    def create(self, auth: str, *names: str) -> None:
        body = {
            "exec": {"kind": "java:8", "code": "UEsDBA==", "main": "A"},
            "annotations": [{"key": "web-export", "value": True}],
        }
        for name in names:
            path = f"{self.whisk.url}/api/v1/namespaces/_/actions/{name}"
            headers = urllib3.make_headers(basic_auth=auth)
            answer = urllib3.request("PUT", path, body=json.dumps(body), headers=headers)
            assert answer.status == 200, answer.data

    def calls(self, namespace: str, *, deployed: str = "guest", number: int = 2) -> str:
        """Run the check for a client that calls the NameNodes in a namespace."""
        endpoint = NameNodeEndpoint(self.whisk.url, namespace, "namenode")
        self.chain.__dict__["settings"] = SimpleNamespace(endpoint=endpoint, deployments=number)
        write_record(self.config, NameNodeRecord(namespace=deployed, deployments=number))
        return client_checks.check_registered(self.chain)


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    key = shared_key(tmp_path / "key")
    whisk = OpenWhiskServer(system_auth=SYSTEM_AUTH)
    with serve(whisk) as url:
        port = int(urlsplit(url).port or 0)
        gateway = Gateway(port, lambda _, __: socket.create_connection(("127.0.0.1", port)))
        public = key.with_suffix(".pub").read_text()
        with InProcessVmPool(tmp_path / "vms", authorized_key=public, gateway=gateway) as vms:
            vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
            config = Config(
                ssh_keypair_name="key",
                ssh_key_path=str(key),
                ssh_config_path=str(vms.ssh_config),
                infrastructure_json_path=str(tmp_path / "receipts"),
            )
            write_credentials(config, OpenWhiskCredentials(url, AUTH, ""))
            pool = MachinePool(config)
            context: Any = SimpleNamespace(config=config)
            chain = Chain(context, pool, SystemClock(pace=0))
            chain.__dict__["client"] = pool.machine("i-0", public_ip(0))
            monkeypatch.setattr(client_checks, "_system_key", lambda _: SYSTEM_AUTH)
            for name in ("waiting_pod", "last_failure"):  # there is no cluster
                monkeypatch.setattr(namenode_checks, name, lambda *_: "")
            yield Deployed(whisk, chain, config)
            pool.close()


def test_namenodes_are_looked_for_in_the_namespace_that_the_client_calls(
    deployed: Deployed,
) -> None:
    deployed.create(AUTH, "namenode0", "namenode1")
    assert deployed.calls("guest") == "2 NameNodes in guest"
    with pytest.raises(Broken, match=r"2 of 2 .* namespace whisk.system \(namenode0 to namenode1"):
        deployed.calls("whisk.system")
    deployed.create(SYSTEM_AUTH, "namenode0", "namenode1", "namenode2")
    assert deployed.calls("whisk.system", deployed="whisk.system") == "2 NameNodes in whisk.system"
    assert deployed.calls("whisk.system", number=3) == "3 NameNodes in whisk.system"
    with pytest.raises(Broken, match="1 of 3 NameNodes do not exist in OpenWhisk's namespace gue"):
        deployed.calls("guest", number=3)


def test_namenodes_in_a_namespace_of_another_key_are_not_said_to_be_missing(
    deployed: Deployed,
) -> None:
    with pytest.raises(NotApplicable, match="the key of the namespace ada is not on this computer"):
        deployed.calls("ada", deployed="ada")
    deployed.create(AUTH, "namenode0", "namenode1")
    with pytest.raises(Broken, match="the NameNodes are in guest, not ada"):
        deployed.calls("ada")


def test_each_key_has_its_own_namespace(deployed: Deployed) -> None:
    deployed.create(SYSTEM_AUTH, "namenode0")
    url = deployed.whisk.url

    def get(path: str, auth: str) -> tuple[int, Any]:
        answer = urllib3.request("GET", url + path, headers=urllib3.make_headers(basic_auth=auth))
        return answer.status, answer.json()

    assert get("/api/v1/namespaces", AUTH) == (200, ["guest"])
    assert get("/api/v1/namespaces", SYSTEM_AUTH) == (200, ["whisk.system"])
    assert get("/api/v1/namespaces", ":")[0] == 401
    assert get("/api/v1/namespaces/_/actions/namenode0", AUTH)[0] == 404
    assert get("/api/v1/namespaces/_/actions/namenode0", SYSTEM_AUTH)[1]["namespace"] == (
        "whisk.system"
    )
    for namespace, status in (("whisk.system", 200), ("guest", 404), ("ada", 404)):
        path = f"{url}/api/v1/web/{namespace}/default/namenode0"
        assert urllib3.request("POST", path, body=b"{}").status == status

"""Invoked NameNodes of a release: their node, their image, their jar, and the emulated network."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
import urllib3

from aws_setup.namenodes.ping import activation_error, ping_body
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.load_balancer import OpenWhiskFrontend, serve_openwhisk
from aws_setup.rehearsal.openwhisk.namenode_image import (
    AUTHORS_NDB,
    AUTHORS_SITE,
    NDB,
    PUBLISHED,
    SITE,
    ContainerImages,
)
from tests.rehearsal.openwhisk.test_load_balancer import KEY, SPACE, install
from tests.rehearsal.openwhisk.test_namenode import Servers
from tests.support import eks
from tests.support.aws import client

KIND = "generic-namenode:10"


class Everywhere(Servers):
    """Servers at every address, which accept the published login."""

    def is_listening(self, address: str, port: int) -> bool:
        return True


@dataclass
class Release:
    """A release whose invoker runs on a node, and the VM of the NDB manager."""

    cloud: RehearsalCloud
    hooks: EksApiServers
    frontend: OpenWhiskFrontend
    servers: Everywhere
    manager: str
    group: str
    nodes: str

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = urllib3.make_headers(basic_auth=KEY)
        url = f"http://127.0.0.1:{self.frontend.port}{path}"
        with urllib3.PoolManager(retries=False) as pool:
            answer = pool.request(method, url, headers=headers, json=body or {}, timeout=240)
        return answer.status, json.loads(answer.data)

    def create(self, files: Mapping[str, bytes] = MappingProxyType({}), kind: str = KIND) -> None:
        """Create namenode3 with a jar that holds these files."""
        jar = io.BytesIO()
        with zipfile.ZipFile(jar, "w") as archive:
            for name, content in {"A.class": b"\xca\xfe", **files}.items():
                archive.writestr(name, content)
        code = base64.b64encode(jar.getvalue()).decode()
        body = {
            "exec": {"kind": kind, "code": code, "main": "A"},
            "annotations": [{"key": "web-export", "value": True}],
            "parameters": [{"key": "actionMemory", "value": 20000}],
        }
        path = "/api/v1/namespaces/_/actions/namenode3?overwrite=true"
        assert self.request("PUT", path, body)[0] == 200

    def build_image(self) -> None:
        """Give the published image the addresses of this deployment."""
        images = self.cloud.store_of(ContainerImages).files
        images[PUBLISHED] = {SITE: self.site(), NDB: self.ndb()}

    def error(self) -> str:
        """Ping namenode3 by its web action; return the error that its log or its record names."""
        ping = json.loads(ping_body().head)
        status, document = self.request("POST", "/api/v1/web/guest/default/namenode3", ping)
        assert (status == 200) is ("error" not in document)
        [*_, record] = self.frontend.whisk.store.activations.values()
        assert record["response"]["success"] is (status == 200)
        return activation_error(record)

    def open(self, port: int) -> None:
        """Allow the nodes' group at a port of the manager."""
        pairs = [{"GroupId": self.nodes}]
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pairs}
        client("ec2").authorize_security_group_ingress(GroupId=self.group, IpPermissions=[rule])

    def ndb(self) -> bytes:
        """Return ndb-config.properties with the manager's address."""
        return AUTHORS_NDB.replace(b"10.0.6.227", self.manager.encode())

    def site(self) -> bytes:
        """Return hdfs-site.xml whose ensemble is on the manager's VM."""
        ensemble = b"10.0.8.233:2181,10.0.4.113:2181,10.0.14.89:2181"
        return AUTHORS_SITE.replace(ensemble, f"{self.manager}:2181".encode())


@pytest.fixture
def release(cloud: RehearsalCloud) -> Iterator[Release]:
    with EksApiServers(cloud) as hooks:
        eks.make().cluster("zoo")
        network = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
        with serve_openwhisk(cloud, hooks) as frontend:
            ec2 = client("ec2")
            group = ec2.create_security_group(
                GroupName="machines", Description="d", VpcId=network["vpcId"]
            )["GroupId"]
            nodes = str(network["clusterSecurityGroupId"])
            node = launch(network["subnetIds"][0], nodes)
            manager = launch(network["subnetIds"][0], group)
            balancer = install(hooks.apis["zoo"].state)
            ec2.authorize_security_group_ingress(
                GroupId=nodes,
                IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": balancer}]}],
            )
            invoker(hooks, node["PrivateDnsName"])
            servers = Everywhere(started=[(manager["PrivateIpAddress"], 11860)])
            frontend.connect_namenodes(servers)
            address = manager["PrivateIpAddress"]
            yield Release(cloud, hooks, frontend, servers, address, group, nodes)


def launch(subnet: str, group: str) -> Any:
    return client("ec2").run_instances(
        ImageId="ami-079ac4c46055b2bdf",
        InstanceType="r5.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        SecurityGroupIds=[group],
    )["Instances"][0]


def invoker(hooks: EksApiServers, node: str, image: str = PUBLISHED) -> None:
    """Create the invoker's pod on a node, with the runtimes manifest of a chart."""
    state = hooks.apis["zoo"].state
    prefix, _, rest = image.partition("/")
    name, _, tag = rest.partition(":")
    entry = {"kind": KIND, "image": {"prefix": prefix, "name": name, "tag": tag}}
    manifest = json.dumps({"runtimes": {"generic-namenode": [entry]}})
    variable = {"name": "RUNTIMES_MANIFEST", "value": manifest}
    held = state.require("statefulsets", "owdev-invoker", SPACE)
    held["spec"] = {"template": {"spec": {"containers": [{"name": "invoker", "env": [variable]}]}}}
    state.put("statefulsets", held)
    state.put("nodes", {"metadata": {"name": node}})
    meta = {"name": "owdev-invoker-0", "namespace": SPACE, "labels": {"name": "owdev-invoker"}}
    pod = state.put("pods", {"metadata": meta, "spec": {"nodeName": node}})
    state.set_status("pods", pod, {"phase": "Running"})


def test_each_rule_that_is_missing_is_the_next_error(release: Release) -> None:
    release.build_image()
    release.create()
    for port, text in (
        (1186, "Unable to connect with connect string"),
        (11860, "Connection timed out: data node"),
        (3306, "Communications link failure"),
        (2181, "ConnectionLoss for /namenode0/permanent"),
    ):
        error = release.error()
        assert text in error
        assert f"{release.manager}:{port}" in error
        release.open(port)
    assert release.error() == ""
    release.servers.account = ("lambdafs", "generated", "vanilla_hopsfs")
    assert "Access denied for user 'user'@'10." in release.error()


def test_without_files_in_the_jar_the_image_counts(release: Release) -> None:
    release.create()
    assert "nodeid=0,10.0.6.227:1186" in release.error()
    images = release.cloud.store_of(ContainerImages).files
    images["me/mine:1"] = {SITE: release.site(), NDB: release.ndb()}
    node = release.hooks.apis["zoo"].state.all("nodes")[0]["metadata"]["name"]
    invoker(release.hooks, node, "me/mine:1")
    assert f"nodeid=0,{release.manager}:1186" in release.error()
    images.clear()
    assert "FileNotFoundException: /conf/hdfs-site.xml" in release.error()


def test_actions_of_other_kinds_connect_to_nothing(release: Release) -> None:
    release.create(kind="java:8")
    assert release.error() == ""


def test_only_the_stored_record_of_an_activation_says_why_a_start_failed(release: Release) -> None:
    release.create()
    path = "/api/v1/namespaces/_/actions/namenode3?blocking=true&result=false"
    status, record = release.request("POST", path, json.loads(ping_body().head))
    assert (status, record["response"]["success"]) == (502, False)
    assert record["response"]["status"] == "action developer error"
    assert "ServerlessNameNode instance does not exist!" in record["response"]["result"]["error"]
    assert record["logs"] == []
    path = f"/api/v1/namespaces/_/activations/{record['activationId']}"
    assert "connect string" in activation_error(release.request("GET", path)[1])


def test_without_an_invoker_there_is_no_container(release: Release) -> None:
    release.create()
    state = release.hooks.apis["zoo"].state
    state.set_status("pods", state.require("pods", "owdev-invoker-0", SPACE), {"phase": "Pending"})
    assert release.error() == "whisk internal error: No invokers available to run the action"


@pytest.mark.parametrize(
    "path", ["whisk.system/default/namenode3", "guest/default/namenode4", "guest/namenode3"]
)
def test_another_namespace_or_name_does_not_exist(release: Release, path: str) -> None:
    release.create()
    assert release.request("POST", f"/api/v1/web/{path}")[0] == 404

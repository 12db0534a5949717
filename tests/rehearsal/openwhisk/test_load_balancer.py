"""OpenWhisk behind an emulated load balancer: availability, TLS and authentication."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from aws_setup.rehearsal.core.loopback import PacketDropped
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore
from aws_setup.rehearsal.kubernetes.controllers.context import INTERNAL, load_balancer_name
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.load_balancer import OpenWhiskFrontend, serve_openwhisk
from aws_setup.rehearsal.openwhisk.server import self_signed
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from tests.support import eks
from tests.support.aws import client
from tests.support.machines import ADDRESSES, public_ip, shared_key

SPACE = "openwhisk"
KEY = "uuid:key"


@pytest.fixture
def hooks(cloud: RehearsalCloud) -> Iterator[EksApiServers]:
    with EksApiServers(cloud) as running:
        eks.make().cluster("zoo")
        client("eks").describe_cluster(name="zoo")
        yield running


@pytest.fixture
def behind(cloud: RehearsalCloud, hooks: EksApiServers) -> Iterator[OpenWhiskFrontend]:
    with serve_openwhisk(cloud, hooks) as running:
        yield running


def install(
    state: ObjectStore,
    *,
    certificate: str = "",
    ready: int = 1,
    source: str = "52.94.76.7/32",
    name: str = "owdev-nginx",
    internal: bool = False,
) -> str:
    """Create the objects of a release that the load balancer reads; returns the balancer's group.

    The group allows port 443 from `source`.
    """
    meta = {"namespace": SPACE}
    ingress = {"loadBalancer": {"ingress": [{"hostname": "localhost"}]}}
    notes = {INTERNAL: "true"} if internal else {}
    made = {"metadata": {"name": name, "annotations": notes, **meta}}
    service = state.put("services", made | {"spec": {"selector": {"name": "owdev-nginx"}}})
    state.set_status("services", service, ingress)
    secret = {"guest": base64.b64encode(KEY.encode()).decode()}
    state.put("secrets", {"metadata": {"name": "owdev-whisk.auth", **meta}, "data": secret})
    for part, count in (("controller", ready), ("invoker", 8)):
        held = state.put("statefulsets", {"metadata": {"name": f"owdev-{part}", **meta}})
        state.set_status("statefulsets", held, {"readyReplicas": count})
    listener = {"Protocol": "TCP", "LoadBalancerPort": 443, "InstancePort": 30443}
    if certificate:
        listener |= {"Protocol": "SSL", "SSLCertificateId": certificate}
    vpc = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
    name, ec2 = load_balancer_name(service), client("ec2")
    scheme = {"Scheme": "internal"} if internal else {}
    group = ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc["vpcId"])
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=https_from(source))
    client("elb").create_load_balancer(
        LoadBalancerName=name,
        Listeners=[listener],
        Subnets=vpc["subnetIds"],
        SecurityGroups=[group["GroupId"]],
        **scheme,
    )
    return str(group["GroupId"])


def https_from(source: str) -> list[dict[str, object]]:
    ranges = [{"CidrIp": source}]
    return [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges}]


def get(
    behind: OpenWhiskFrontend,
    path: str,
    *,
    scheme: str = "http",
    auth: str = KEY,
    timeout: float = 10,
) -> tuple[int, bytes]:
    headers = urllib3.make_headers(basic_auth=auth)
    with urllib3.PoolManager(cert_reqs=ssl.CERT_NONE, retries=False) as pool:
        url = f"{scheme}://127.0.0.1:{behind.port}{path}"
        answer = pool.request("GET", url, headers=headers, timeout=timeout)
        return answer.status, answer.data


ACTIONS = "/api/v1/namespaces/_/actions"


def test_no_answer_without_a_ready_release(hooks: EksApiServers, behind: OpenWhiskFrontend) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        get(behind, "/ping")
    install(hooks.apis["zoo"].state, ready=0)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        get(behind, "/ping")


@pytest.mark.parametrize("across_zones", [False, True])
def test_the_address_of_a_zone_without_a_node_leads_nowhere(
    hooks: EksApiServers, behind: OpenWhiskFrontend, across_zones: bool
) -> None:
    state = hooks.apis["zoo"].state
    install(state)
    [found] = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    subnets = client("ec2").describe_subnets(SubnetIds=found["Subnets"])["Subnets"]
    zones = sorted(subnet["AvailabilityZone"] for subnet in subnets)
    assert len(zones) == 2
    attributes = {"CrossZoneLoadBalancing": {"Enabled": across_zones}}
    client("elb").modify_load_balancer_attributes(
        LoadBalancerName=found["LoadBalancerName"], LoadBalancerAttributes=attributes
    )
    labels = {"topology.kubernetes.io/zone": zones[0]}
    state.put("nodes", {"metadata": {"name": "node-1", "labels": labels}})
    ends = set()
    for _ in range(4):
        try:
            behind.tls_context()
            ends.add("answered")
        except ConnectionRefusedError as refused:
            ends.add("no node" if f"no node in {zones[1]}" in str(refused) else "another reason")
    assert ("no node" in ends) == (not across_zones)


def test_the_key_of_the_release_authenticates(
    hooks: EksApiServers, behind: OpenWhiskFrontend
) -> None:
    install(hooks.apis["zoo"].state)
    assert get(behind, "/ping")[0] == 200
    assert get(behind, "/invokers/healthy/count") == (200, b"8")
    assert get(behind, ACTIONS) == (200, b"[]")
    assert get(behind, ACTIONS, auth="uuid:another")[0] == 401


def test_no_answer_to_an_address_that_the_balancers_group_does_not_allow(
    cloud: RehearsalCloud, hooks: EksApiServers, behind: OpenWhiskFrontend
) -> None:
    group = install(hooks.apis["zoo"].state, source="52.94.76.9/32")
    with pytest.raises(urllib3.exceptions.TimeoutError):
        get(behind, "/ping", timeout=0.5)
    with pytest.raises(PacketDropped, match=f"{group} .* no inbound rule for tcp 443 from 52"):
        behind.tls_context()
    client("ec2").authorize_security_group_ingress(
        GroupId=group, IpPermissions=https_from("52.94.0.0/16")
    )
    assert get(behind, "/ping")[0] == 200
    cloud.settings.operator_address = "8.8.8.8"
    with pytest.raises(urllib3.exceptions.TimeoutError):
        get(behind, "/ping", timeout=0.5)


@pytest.mark.kind("C1")
def test_the_internal_balancer_is_reached_from_the_vpc_and_the_public_one_from_its_ranges(
    hooks: EksApiServers, behind: OpenWhiskFrontend
) -> None:
    state = hooks.apis["zoo"].state
    install(state, internal=True, source="0.0.0.0/0")
    with pytest.raises(PacketDropped, match="is internal: it has no public address"):
        behind.tls_context()
    install(state, name="owdev-public")
    assert get(behind, "/ping")[0] == 200
    vpc = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
    (vm,) = client("ec2").run_instances(
        ImageId="ami-079ac4c46055b2bdf",
        InstanceType="r5.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=vpc["subnetIds"][0],
        SecurityGroupIds=[vpc["clusterSecurityGroupId"]],
    )["Instances"]
    assert behind.connect_from_vm(vm["InstanceId"], internal_port=0) is None
    assert behind.connect_from_vm(vm["InstanceId"], internal_port=8443) is None
    connection = behind.connect_from_vm(vm["InstanceId"], internal_port=443)
    assert connection is not None
    connection.close()


def test_a_public_balancer_whose_service_selects_nothing_refuses_connections(
    hooks: EksApiServers, behind: OpenWhiskFrontend
) -> None:
    state = hooks.apis["zoo"].state
    install(state, internal=True)
    with pytest.raises(PacketDropped, match="is internal"):
        behind.tls_context()
    public = state.put("services", {"metadata": {"name": "owdev-public", "namespace": SPACE}})
    state.set_status("services", public, {"loadBalancer": {"ingress": [{"hostname": "public"}]}})
    with pytest.raises(ConnectionRefusedError, match="in service"):
        behind.tls_context()


def test_a_balancer_that_reaches_no_node_closes_the_connection(
    hooks: EksApiServers, behind: OpenWhiskFrontend
) -> None:
    state = hooks.apis["zoo"].state
    cluster = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
    group = install(state)
    made = client("ec2").run_instances(
        ImageId="ami-079ac4c46055b2bdf",
        InstanceType="r5.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=cluster["subnetIds"][0],
        SecurityGroupIds=[cluster["clusterSecurityGroupId"]],
    )
    state.put("nodes", {"metadata": {"name": made["Instances"][0]["PrivateDnsName"]}})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        get(behind, "/ping")
    client("ec2").authorize_security_group_ingress(
        GroupId=cluster["clusterSecurityGroupId"],
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}],
    )
    assert get(behind, "/ping")[0] == 200


def test_a_new_release_has_no_actions(hooks: EksApiServers, behind: OpenWhiskFrontend) -> None:
    state = hooks.apis["zoo"].state
    install(state)
    behind.tls_context()
    first = behind.whisk.store
    behind.tls_context()
    assert behind.whisk.store is first
    state.remove("services", state.require("services", "owdev-nginx", SPACE))
    install(state)
    behind.tls_context()
    assert behind.whisk.store is not first


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_the_certificate_of_the_listener(hooks: EksApiServers, behind: OpenWhiskFrontend) -> None:
    certificate_ = self_signed()
    uploaded = client("iam").upload_server_certificate(
        ServerCertificateName="own",
        CertificateBody=certificate_.pem.decode(),
        PrivateKey=certificate_.key.decode(),
    )["ServerCertificateMetadata"]
    install(hooks.apis["zoo"].state, certificate=uploaded["Arn"])
    assert get(behind, "/ping", scheme="https")[0] == 200
    shown = ssl.get_server_certificate(("127.0.0.1", behind.port))
    expected = ssl.PEM_cert_to_DER_cert(certificate_.pem.decode())
    assert (
        hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).digest()
        == hashlib.sha256(expected).digest()
    )


def test_an_imitated_vm_keeps_its_disk_over_a_power_cut(tmp_path: Path) -> None:
    key = shared_key(tmp_path / "key").with_suffix(".pub").read_text()
    with InProcessVmPool(tmp_path / "vms") as pool:
        machine = pool.launch(
            "i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0), authorized_key=key
        )
        machine.disk.write("/etc/kept", "still here")
        pool.ensemble.running[ADDRESSES[0]] = machine
        pool.power_off("i-0")
        assert pool.ensemble.running == {}
        assert not pool.vms["i-0"].on
        pool.power_on("i-0", public_ip=public_ip(7))
        assert machine.disk.read("/etc/kept") == "still here"
        config = pool.ssh_config.read_text()
        assert f"Host {public_ip(7)}\n" in config
        assert public_ip(0) not in config.split()
        pool.discard("i-0")
        pool.discard("i-0")
        assert not machine.disk.root.exists()
        assert "HostKeyAlias" not in pool.ssh_config.read_text()

"""The links that λFS needs, by the rule table and the packet rules: which pass, and what is read.

The layouts: nodes in private and in public subnets, an internal load balancer, an existing security
group, followers, and two deployments in one VPC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.config import Config
from aws_setup.infrastructure.ingress_rules import (
    ALL_TRAFFIC,
    MYSQLD,
    RULES,
    IngressRule,
    Source,
    permission,
)
from aws_setup.rehearsal.aws.ec2.network import Balancer, LoadBalancer, Network, Node, Operator
from aws_setup.rehearsal.aws.ec2.packet_rules import (
    Interface,
    Route,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Traffic,
    decide,
)
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.software.clients.desired import (
    CONNECT_STRING,
    ENDPOINT,
    MYSQL_HOST,
    MYSQL_PORT,
    ZOOKEEPERS,
)
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify import client_checks, cluster_checks, deep_checks, firewall
from aws_setup.verify.chain import Address, Chain, ClientSettings
from aws_setup.verify.check import Broken, NotApplicable
from create_aws_infrastructure import SCRIPT
from tests.infrastructure.test_step_contract import context
from tests.scripts.test_node_ingress import cluster_group, vm_group
from tests.support.aws import client
from tests.support.scripts import prepare, run
from tests.support.users_vpc import users_vpc

LOCAL = Route("10.0.0.0/16", "local")
PUBLIC = Subnet("subnet-1", "vpc-1", "rtb-1", (LOCAL, Route("0.0.0.0/0", "igw-1")))
PRIVATE = Subnet("subnet-2", "vpc-1", "rtb-2", (LOCAL, Route("0.0.0.0/0", "nat-1", "127.9.9.9")))


def rules(own: str, nodes: str, *, without: IngressRule | None = None) -> tuple[SecurityRule, ...]:
    """Return the table's rules as EC2 applies them, in the group `own`."""
    targets = {Source.SELF: own, Source.NODES: nodes, Source.OPERATOR: "52.94.76.7/32"}
    found = []
    for rule in RULES:
        if rule is not without:
            sent = permission(rule.ports, targets[rule.source])
            ports = sent.get("FromPort", 0), sent.get("ToPort", 65535)
            group = targets[rule.source] if rule.source is not Source.OPERATOR else ""
            cidr = "" if group else targets[rule.source]
            found.append(SecurityRule(sent["IpProtocol"], *ports, cidr=cidr, group=group))
    return tuple(found)


def vm(name: str, number: int, *groups: SecurityGroup) -> Interface:
    return Interface(name, PUBLIC, f"10.0.6.{number}", f"127.0.6.{number}", groups)


VMS = SecurityGroup("sg-vms", "lambda-fs-security-group", rules("sg-vms", "sg-nodes"))
NODES = SecurityGroup("sg-nodes", "eks-cluster-sg-zoo", (SecurityRule("-1", group="sg-nodes"),))
CLIENT, FOLLOWER = vm("client", 10, VMS), vm("follower", 11, VMS)
NODE = Interface("node", PRIVATE, "10.0.128.7", groups=(NODES,))
PUBLIC_NODE = Interface("node", PUBLIC, "10.0.7.7", "127.0.7.7", (NODES,))
TO_VMS = [("tcp", 1186), ("tcp", 11860), ("tcp", 3306), ("tcp", 2181), ("tcp", 6000), ("udp", 7000)]


@pytest.mark.parametrize("node", [NODE, PUBLIC_NODE], ids=["private nodes", "public nodes"])
def test_pods_reach_what_namenodes_need_from_any_subnet_and_each_rule_is_needed(
    node: Interface,
) -> None:
    for protocol, port in TO_VMS:
        traffic = Traffic(protocol, port)
        assert decide(node, CLIENT, traffic)
        [rule] = [
            rule
            for rule in RULES
            if rule.source is Source.NODES
            and (rule.ports.protocol, rule.ports.first) == (protocol, port)
        ]
        lacks = replace(VMS, inbound=rules("sg-vms", "sg-nodes", without=rule))
        refused = decide(node, replace(CLIENT, groups=(lacks,)), traffic)
        assert refused.reason.startswith("sg-vms (lambda-fs-security-group) has no inbound rule")
        assert not decide(node, CLIENT, traffic, public=True), "groups match private addresses only"
    assert not decide(node, CLIENT, Traffic("tcp", 22))
    assert not decide(node, CLIENT, Traffic("tcp", 9000))


def test_clients_and_followers_reach_each_other_by_the_rule_of_the_group_itself() -> None:
    for port in (22, 6000, 8000, 9000):
        assert decide(CLIENT, FOLLOWER, Traffic("tcp", port))
        assert decide(FOLLOWER, CLIENT, Traffic("udp", port))
    alone = replace(VMS, inbound=rules("sg-vms", "sg-nodes", without=RULES[0]))
    lonely = replace(FOLLOWER, groups=(alone,))
    assert not decide(CLIENT, lonely, Traffic("tcp", 8000))


def test_a_second_deployment_in_the_vpc_reaches_nothing_of_the_first() -> None:
    other = SecurityGroup("sg-vms2", "other", rules("sg-vms2", "sg-nodes2"))
    others_vm = vm("other client", 20, other)
    others_node = replace(NODE, groups=(SecurityGroup("sg-nodes2", "eks-cluster-sg-park"),))
    for protocol, port in TO_VMS:
        traffic = Traffic(protocol, port)
        assert decide(others_node, others_vm, traffic)
        assert not decide(others_node, CLIENT, traffic)
        assert not decide(NODE, others_vm, traffic)
        assert not decide(others_vm, CLIENT, traffic)


@pytest.mark.parametrize("node", [NODE, PUBLIC_NODE], ids=["private nodes", "public nodes"])
@pytest.mark.parametrize("internal", [True, False])
def test_an_internal_load_balancer_is_for_the_vpc_only(node: Interface, internal: bool) -> None:
    def network(cidr: str) -> Network:
        group = SecurityGroup("sg-elb", "k8s-elb-a", (SecurityRule("tcp", 443, 443, cidr=cidr),))
        interface = Interface("ELB", PUBLIC, "10.0.8.8", "" if internal else "127.0.8.8", (group,))
        balancers = {"elb": Balancer((interface,), frozenset({443}), internal)}
        instances = {"i-client": CLIENT, "i-node": node}
        return Network(instances, {"n": "i-node"}, (), balancers, "52.94.76.7")

    end, traffic = LoadBalancer("elb"), Traffic("tcp", 443)
    anywhere = network("0.0.0.0/0")
    assert anywhere.verdict(Node("n"), end, traffic), "NameNodes invoke each other"
    assert bool(anywhere.verdict(Operator(), end, traffic)) is not internal
    within = network("10.0.0.0/16")
    assert bool(within.verdict(Node("n"), end, traffic)) is internal, "names resolve by scheme"


def deployed(tmp_path: Path, **settings: Any) -> Path:
    folder = prepare(tmp_path / "work", **settings)
    assert run(SCRIPT, folder, "--yes", "--only", "node ingress").exit_code == 0
    return folder


def read(folder: Path, port: int, source: Source) -> Broken:
    with context(folder) as ctx:
        address = Address("10.0.0.9", port)
        return firewall.unreachable(ctx, address, PortState.TIMED_OUT, source=source)


def test_a_missing_rule_is_named_with_the_script_that_adds_it(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = deployed(tmp_path)
    group, ec2 = vm_group()["GroupId"], client("ec2")
    nodes = cluster_group()
    assert "although the security group" in read(folder, 3306, Source.NODES).cause
    other = read(folder, 9500, Source.NODES)
    assert other.cause.endswith(f"has no rule for this port (tcp 9500 from {nodes})")
    assert "authorize-security-group-ingress" in other.fix, "no script adds a rule for that port"
    for ports, source in ((MYSQLD, nodes), (ALL_TRAFFIC, group)):
        taken = permission(ports, source)
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[taken])
    mysqld = read(folder, 3306, Source.NODES)
    assert f"no rule for mysqld (tcp 3306 from {nodes})" in mysqld.cause
    assert mysqld.fix == "run python configure_eks_cluster.py, which adds the rule"
    follower = read(folder, 8000, Source.SELF)
    assert f"no rule for traffic within the group (all traffic from {group})" in follower.cause
    assert follower.fix == "run python create_aws_infrastructure.py, which adds the rule"


def test_the_fix_of_a_stopped_program_says_whether_create_starts_it(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    def fix(port: int, **settings: bool) -> str:
        folder = prepare(tmp_path / "work", **settings)
        with context(folder) as ctx:
            address = Address("10.0.0.9", port)
            broken = firewall.unreachable(ctx, address, PortState.REFUSED, source=Source.SELF)
        return broken.fix

    for port, key in ((3306, "start_ndb_cluster"), (2181, "start_zookeeper_cluster")):
        assert fix(port, **{key: True}) == "run python create_aws_infrastructure.py"
        assert fix(port, **{key: False}).startswith(f"start it yourself, since {key} is False")


def test_the_rule_that_an_existing_group_lacks_is_a_command(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    vpc, ec2 = users_vpc(), client("ec2")
    mine = ec2.create_security_group(GroupName="mine", Description="d", VpcId=vpc)["GroupId"]
    for ports, source in ((ALL_TRAFFIC, mine), (RULES[1].ports, "52.94.76.7/32")):
        ec2.authorize_security_group_ingress(
            GroupId=mine, IpPermissions=[permission(ports, source)]
        )
    settings = {"create_vpc": False, "vpc_id": vpc, "security_group_name": "mine"}
    folder = prepare(tmp_path / "work", **settings)
    assert run(SCRIPT, folder, "--yes", "--only", "lambda-fs client").exit_code == 0
    assert run(SCRIPT, folder, "--yes", "--only", "eks cluster").exit_code == 0
    lacks = read(folder, 2181, Source.NODES)
    assert f"{mine} (mine) has no rule for ZooKeeper (tcp 2181 from sg-" in lacks.cause
    assert lacks.fix.startswith(f"run `aws ec2 authorize-security-group-ingress --group-id {mine}")
    assert "although" in read(folder, 2181, Source.SELF).cause


class FakeChain:
    """A deployment without a cloud: what the checks of callbacks and followers inspect."""

    def __init__(self, *, site: dict[str, str], followers: int, state: PortState) -> None:
        self.settings = ClientSettings(cast("Any", site), cast("Any", {}))
        self.client = self._machine("10.0.6.10", state)
        self.followers = [self._machine(f"10.0.6.{20 + i}", state) for i in range(followers)]

    def _machine(self, address: str, state: PortState) -> Machine:
        class Fake:
            private_ip = address

            def port_state(self, host: str, port: int) -> PortState:
                return state

        return cast("Machine", Fake())


def settings_of(values: dict[str, str]) -> ClientSettings:
    """Return a client's configuration with some properties, of either file."""
    return ClientSettings(cast("Any", values), cast("Any", values))


@pytest.mark.parametrize("host", ["elb:PORT", "elb:310010", "elb:0", "[elb"])
def test_an_endpoint_that_cannot_be_split_is_no_url_of_web_actions(host: str) -> None:
    """As one that was written by hand, with configure_clients: False."""
    url = f"https://{host}/api/v1/web/guest/default/namenode"
    with pytest.raises(Broken, match="which is no URL of web actions") as caught:
        _ = settings_of({ENDPOINT: url}).endpoint
    assert caught.value.fix


@pytest.mark.parametrize("port", ["PORT", "310010", "0", "-1"])
def test_an_address_of_the_client_without_a_port_names_the_property(port: str) -> None:
    found = settings_of(
        {
            ZOOKEEPERS: f"10.0.0.1:2181,10.0.0.2:{port}",
            CONNECT_STRING: f"10.0.0.1:{port}",
            MYSQL_HOST: "10.0.0.1",
            MYSQL_PORT: port,
        }
    )
    for name, attribute in (
        (ZOOKEEPERS, "zookeepers"),
        (CONNECT_STRING, "manager"),
        (MYSQL_PORT, "mysqld"),
    ):
        with pytest.raises(Broken, match=f"{name} is .* no port") as caught:
            getattr(found, attribute)
        assert caught.value.fix


def test_addresses_of_the_client_have_their_usual_ports() -> None:
    assert list(map(str, settings_of({ZOOKEEPERS: "a, b:2182"}).zookeepers)) == [
        "a:2181",
        "b:2182",
    ]
    several = settings_of({CONNECT_STRING: "nodeid=4,10.0.0.1:1187,10.0.0.2:1188"})
    assert str(several.manager) == "10.0.0.1:1187"
    assert str(settings_of({CONNECT_STRING: "10.0.0.1"}).manager) == "10.0.0.1:1186"


def chain(*, followers: int = 0, state: PortState = PortState.OPEN, **site: str) -> Chain:
    named = {f"serverless.tcp.{key}": value for key, value in site.items()}
    return cast("Chain", FakeChain(site=named, followers=followers, state=state))


def callbacks(made: Chain) -> list[str]:
    return list(map(str, deep_checks.callbacks(made)))


def test_every_clients_callback_port_is_that_of_its_configuration() -> None:
    assert callbacks(chain()) == ["10.0.6.10:6000"]
    assert callbacks(chain(port="6500", followers=2)) == [
        "10.0.6.10:6500",
        "10.0.6.20:6500",
        "10.0.6.21:6500",
    ]
    assert len(callbacks(chain(followers=300))) == 1 + deep_checks.MOST_FOLLOWERS
    assert callbacks(chain(enabled="false")) == []
    for wrong in ("x", "0", "65536"):
        with pytest.raises(Broken, match=r"serverless.tcp.port is .*no port"):
            callbacks(chain(port=wrong))


def test_packets_to_followers_arrive_whether_or_not_a_benchmark_runs() -> None:
    with pytest.raises(NotApplicable, match="no λFS client of an auto-scaling group runs"):
        client_checks.check_followers(chain())
    for state in (PortState.OPEN, PortState.REFUSED):
        found = client_checks.check_followers(chain(followers=2, state=state))
        assert found == "10.0.6.20:8000, 10.0.6.21:8000"


@pytest.mark.parametrize("check", [cluster_checks.check_openwhisk, deep_checks.check_pod])
def test_openwhisk_that_was_never_installed_is_called_so(
    monkeypatch: pytest.MonkeyPatch, check: Callable[[Chain], str]
) -> None:
    """It was a Job that had not been created yet, and a request that Kubernetes refused."""
    empty = SimpleNamespace(get=lambda *_: None, list=lambda *_, **__: [])
    monkeypatch.setattr(cluster_checks, "active_cluster", lambda _: {"name": "zoo"})
    monkeypatch.setattr(cluster_checks, "kube_client", lambda _: empty)
    chain = SimpleNamespace(
        ctx=SimpleNamespace(config=Config(ssh_keypair_name="k", ssh_key_path="k"))
    )
    with pytest.raises(Broken, match="not installed: there is no namespace openwhisk") as broken:
        check(cast(Chain, chain))
    assert broken.value.fix == "run python configure_eks_cluster.py"

"""API servers of the emulated EKS: tokens, access, nodes, add-ons, volumes, load balancers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from kubernetes.client.exceptions import ApiException

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.api.authentication import InvalidToken, check_token
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.support.aws import client
from tests.support.eks import EksEnvironment, advance, make, role
from tests.support.eks_tokens import URL, connect, decode, encode, sign
from tests.support.kube import GP3

ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
SECRETS = ["not-a-secret"]


@pytest.fixture
def hooks(cloud: RehearsalCloud) -> Iterator[EksApiServers]:
    with EksApiServers(cloud) as installed:
        yield installed


@pytest.fixture
def environment(hooks: EksApiServers) -> EksEnvironment:
    made = make()
    made.cluster()
    return made


def core(name: str = "zoo") -> Any:
    return connect(name, sign(name))


def status_of(call: Any, *arguments: Any) -> int:
    with pytest.raises(ApiException) as caught:
        call(*arguments)
    assert isinstance(caught.value.status, int)
    return caught.value.status


def test_the_creator_has_access_with_a_token_for_this_cluster_only(
    environment: EksEnvironment,
) -> None:
    assert core().list_namespace().items
    assert status_of(connect("zoo", sign("another")).list_namespace) == 401
    assert status_of(connect("zoo", "any").list_namespace) == 401


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (lambda: "abc", "does not begin"),
        (lambda: "k8s-aws-v1.%%%", "not"),
        (lambda: sign("zoo") + "==", "padded"),
        (lambda: sign("other"), "not one for cluster 'zoo'"),
        (lambda: sign("zoo", headers=False), "signed headers"),
        (lambda: sign("zoo", url=URL.replace("GetCallerIdentity", "AssumeRole")), "not a signed"),
        (lambda: sign("zoo", url=URL + "&More=1"), "non-whitelisted"),
        (lambda: sign("zoo", url=URL.replace("sts.us-east-1.amazonaws", "evil")), "not a URL"),
        (lambda: sign("zoo", expires=3600), "X-Amz-Expires"),
        (lambda: encode(URL), "missing"),
        (lambda: encode(decode(sign("zoo"))[:-4] + "0000"), "not one for cluster"),
    ],
)
def test_invalid_tokens_are_rejected_with_a_reason(token: Any, why: str) -> None:
    with pytest.raises(InvalidToken, match=why):
        check_token(token(), cluster="zoo", secrets=SECRETS)


def test_a_token_lasts_a_quarter_of_an_hour() -> None:
    def later(minutes: float) -> Any:
        return lambda: datetime.now(UTC) + timedelta(minutes=minutes)

    token = sign("zoo")
    assert check_token(token, cluster="zoo", secrets=SECRETS, now=later(14)).access_key
    with pytest.raises(InvalidToken, match="expired"):
        check_token(token, cluster="zoo", secrets=SECRETS, now=later(16))
    with pytest.raises(InvalidToken, match="known key"):
        check_token(token, cluster="zoo", secrets=["another"])


def test_an_access_entry_without_policy_is_403_and_none_is_401(
    environment: EksEnvironment, cloud: RehearsalCloud
) -> None:
    arn = role("other", "ec2.amazonaws.com")
    cloud.settings.principal = arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
    cloud.settings.principal += "/session"
    assert status_of(core().list_namespace) == 401
    client("eks").create_access_entry(clusterName="zoo", principalArn=arn)
    assert status_of(core().list_namespace) == 403
    client("eks").associate_access_policy(
        clusterName="zoo", principalArn=arn, policyArn=ADMIN, accessScope={"type": "cluster"}
    )
    assert core().list_namespace().items


def test_aws_auth_grants_access_to_its_users(
    environment: EksEnvironment, cloud: RehearsalCloud, hooks: EksApiServers
) -> None:
    environment.nodes()
    v1 = core()
    held = v1.read_namespaced_config_map("aws-auth", "kube-system")
    assert environment.node_role in held.data["mapRoles"]
    other = "arn:aws:iam::123456789012:user/other"
    rows = f"- userarn: {other}\n  username: other\n  groups: [system:masters]\n"
    held.data["mapUsers"] = rows
    v1.replace_namespaced_config_map("aws-auth", "kube-system", held)
    cloud.settings.principal = other
    assert core().list_namespace().items
    cloud.settings.principal = other + "s"
    assert status_of(core().list_namespace) == 401
    assert hooks.refusals[-1].endswith("has no access to this cluster")


def test_expired_credentials_are_refused(
    environment: EksEnvironment, cloud: RehearsalCloud
) -> None:
    v1 = core()
    cloud.settings.credentials = "expired"
    assert status_of(v1.list_namespace) == 401


def test_nodes_are_added_and_removed_with_their_group(environment: EksEnvironment) -> None:
    environment.nodes(labels={"openwhisk-role": "invoker"})
    nodes = core().list_node(label_selector="openwhisk-role=invoker").items
    assert len(nodes) == 2
    assert {node.metadata.labels["eks.amazonaws.com/nodegroup"] for node in nodes} == {"nodes"}
    assert all(node.spec.provider_id.startswith("aws:///us-east-1") for node in nodes)
    client("eks").delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    assert core().list_node().items == []


def claim_and_pod(v1: Any) -> None:
    v1.create_namespaced_persistent_volume_claim(
        "default",
        {
            "metadata": {"name": "c"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "gp3",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )
    v1.create_namespaced_pod(
        "default",
        {
            "metadata": {"name": "p"},
            "spec": {
                "containers": [{"name": "p", "image": "i"}],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
            },
        },
    )


def phase(v1: Any) -> str:
    return str(v1.read_namespaced_persistent_volume_claim("c", "default").status.phase)


def test_claims_are_bound_to_ebs_volumes_when_the_driver_is_active(
    environment: EksEnvironment, hooks: EksApiServers
) -> None:
    environment.nodes()
    v1 = core()
    hooks.apis["zoo"].state.put("storageclasses", GP3)
    claim_and_pod(v1)
    assert phase(v1) == "Pending"
    events = v1.list_namespaced_event("default").items
    assert any("external provisioner 'ebs.csi.aws.com'" in event.message for event in events)
    eks = client("eks")
    driver = {"clusterName": "zoo", "addonName": "aws-ebs-csi-driver"}
    eks.create_addon(**driver)
    assert eks.describe_addon(**driver)["addon"]["status"] == "DEGRADED"
    assert phase(v1) == "Pending"
    client("iam").attach_role_policy(
        RoleName="node-role",
        PolicyArn="arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",
    )
    assert eks.describe_addon(**driver)["addon"]["status"] == "ACTIVE"
    assert phase(v1) == "Bound"
    (volume,) = [
        item
        for item in client("ec2").describe_volumes()["Volumes"]
        if {"Key": "kubernetes.io/cluster/zoo", "Value": "owned"} in item.get("Tags", [])
    ]
    assert volume["Size"] == 1
    v1.delete_namespaced_persistent_volume_claim("c", "default")
    assert phase(v1) == "Bound"
    v1.delete_namespaced_pod("p", "default")
    left = [item["VolumeId"] for item in client("ec2").describe_volumes()["Volumes"]]
    assert volume["VolumeId"] not in left


def test_a_service_has_a_classic_load_balancer_and_a_group(environment: EksEnvironment) -> None:
    v1, elb, ec2 = core(), client("elb"), client("ec2")
    v1.create_namespaced_service(
        "default",
        {
            "metadata": {"name": "s"},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]},
        },
    )
    found = v1.read_namespaced_service("s", "default").status.load_balancer.ingress[0].hostname
    (balancer,) = elb.describe_load_balancers()["LoadBalancerDescriptions"]
    assert balancer["DNSName"] == found
    assert sorted(balancer["Subnets"]) == sorted(environment.subnets)
    groups = [{"Name": "group-name", "Values": ["k8s-elb-*"]}]
    assert len(ec2.describe_security_groups(Filters=groups)["SecurityGroups"]) == 1
    v1.delete_namespaced_service("s", "default")
    assert status_of(v1.read_namespaced_service, "s", "default") == 404
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []
    assert ec2.describe_security_groups(Filters=groups)["SecurityGroups"] == []


def test_the_source_ranges_of_a_service_are_rules_of_its_group(environment: EksEnvironment) -> None:
    v1, ec2 = core(), client("ec2")
    spec = {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]}
    annotation = "service.beta.kubernetes.io/load-balancer-source-ranges"
    meta = {"name": "s", "annotations": {annotation: "10.0.0.0/8, 52.94.76.7/32"}}
    v1.create_namespaced_service("default", {"metadata": meta, "spec": spec})

    def allowed() -> list[str]:
        groups = [{"Name": "group-name", "Values": ["k8s-elb-*"]}]
        (found,) = ec2.describe_security_groups(Filters=groups)["SecurityGroups"]
        ranges = {
            (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]): sorted(
                item["CidrIp"] for item in rule["IpRanges"]
            )
            for rule in found["IpPermissions"]
        }
        assert ranges.keys() == {("tcp", 80, 80), ("icmp", 3, 4)}
        assert ranges["icmp", 3, 4] == ranges["tcp", 80, 80]
        return ranges["tcp", 80, 80]

    assert allowed() == ["10.0.0.0/8", "52.94.76.7/32"]
    narrow = {"spec": {"loadBalancerSourceRanges": ["52.94.76.7/32"]}}
    v1.patch_namespaced_service("s", "default", narrow)
    assert allowed() == ["52.94.76.7/32"], "the spec overrides the annotation"
    everything = {
        "metadata": {"annotations": {annotation: None}},
        "spec": {"loadBalancerSourceRanges": None},
    }
    v1.patch_namespaced_service("s", "default", everything)
    assert allowed() == ["0.0.0.0/0"]


def test_a_missing_certificate_keeps_the_load_balancer_pending(environment: EksEnvironment) -> None:
    v1 = core()
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    v1.create_namespaced_service(
        "default",
        {
            "metadata": {
                "name": "s",
                "annotations": {
                    f"{prefix}ssl-cert": "arn:aws:iam::123456789012:server-certificate/none",
                },
            },
            "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
        },
    )
    assert not v1.read_namespaced_service("s", "default").status.load_balancer.ingress
    messages = [item.message for item in v1.list_namespaced_event("default").items]
    assert any("CertificateNotFound" in message for message in messages)
    gone = {"metadata": {"annotations": {f"{prefix}ssl-cert": None}}}
    v1.patch_namespaced_service("s", "default", gone)
    assert v1.read_namespaced_service("s", "default").status.load_balancer.ingress


def test_a_deleted_cluster_has_no_server(environment: EksEnvironment, hooks: EksApiServers) -> None:
    client("eks").delete_cluster(name="zoo")
    assert client("eks").list_clusters()["clusters"] == []
    assert hooks.apis == {}


def test_faults_are_activated_over_the_admin_api(
    environment: EksEnvironment, cloud: RehearsalCloud
) -> None:
    def ask(method: str, body: Any = None) -> tuple[int, Any]:
        raw = json.dumps(body).encode() if body is not None else None
        answer = urllib3.request(method, f"{cloud.url}/_rehearsal/kube/faults", body=raw)
        return answer.status, answer.json()

    assert ask("POST", {"fault": "nonsense"})[0] == 400
    code, held = ask("POST", {"fault": "status", "status": 503, "resource": "namespaces"})
    assert (code, held[0]["status"]) == (200, 503)
    assert status_of(core().list_namespace) == 503
    assert ask("DELETE") == (200, [])


@pytest.fixture
def zoo(slow_cloud: RehearsalCloud) -> Iterator[EksApiServers]:
    with EksApiServers(slow_cloud) as hooks:
        make().cluster()
        advance(slow_cloud, 561)
        client("eks").describe_cluster(name="zoo")
        advance(slow_cloud, 5)
        yield hooks


def test_a_service_is_deleted_after_its_group(
    zoo: EksApiServers, slow_cloud: RehearsalCloud
) -> None:
    v1, elb = connect("zoo", sign("zoo")), client("elb")
    v1.create_namespaced_service(
        "default",
        {
            "metadata": {"name": "s"},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]},
        },
    )
    assert not v1.read_namespaced_service("s", "default").status.load_balancer.ingress
    advance(slow_cloud, 26)
    assert v1.read_namespaced_service("s", "default").status.load_balancer.ingress
    v1.delete_namespaced_service("s", "default")
    advance(slow_cloud, 11)
    assert v1.read_namespaced_service("s", "default").metadata.deletion_timestamp
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []
    events = [item.message for item in v1.list_namespaced_event("default").items]
    assert any("DependencyViolation" in event for event in events)
    advance(slow_cloud, 90)
    assert v1.list_namespaced_service("default").items == []
    groups = [{"Name": "group-name", "Values": ["k8s-elb-*"]}]
    assert client("ec2").describe_security_groups(Filters=groups)["SecurityGroups"] == []

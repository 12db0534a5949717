"""Access entries, add-ons and Pod Identity of the rehearsal cloud.

Pages: EKS API reference (API_CreateAccessEntry, API_AssociateAccessPolicy, API_CreateAddon,
API_DescribeAddonVersions, API_UpdateAddon, API_CreatePodIdentityAssociation); EKS user guide
(access-entries, ebs-csi, iam-roles-for-service-accounts, pod-id-association).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_setup.rehearsal.aws.eks.hooks import Endpoint, NoApiServer, NodegroupInfo
from aws_setup.rehearsal.aws.eks.store import install_hooks
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused
from tests.support.eks import POLICY, EksEnvironment, advance, make, role

EBS = "aws-ebs-csi-driver"
ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
ME = "arn:aws:iam::123456789012:user/rehearsal"
HERE = {"clusterName": "zoo"}


@pytest.fixture
def environment(cloud: RehearsalCloud) -> EksEnvironment:
    made = make()
    made.cluster()
    return made


@pytest.fixture
def eks(cloud: RehearsalCloud) -> Any:
    return client("eks")


def addon(name: str = EBS) -> dict[str, Any]:
    return dict(client("eks").describe_addon(clusterName="zoo", addonName=name)["addon"])


def oidc_role(name: str, *, provider: bool = True, subject: str = "ebs-csi-controller-sa") -> str:
    """Create the cluster's OIDC provider and a role that trusts one of its service accounts."""
    iam = client("iam")
    issuer = client("eks").describe_cluster(name="zoo")["cluster"]["identity"]["oidc"]["issuer"]
    host = issuer.removeprefix("https://")
    arn = f"arn:aws:iam::123456789012:oidc-provider/{host}"
    if provider:
        made = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])
        assert made["OpenIDConnectProviderArn"] == arn
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                f"{host}:aud": "sts.amazonaws.com",
                f"{host}:sub": f"system:serviceaccount:kube-system:{subject}",
            }
        },
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    policy = POLICY + "AmazonEBSCSIDriverPolicyV2"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    return str(made["Role"]["Arn"])


def test_the_creator_is_admin(environment: EksEnvironment, eks: Any) -> None:
    """access-entries: bootstrapClusterCreatorAdminPermissions makes an admin entry."""
    assert eks.list_access_entries(clusterName="zoo")["accessEntries"] == [ME]
    found = eks.list_associated_access_policies(clusterName="zoo", principalArn=ME)
    (policy,) = found["associatedAccessPolicies"]
    assert policy["policyArn"] == ADMIN
    assert policy["accessScope"]["type"] == "cluster"
    no = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    environment.cluster("other", accessConfig=no)
    assert eks.list_access_entries(clusterName="other")["accessEntries"] == []


def test_entries(environment: EksEnvironment, eks: Any) -> None:
    """API_CreateAccessEntry: for principals that exist, once each, without reserved names."""
    team = role("team", "ec2.amazonaws.com")
    made = eks.create_access_entry(**HERE, principalArn=team, tags={"a": "b"})["accessEntry"]
    assert (made["type"], made["username"], made["tags"]) == ("STANDARD", team, {"a": "b"})
    assert refused(eks.create_access_entry, **HERE, principalArn=team) == "ResourceInUseException"
    ghost, invalid = team.replace("team", "ghost"), "InvalidParameterException"
    assert refused(eks.create_access_entry, **HERE, principalArn=ghost) == invalid
    other = role("other", "ec2.amazonaws.com")
    masters = {"principalArn": other, "kubernetesGroups": ["system:masters"]}
    assert refused(eks.create_access_entry, **HERE, **masters) == invalid
    nodes = {"principalArn": other, "type": "EC2_LINUX", "kubernetesGroups": ["g"]}
    assert refused(eks.create_access_entry, **HERE, **nodes) == invalid
    eks.update_access_entry(**HERE, principalArn=team, kubernetesGroups=["viewers"])
    found = eks.describe_access_entry(**HERE, principalArn=team)["accessEntry"]
    assert found["kubernetesGroups"] == ["viewers"]
    eks.delete_access_entry(**HERE, principalArn=team)
    missing = refused(eks.describe_access_entry, **HERE, principalArn=team)
    assert missing == "ResourceNotFoundException"


def test_policies_of_entries(environment: EksEnvironment, eks: Any) -> None:
    """API_AssociateAccessPolicy: known policies, on STANDARD entries, with a fitting scope."""
    team, scope = role("team", "ec2.amazonaws.com"), {"type": "cluster"}
    eks.create_access_entry(**HERE, principalArn=team)
    request: dict[str, Any] = {**HERE, "principalArn": team, "accessScope": scope}
    wrong = refused(eks.associate_access_policy, **request, policyArn=ADMIN + "X")
    assert wrong == "InvalidParameterException"
    where = request | {"accessScope": {"type": "namespace"}, "policyArn": ADMIN}
    assert refused(eks.associate_access_policy, **where) == "InvalidParameterException"
    eks.associate_access_policy(**request, policyArn=ADMIN)
    listed = eks.list_access_entries(**HERE, associatedPolicyArn=ADMIN)["accessEntries"]
    assert listed == [team, ME]
    eks.disassociate_access_policy(**HERE, principalArn=team, policyArn=ADMIN)
    again = refused(eks.disassociate_access_policy, **HERE, principalArn=team, policyArn=ADMIN)
    assert again == "ResourceNotFoundException"
    assert ADMIN in {request["arn"] for request in eks.list_access_policies()["accessPolicies"]}


def test_config_map_clusters_have_no_entries(environment: EksEnvironment, eks: Any) -> None:
    """access-entries: they need a mode with the API, into which a cluster can be changed."""
    environment.cluster("old", accessConfig={})
    call = {"clusterName": "old"}
    assert refused(eks.list_access_entries, **call) == "InvalidRequestException"
    eks.update_cluster_config(name="old", accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    assert eks.list_access_entries(**call)["accessEntries"] == [ME]


def test_addon_versions(environment: EksEnvironment, eks: Any) -> None:
    """API_DescribeAddonVersions: versions, defaults for a Kubernetes version, and unknown names."""
    asked = {"addonName": EBS, "kubernetesVersion": "1.35"}
    (found,) = eks.describe_addon_versions(**asked)["addons"]
    defaults = [
        addon_version["addonVersion"]
        for addon_version in found["addonVersions"]
        if addon_version["compatibilities"][0]["defaultVersion"]
    ]
    assert len(defaults) == 1
    eks.create_addon(**HERE, addonName=EBS)
    assert addon()["addonVersion"] == defaults[0]
    assert eks.describe_addon_versions(addonName="none")["addons"] == []
    config = eks.describe_addon_configuration(addonName=EBS, addonVersion=defaults[0])
    assert json.loads(config["configurationSchema"])["type"] == "object"


def test_rejected_addons(environment: EksEnvironment, eks: Any) -> None:
    """API_CreateAddon, Errors and parameters."""
    invalid = "InvalidParameterException"
    assert refused(eks.create_addon, **HERE, addonName="none") == invalid
    version = {"addonName": EBS, "addonVersion": "v0.0.1-eksbuild.1"}
    assert refused(eks.create_addon, **HERE, **version) == invalid
    garbage = {"addonName": EBS, "configurationValues": "{not: [json"}
    assert refused(eks.create_addon, **HERE, **garbage) == invalid
    pods = role("pods", "pods.eks.amazonaws.com")
    both = {
        "addonName": EBS,
        "serviceAccountRoleArn": pods,
        "podIdentityAssociations": [{"serviceAccount": "ebs-csi-controller-sa", "roleArn": pods}],
    }
    assert refused(eks.create_addon, **HERE, **both) == invalid
    eks.create_addon(**HERE, addonName=EBS)
    assert refused(eks.create_addon, **HERE, addonName=EBS) == "ResourceInUseException"
    assert refused(eks.describe_addon, **HERE, addonName="coredns") == "ResourceNotFoundException"


def test_an_addon_without_nodes_is_degraded_and_recovers(
    environment: EksEnvironment, eks: Any
) -> None:
    """ebs-csi and API_AddonIssue: InsufficientNumberOfReplicas until there are nodes."""
    arn = oidc_role("ebs")
    eks.create_addon(**HERE, addonName=EBS, serviceAccountRoleArn=arn)
    found = addon()
    assert found["status"] == "DEGRADED"
    assert found["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"
    environment.nodes()
    assert (addon()["status"], addon()["health"]["issues"]) == ("ACTIVE", [])
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    assert addon()["status"] == "DEGRADED"


def test_the_driver_needs_credentials(environment: EksEnvironment, eks: Any) -> None:
    """iam-roles-for-service-accounts: provider, trust of this service account, policy."""
    environment.nodes()
    eks.create_addon(**HERE, addonName=EBS)
    assert addon()["status"] == "DEGRADED"
    wrong = oidc_role("wrong", provider=False, subject="default")
    eks.update_addon(**HERE, addonName=EBS, serviceAccountRoleArn=wrong)
    assert addon()["status"] == "DEGRADED"
    right = oidc_role("right")
    update = eks.update_addon(**HERE, addonName=EBS, serviceAccountRoleArn=right)["update"]
    found = eks.describe_update(name="zoo", updateId=update["id"], addonName=EBS)["update"]
    assert (found["type"], found["status"]) == ("AddonUpdate", "Successful")
    assert (addon()["status"], addon()["serviceAccountRoleArn"]) == ("ACTIVE", right)


def test_pod_identity_instead(environment: EksEnvironment, eks: Any) -> None:
    """pod-id-association: the role trusts pods.eks.amazonaws.com, the agent runs."""
    environment.nodes()
    pods = role("pods", "pods.eks.amazonaws.com", "service-role/AmazonEBSCSIDriverPolicy")
    account = {"serviceAccount": "ebs-csi-controller-sa", "roleArn": pods}
    eks.create_addon(**HERE, addonName=EBS, podIdentityAssociations=[account])
    assert addon()["status"] == "DEGRADED"
    eks.create_addon(**HERE, addonName="eks-pod-identity-agent")
    assert addon()["status"] == "ACTIVE"
    (association,) = eks.list_pod_identity_associations(**HERE)["associations"]
    assert association["ownerArn"] == addon()["addonArn"]
    same = {"namespace": "kube-system", **account}
    assert refused(eks.create_pod_identity_association, **HERE, **same) == "ResourceInUseException"
    plain = role("plain", "ec2.amazonaws.com")
    other = {"namespace": "default", "serviceAccount": "x", "roleArn": plain}
    invalid = refused(eks.create_pod_identity_association, **HERE, **other)
    assert invalid == "InvalidParameterException"
    eks.delete_addon(**HERE, addonName=EBS)
    assert eks.list_pod_identity_associations(**HERE)["associations"] == []


def test_addons_have_delays(slow_cloud: RehearsalCloud) -> None:
    """API_Addon, status: CREATING, ACTIVE, DELETING, gone."""
    environment, eks = make(), client("eks")
    environment.cluster()
    advance(slow_cloud, 561)
    agent = "eks-pod-identity-agent"
    assert eks.create_addon(**HERE, addonName=agent)["addon"]["status"] == "CREATING"
    advance(slow_cloud, 44)
    assert addon(agent)["status"] == "CREATING"
    advance(slow_cloud, 2)
    assert addon(agent)["status"] == "ACTIVE"
    assert eks.delete_addon(**HERE, addonName=agent)["addon"]["status"] == "DELETING"
    advance(slow_cloud, 11)
    assert eks.list_addons(**HERE)["addons"] == []


class Listener(NoApiServer):
    """Hooks that return an endpoint and record their calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        return Endpoint("https://127.0.0.1:6443", "Y2E=")

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        self.calls.append((group.name, len(group.nodes), group.labels))

    def deleted(self, *, name: str, region: str) -> None:
        self.calls.append(name)


def test_hooks_return_the_endpoint_and_get_the_nodes(cloud: RehearsalCloud, eks: Any) -> None:
    """The hooks get the nodes that join and leave."""
    listener, environment = Listener(), make()
    install_hooks(cloud, listener)
    environment.cluster()
    found = eks.describe_cluster(name="zoo")["cluster"]
    assert found["endpoint"] == "https://127.0.0.1:6443"
    assert found["certificateAuthority"]["data"] == "Y2E="
    environment.nodes(labels={"a": "b"})
    eks.delete_nodegroup(clusterName="zoo", nodegroupName="nodes")
    eks.delete_cluster(name="zoo")
    eks.list_clusters()
    assert listener.calls == [("nodes", 2, {"a": "b"}), ("nodes", 0, {"a": "b"}), "zoo"]

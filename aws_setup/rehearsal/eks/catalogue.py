"""The add-ons that EKS offers: names, versions for each Kubernetes version, configuration.

https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeAddonVersions.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import errors
from aws_setup.rehearsal.eks.context import current_date
from aws_setup.rehearsal.eks.pages import paginate
from aws_setup.rehearsal.eks.versions import supported_versions
from aws_setup.rehearsal.rules import Call

EBS_CSI = "aws-ebs-csi-driver"
POD_IDENTITY_AGENT = "eks-pod-identity-agent"


@dataclass(frozen=True)
class AddonInfo:
    """One add-on; `versions` newest first, of which the first but one is the default."""

    name: str
    kind: str
    versions: tuple[str, ...]
    needs_nodes: bool
    """Whether it runs replicas that need a node; a DaemonSet is content without."""
    service_account: str = ""
    policy: str = ""

    @property
    def default(self) -> str:
        """The version that CreateAddon takes when it is given none."""
        return self.versions[1]

    def described(self, kubernetes: list[str]) -> dict[str, Any]:
        """Return the add-on as DescribeAddonVersions answers it."""
        return {
            "addonName": self.name,
            "type": self.kind,
            "publisher": "eks",
            "owner": "aws",
            "defaultNamespace": "kube-system",
            "addonVersions": [self._version(one, kubernetes) for one in self.versions],
        }

    def _version(self, version: str, kubernetes: list[str]) -> dict[str, Any]:
        fits = [
            {
                "clusterVersion": one,
                "platformVersions": ["*"],
                "defaultVersion": version == self.default,
            }
            for one in kubernetes
        ]
        return {
            "addonVersion": version,
            "architecture": ["amd64", "arm64"],
            "computeTypes": ["ec2"],
            "compatibilities": fits,
            "requiresConfiguration": False,
            "requiresIamPermissions": bool(self.policy),
        }


ADDON_CATALOG = {
    find_addon_info.name: find_addon_info
    for find_addon_info in (
        AddonInfo(
            EBS_CSI,
            "storage",
            ("v1.53.0-eksbuild.1", "v1.52.1-eksbuild.1", "v1.51.1-eksbuild.1"),
            needs_nodes=True,
            service_account="ebs-csi-controller-sa",
            policy="AmazonEBSCSIDriverPolicyV2",
        ),
        AddonInfo(
            POD_IDENTITY_AGENT,
            "security",
            ("v1.3.10-eksbuild.1", "v1.3.9-eksbuild.3"),
            needs_nodes=False,
        ),
        AddonInfo("coredns", "networking", ("v1.13.1-eksbuild.1", "v1.12.4-eksbuild.1"), True),
        AddonInfo("kube-proxy", "networking", ("v1.35.1-eksbuild.2", "v1.35.0-eksbuild.2"), False),
        AddonInfo(
            "vpc-cni",
            "networking",
            ("v1.21.1-eksbuild.1", "v1.20.5-eksbuild.1"),
            needs_nodes=False,
            service_account="aws-node",
            policy="AmazonEKS_CNI_Policy",
        ),
    )
}
"""Add-ons by name; others that AWS offers are not in this emulator."""


def find_addon_info(name: str) -> AddonInfo:
    """Return an add-on; raises InvalidParameterException when there is none of that name."""
    if name not in ADDON_CATALOG:
        raise errors.invalid_parameter(f"Addon {name} specified is not supported", addonName=name)
    return ADDON_CATALOG[name]


def describe_addon_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DescribeAddonVersions; an unknown name or version yields an empty list."""
    params = call.params
    known = list(supported_versions(current_date(cloud)))
    asked = params.get("kubernetesVersion")
    versions = [one for one in known if not asked or one == asked]
    found = [
        one.described(versions)
        for one in ADDON_CATALOG.values()
        if versions
        and one.name == params.get("addonName", one.name)
        and (not params.get("types") or one.kind in params["types"])
    ]
    return paginate("addons", found, params)


def describe_addon_configuration(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DescribeAddonConfiguration; the schema accepts any object."""
    one = ADDON_CATALOG.get(call.params["addonName"])
    version = call.params["addonVersion"]
    if one is None or version not in one.versions:
        raise errors.not_found(f"Addon version {version} is not found")
    accounts = [{"serviceAccount": one.service_account, "recommendedManagedPolicies": [one.policy]}]
    return {
        "addonName": one.name,
        "addonVersion": version,
        "configurationSchema": json.dumps({"type": "object"}),
        "podIdentityConfiguration": accounts if one.policy else [],
    }


ADDON_CATALOG_ANSWERS = {
    ("eks", "DescribeAddonVersions"): describe_addon_versions,
    ("eks", "DescribeAddonConfiguration"): describe_addon_configuration,
}

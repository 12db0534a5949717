"""The Kubernetes versions of EKS with their support dates, and the add-ons.

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeClusterVersions.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from aws_setup.rehearsal.aws.eks import responses
from aws_setup.rehearsal.aws.eks.responses import paginate
from aws_setup.rehearsal.aws.eks.store import current_date
from aws_setup.rehearsal.core.types import Call, CloudApi

DEFAULT_VERSION = "1.35"
"""The version of CreateCluster without a version."""


@dataclass(frozen=True)
class KubernetesVersion:
    """One Kubernetes version with its dates in EKS."""

    name: str
    released: date
    end_of_standard: date
    end_of_extended: date

    def status(self, day: date) -> str:
        """Return the support status on a day, as the API spells it."""
        if day <= self.end_of_standard:
            return "STANDARD_SUPPORT"
        return "EXTENDED_SUPPORT" if day <= self.end_of_extended else "UNSUPPORTED"

    def described(self, day: date) -> dict[str, Any]:
        """Return the release as DescribeClusterVersions answers it on a day."""
        status = self.status(day)
        return {
            "clusterVersion": self.name,
            "clusterType": "eks",
            "defaultPlatformVersion": "eks.7",
            "defaultVersion": self.name == DEFAULT_VERSION,
            "releaseDate": _midnight(self.released),
            "endOfStandardSupportDate": _midnight(self.end_of_standard),
            "endOfExtendedSupportDate": _midnight(self.end_of_extended),
            "status": status.lower().replace("_", "-"),
            "versionStatus": status,
            "kubernetesPatchVersion": f"{self.name}.4",
        }


KUBERNETES_VERSIONS = (
    KubernetesVersion("1.36", date(2026, 6, 2), date(2027, 8, 2), date(2028, 8, 2)),
    KubernetesVersion("1.35", date(2026, 1, 27), date(2027, 3, 27), date(2028, 3, 27)),
    KubernetesVersion("1.34", date(2025, 10, 2), date(2026, 12, 2), date(2027, 12, 2)),
    KubernetesVersion("1.33", date(2025, 5, 29), date(2026, 7, 29), date(2027, 7, 29)),
    KubernetesVersion("1.32", date(2025, 1, 23), date(2026, 3, 23), date(2027, 3, 23)),
    KubernetesVersion("1.31", date(2024, 9, 26), date(2025, 11, 26), date(2026, 11, 26)),
    KubernetesVersion("1.30", date(2024, 5, 23), date(2025, 7, 23), date(2026, 7, 23)),
    KubernetesVersion("1.24", date(2022, 11, 15), date(2024, 1, 31), date(2025, 1, 31)),
)
"""Every emulated version, newest first."""


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def supported_versions(day: date) -> tuple[str, ...]:
    """Return the names of the versions that clusters can be created with on a day."""
    return tuple(
        version.name for version in KUBERNETES_VERSIONS if version.status(day) != "UNSUPPORTED"
    )


def check_version(cloud: CloudApi, version: str | None) -> str:
    """Return the version of a new cluster; raises InvalidParameterException when unsupported."""
    if version is None:
        return DEFAULT_VERSION
    if version not in supported_versions(current_date(cloud)):
        raise responses.invalid_parameter(f"unsupported Kubernetes version {version}")
    return version


def _wanted(release: KubernetesVersion, params: dict[str, Any], day: date) -> bool:
    requested = params.get("versionStatus") or params.get("status", "").upper().replace("-", "_")
    if params.get("clusterVersions") and release.name not in params["clusterVersions"]:
        return False
    if params.get("defaultOnly") and release.name != DEFAULT_VERSION:
        return False
    if requested:
        return release.status(day) == str(requested)
    listed = bool(params.get("includeAll") or params.get("clusterVersions"))
    return listed or release.status(day) != "UNSUPPORTED"


def describe_cluster_versions(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeClusterVersions; unsupported versions only on request."""
    day = current_date(cloud)
    found = [
        version.described(day)
        for version in KUBERNETES_VERSIONS
        if _wanted(version, call.params, day)
    ]
    return paginate("clusterVersions", found, call.params)


VERSION_ANSWERS = {("eks", "DescribeClusterVersions"): describe_cluster_versions}


EBS_CSI = "aws-ebs-csi-driver"
POD_IDENTITY_AGENT = "eks-pod-identity-agent"


@dataclass(frozen=True)
class AddonInfo:
    """One add-on; `versions` newest first, the second is the default.

    Those of kube-proxy are of one version of Kubernetes each: {} in them. EKS offers those of
    earlier versions, too. https://docs.aws.amazon.com/eks/latest/userguide/managing-kube-proxy.html
    """

    name: str
    kind: str
    versions: tuple[str, ...]
    needs_nodes: bool
    """Whether it needs a node for its replicas; a DaemonSet is healthy without nodes."""
    service_account: str = ""
    policy: str = ""

    def default(self, kubernetes: str) -> str:
        """Return the version of CreateAddon without a version."""
        return self.versions[1].format(kubernetes)

    def offered(self, kubernetes: str) -> list[str]:
        """Return the versions that a cluster of a version of Kubernetes takes, newest first."""
        minors = [kubernetes, *_older(kubernetes)]
        return list(dict.fromkeys(it.format(minor) for minor in minors for it in self.versions))

    def described(self, kubernetes: list[str]) -> dict[str, Any]:
        """Return the add-on as DescribeAddonVersions answers it."""
        every = dict.fromkeys(it for minor in kubernetes for it in self.offered(minor))
        return {
            "addonName": self.name,
            "type": self.kind,
            "publisher": "eks",
            "owner": "aws",
            "defaultNamespace": "kube-system",
            "addonVersions": [self._version(version, kubernetes) for version in every],
        }

    def _version(self, version: str, kubernetes: list[str]) -> dict[str, Any]:
        fits = [
            {
                "clusterVersion": item,
                "platformVersions": ["*"],
                "defaultVersion": version == self.default(item),
            }
            for item in kubernetes
            if version in self.offered(item)
        ]
        return {
            "addonVersion": version,
            "architecture": ["amd64", "arm64"],
            "computeTypes": ["ec2"],
            "compatibilities": fits,
            "requiresConfiguration": False,
            "requiresIamPermissions": bool(self.policy),
        }


def _older(kubernetes: str) -> list[str]:
    """Return the three minor versions before one, the newest first."""
    major, minor = kubernetes.split(".")
    return [f"{major}.{int(minor) - back}" for back in (1, 2, 3)]


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
        AddonInfo("kube-proxy", "networking", ("v{}.1-eksbuild.2", "v{}.0-eksbuild.2"), False),
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
"""The emulated add-ons by name; AWS offers more."""


def find_addon_info(name: str) -> AddonInfo:
    """Return an add-on; raises InvalidParameterException for an unknown name."""
    if name not in ADDON_CATALOG:
        raise responses.invalid_parameter(
            f"Addon {name} specified is not supported", addonName=name
        )
    return ADDON_CATALOG[name]


def describe_addon_versions(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeAddonVersions; an unknown name or version yields an empty list."""
    params = call.params
    known = list(supported_versions(current_date(cloud)))
    requested = params.get("kubernetesVersion")
    versions = [item for item in known if not requested or item == requested]
    found = [
        addon.described(versions)
        for addon in ADDON_CATALOG.values()
        if versions
        and addon.name == params.get("addonName", addon.name)
        and (not params.get("types") or addon.kind in params["types"])
    ]
    return paginate("addons", found, params)


def describe_addon_configuration(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeAddonConfiguration; the schema accepts any object."""
    addon = ADDON_CATALOG.get(call.params["addonName"])
    version = call.params["addonVersion"]
    known = [
        it
        for each in supported_versions(current_date(cloud))
        for it in (addon.offered(each) if addon else ())
    ]
    if addon is None or version not in known:
        raise responses.not_found(f"Addon version {version} is not found")
    accounts = [
        {"serviceAccount": addon.service_account, "recommendedManagedPolicies": [addon.policy]}
    ]
    return {
        "addonName": addon.name,
        "addonVersion": version,
        "configurationSchema": json.dumps({"type": "object"}),
        "podIdentityConfiguration": accounts if addon.policy else [],
    }


ADDON_CATALOG_ANSWERS = {
    ("eks", "DescribeAddonVersions"): describe_addon_versions,
    ("eks", "DescribeAddonConfiguration"): describe_addon_configuration,
}

ANSWERS = {**VERSION_ANSWERS, **ADDON_CATALOG_ANSWERS}

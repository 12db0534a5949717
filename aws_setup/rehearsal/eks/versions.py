"""Kubernetes versions of EKS: which exist, until when they are supported, which one is default.

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeClusterVersions.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks import errors
from aws_setup.rehearsal.eks.context import current_date
from aws_setup.rehearsal.eks.pages import paginate
from aws_setup.rehearsal.rules import Call

DEFAULT_VERSION = "1.35"
"""What CreateCluster takes without a version."""


@dataclass(frozen=True)
class KubernetesVersion:
    """One Kubernetes version with its dates in EKS."""

    name: str
    released: date
    end_of_standard: date
    end_of_extended: date

    def status(self, day: date) -> str:
        """Return the support status on a day, in the API's words."""
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
"""Every release that this emulator knows, newest first."""


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def supported_versions(day: date) -> tuple[str, ...]:
    """Return the names of the versions that clusters can be created with on a day."""
    return tuple(one.name for one in KUBERNETES_VERSIONS if one.status(day) != "UNSUPPORTED")


def check_version(cloud: Cloud, version: str | None) -> str:
    """Return the version of a new cluster; raises InvalidParameterException when EKS refuses it."""
    if version is None:
        return DEFAULT_VERSION
    if version not in supported_versions(current_date(cloud)):
        raise errors.invalid_parameter(f"unsupported Kubernetes version {version}")
    return version


def _wanted(release: KubernetesVersion, params: dict[str, Any], day: date) -> bool:
    asked = params.get("versionStatus") or params.get("status", "").upper().replace("-", "_")
    if params.get("clusterVersions") and release.name not in params["clusterVersions"]:
        return False
    if params.get("defaultOnly") and release.name != DEFAULT_VERSION:
        return False
    if asked:
        return release.status(day) == str(asked)
    listed = bool(params.get("includeAll") or params.get("clusterVersions"))
    return listed or release.status(day) != "UNSUPPORTED"


def describe_cluster_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DescribeClusterVersions; unsupported versions only where they are asked for."""
    day = current_date(cloud)
    found = [one.described(day) for one in KUBERNETES_VERSIONS if _wanted(one, call.params, day)]
    return paginate("clusterVersions", found, call.params)


VERSION_ANSWERS = {("eks", "DescribeClusterVersions"): describe_cluster_versions}

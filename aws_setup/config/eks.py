"""Keys of the EKS cluster; those of its nodes and of OpenWhisk are in openwhisk.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from aws_setup.config.base import Cidr, RoleName, Section, of_form

ClusterName = Annotated[
    str,
    of_form(
        r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$",
        "1 to 100 letters of a to z, digits, hyphens and _, beginning with a letter or digit",
    ),
]
Version = Annotated[str, of_form(r"^1\.[0-9]{2}$", 'a version in quotes, such as "1.35"')]
AddonName = Annotated[
    str,
    of_form(
        r"^[a-z0-9][a-z0-9_-]{0,99}$", "the name of an add-on of EKS, such as aws-ebs-csi-driver"
    ),
]
AddonVersion = Annotated[
    str,
    of_form(
        r"^v[0-9]+\.[0-9]+\.[0-9]+-[A-Za-z0-9.-]+$",
        "the version of an add-on, such as v1.20.5-eksbuild.1",
    ),
]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]


class Eks(Section):
    """EKS cluster."""

    create_eks_cluster: bool = True
    """Create the EKS cluster."""

    create_eks_iam_role: bool = True
    """Create the cluster's IAM role; False uses the existing role eks_iam_role_name."""

    eks_cluster_name: ClusterName = "lambda-fs-eks-cluster"
    """Name of the EKS cluster."""

    eks_iam_role_name: RoleName = "lambda-fs-eks-cluster-role"
    """Name of the cluster's IAM role."""

    kubernetes_version: Version | None = Field(default=None, examples=["1.36"])
    """Kubernetes version of a new cluster; if omitted, the newest in standard support that was
    checked with λFS. Once you have upgraded the cluster, configure upgrades nodes and add-ons."""

    eks_addon_versions: Mapping[AddonName, AddonVersion] = Field(
        default={}, examples=[{"vpc-cni": "v1.20.4-eksbuild.2"}]
    )
    """Versions of add-ons by name, such as {vpc-cni: v1.20.4-eksbuild.2}; for every other add-on
    EKS's default version for the Kubernetes version."""

    eks_public_access_cidrs: Annotated[tuple[Cidr, ...], Field(max_length=40)] = ()
    """Address ranges that may access the public API endpoint; if omitted, only your address."""

    eks_log_types: tuple[LogType, ...] = ()
    """Control-plane logs to send to CloudWatch (billed by AWS); none by default."""

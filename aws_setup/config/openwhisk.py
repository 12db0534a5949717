"""Keys of the EKS cluster's nodes, access, storage and kubeconfig, and of OpenWhisk on it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aws_setup.config.base import (
    WORD,
    Cidr,
    Count,
    InstanceType,
    LocalPath,
    RoleName,
    Section,
    of_form,
)
from aws_setup.config.chart_source import ChartSource, GitRef, InnerFolder, NoOption

PrincipalArn = Annotated[
    str,
    of_form(
        rf"^arn:aws[a-z-]*:iam::[0-9]{{12}}:(user|role)/[{WORD}+=,.@/-]+$",
        "the ARN of an IAM user or role, such as arn:aws:iam::123456789012:role/admin",
    ),
]

DiskSize = Annotated[int, Field(ge=20, le=16384)]
DnsLabel = Annotated[
    str,
    of_form(
        r"^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$",
        "1 to 42 lower-case letters, digits and hyphens, beginning with a letter and not ending "
        "with a hyphen",
    ),
]
CertificateArn = Annotated[
    str,
    of_form(
        rf"^arn:aws[a-z-]*:(acm:[a-z0-9-]+|iam:):[0-9]{{12}}:[{WORD}./+=,@-]+$",
        "the ARN of a certificate in ACM or IAM",
    ),
]
ContainerImage = Annotated[
    str,
    of_form(
        r"^([a-z0-9.-]+(:[0-9]+)?/)?([a-z0-9._-]+/)*[a-z0-9._-]+"
        rf"(:[{WORD}][{WORD}.-]{{0,127}})?$",
        "a container image, such as docker.io/NAME:TAG",
    ),
]
ImageTag = Annotated[
    str,
    of_form(
        rf"^[{WORD}][{WORD}.-]{{0,127}}$",
        "1 to 128 letters of a to z, digits, periods, hyphens and _",
    ),
]
CommonName = Annotated[str, of_form(r"^[!-~]([ -~]{0,62}[!-~])?$", "1 to 64 characters of ASCII")]
"""Also a dNSName, which is an IA5String (https://www.rfc-editor.org/rfc/rfc5280, 4.2.1.6)."""

Port = Annotated[int, Field(ge=1, le=65535)]


class OpenWhisk(Section):
    """Node groups, cluster access and OpenWhisk."""

    num_openwhisk_core_vms: Count = 3
    """Number of nodes for OpenWhisk's core components (controller, CouchDB, Kafka, …)."""

    num_openwhisk_invoker_vms: Count = 8
    """Number of nodes for OpenWhisk's invokers, which run the λFS NameNodes."""

    openwhisk_core_instance_type: InstanceType = "r5.xlarge"
    """Instance type of the core nodes."""

    openwhisk_invoker_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the invoker nodes."""

    eks_node_disk_size: DiskSize = 50
    """Disk size of every node, in GiB (gp3, encrypted)."""

    eks_node_role_name: RoleName = "lambda-fs-eks-node-role"
    """Name of the nodes' IAM role."""

    eks_nodes_public: bool = False
    """Launch the nodes in the public subnets instead of the private ones."""

    cluster_admins: tuple[PrincipalArn, ...] = ()
    """ARNs of the IAM users and roles that administer the cluster; if omitted, only you. Whom you
    remove loses access."""

    manage_aws_auth: bool = True
    """Also add the administrators to the aws-auth ConfigMap, if the cluster uses it."""

    storage_probe: bool = True
    """Test dynamic provisioning: create a pod with a 1 GiB volume, then delete both."""

    kubeconfig_path: LocalPath | None = Field(default=None, examples=["~/.kube/config"])
    """An existing kubeconfig to connect to the cluster with, instead of generated EKS tokens."""

    kube_context: NoOption | None = Field(default=None, examples=["my-context"])
    """Context of that kubeconfig; if omitted, its current context."""

    write_kubeconfig: bool = True
    """Add the cluster to your kubeconfig (KUBECONFIG, else ~/.kube/config)."""

    kubeconfig_file: LocalPath | None = Field(default=None, examples=["my.kubeconfig"])
    """The kubeconfig to add the cluster to; if omitted, that of KUBECONFIG, else ~/.kube/config."""

    set_kube_context: bool = False
    """Set the current context of your kubeconfig to the cluster."""

    openwhisk_chart: ChartSource = "https://github.com/Scusemua/openwhisk-deploy-kube"
    """OpenWhisk's Helm chart: a folder on this computer, or the https, ssh or file URL of a git
    repository, without a password in it."""

    openwhisk_chart_ref: GitRef = "aws"
    """Branch, tag or commit of that repository; the plan shows which commit a branch is at."""

    update_openwhisk_chart: bool = False
    """Update the release to the newest commit of openwhisk_chart_ref; if False, a release stays at
    the commit that it was installed from, even if the branch has newer ones."""

    openwhisk_chart_folder: InnerFolder = "helm/openwhisk"
    """Folder of the chart within that repository."""

    openwhisk_release: DnsLabel = "owdev"
    """Name of OpenWhisk's Helm release."""

    openwhisk_namespace: DnsLabel = "openwhisk"
    """Kubernetes namespace of OpenWhisk."""

    openwhisk_values: LocalPath | None = Field(default=None, examples=["my-values.yaml"])
    """A file of Helm values that override the generated ones."""

    openwhisk_internal: bool = False
    """Make OpenWhisk reachable from the VPC only; if False, it has a public load balancer too."""

    openwhisk_access_cidrs: Annotated[tuple[Cidr, ...], Field(max_length=40)] = ()
    """Address ranges that may access OpenWhisk's public load balancer, beside your address."""

    openwhisk_api_port: Port = 443
    """Port of OpenWhisk's API on the public load balancer: 80 without TLS, any other with it; the
    internal one has the chart's port, 80 or 443."""

    openwhisk_action_memory: Annotated[int, Field(ge=128, le=1_000_000)] = 20_000
    """Memory limit of a NameNode action in MB: whisk_helper.py's default, allowed by the chart, and
    the memory of the containers that OpenWhisk keeps warm."""

    openwhisk_invoker_image_tag: ImageTag | None = Field(default=None, examples=["6.25vcpu-40gb"])
    """Tag of the invoker's image; if omitted, the chart's default."""

    namenode_image: ContainerImage | None = Field(
        default=None, examples=["123456789012.dkr.ecr.us-east-1.amazonaws.com/namenode:1"]
    )
    """Container image of the NameNodes; if omitted, the chart's (scusemua/java8action:latest)."""

    openwhisk_tls_cert: LocalPath | None = Field(default=None, examples=["server.pem"])
    """Your certificate (PEM, chain included); if omitted, a self-signed one is created."""

    openwhisk_tls_key: LocalPath | None = Field(default=None, examples=["server.key"])
    """Private key of your certificate (PEM, not encrypted)."""

    openwhisk_tls_arn: CertificateArn | None = Field(
        default=None, examples=["arn:aws:acm:us-east-1:123456789012:certificate/abc"]
    )
    """ARN of an existing certificate in ACM or IAM for the load balancer."""

    openwhisk_tls_days: Annotated[int, Field(ge=31, le=3650)] = 365
    """Validity of the self-signed certificate, in days; it is renewed 30 days before it expires,
    and when you change this or openwhisk_tls_name."""

    openwhisk_tls_name: CommonName = "openwhisk"
    """Common name of the self-signed certificate, which is one of its host names, too: at most 64
    ASCII characters (X.509), other letters in the form xn--…"""

    write_wskprops: bool = False
    """Also write ~/.wskprops, which the `wsk` client reads; an existing file is backed up."""

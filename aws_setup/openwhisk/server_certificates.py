"""The deployment's certificates in IAM, which shows them in every region: those of this region.

The path of a certificate names its region. Earlier versions left the region out: there the load
balancers' host names in the certificate say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.denials import is_denial
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import certificate_path
from aws_setup.infrastructure.blockers import UnownedResource
from aws_setup.infrastructure.load_balancers import find_load_balancers
from aws_setup.openwhisk import certificate


def regional_path(ctx: Context) -> str:
    """Return the IAM path of this deployment's certificates in the run's region."""
    return f"{certificate_path(ctx.config)}{ctx.aws.region}/"


def listed(ctx: Context) -> Sequence[Any]:
    """Return the deployment's certificates but those that are of another region by their path."""
    paths = (regional_path(ctx), certificate_path(ctx.config))
    prefix = certificate_path(ctx.config)
    found = pages(
        ctx.aws.iam,
        "list_server_certificates",
        "ServerCertificateMetadataList",
        PathPrefix=prefix,
    )
    return [item for item in found if item["Path"] in paths]


def own(ctx: Context) -> list[Any]:
    """Return the deployment's certificates of the run's region."""
    here, region = regional_path(ctx), ctx.aws.region
    return [it for it in listed(ctx) if it["Path"] == here or region in _regions(ctx, it)]


def of_unknown_region(ctx: Context) -> list[Any]:
    """Return those of earlier versions whose region neither path nor host names say."""
    here = regional_path(ctx)
    return [it for it in listed(ctx) if it["Path"] != here and not _regions(ctx, it)]


def _regions(ctx: Context, item: Any) -> set[str]:
    """Return the regions of the load balancers that a certificate names.

    Their host names are NAME.REGION.elb.amazonaws.com, and NAME.elb.REGION.amazonaws.com for a
    Network Load Balancer.
    """
    try:
        answer = ctx.aws.iam.get_server_certificate(
            ServerCertificateName=item["ServerCertificateName"]
        )
    except ctx.aws.iam.exceptions.NoSuchEntityException:
        return set()
    except ClientError as error:
        if not is_denial(error_code(error)):
            raise
        return set()
    names = certificate.names_of(answer["ServerCertificate"]["CertificateBody"])
    words = [name.split(".") for name in names if ".elb." in name]
    known = ctx.aws.known_regions()
    return {word for name in words for word in name if word in known}


def users_of_certificate(ctx: Context, arn: str) -> Iterator[UnownedResource]:
    """Yield the listeners of others' load balancers, in this region, that use a certificate.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServerCertificate.html
    """
    certain, doubtful = find_load_balancers(ctx)
    ours = {balancer.arn or balancer.name for balancer in (*certain, *doubtful)}
    for item in pages(ctx.aws.elb, "describe_load_balancers", "LoadBalancerDescriptions"):
        name = str(item["LoadBalancerName"])
        listeners = [it["Listener"] for it in item["ListenerDescriptions"]]
        used = [it["LoadBalancerPort"] for it in listeners if it.get("SSLCertificateId") == arn]
        if used and name not in ours:
            command = "`aws elb delete-load-balancer-listeners --load-balancer-name"
            ports = " ".join(map(str, used))
            command = f"{command} {name} --load-balancer-ports {ports}`"
            yield UnownedResource("load balancer", name, f"its port {ports}", command)
    elbv2 = ctx.aws.client("elbv2")
    for item in pages(elbv2, "describe_load_balancers", "LoadBalancers"):
        key, name = str(item["LoadBalancerArn"]), str(item["LoadBalancerName"])
        if key in ours:
            continue
        for listener in pages(elbv2, "describe_listeners", "Listeners", LoadBalancerArn=key):
            if arn in [it.get("CertificateArn") for it in listener.get("Certificates", [])]:
                of = str(listener["ListenerArn"])
                command = f"`aws elbv2 delete-listener --listener-arn {of}`"
                yield UnownedResource("listener", of, f"of load balancer {name}", command)

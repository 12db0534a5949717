"""A certificate that the user has in ACM or IAM: whether it is usable, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.session import error_code
from aws_setup.config import Config
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem, Refused
from aws_setup.openwhisk.certificate import RENEW

ABSENT = ("ResourceNotFoundException", "NoSuchEntity")


@dataclass(frozen=True)
class ExistingCertificate:
    """A certificate as AWS describes it: whether it is issued, and when it expires (UTC)."""

    arn: str
    status: str
    ends: datetime | None


def find_existing_certificate(ctx: Context) -> ExistingCertificate:
    """Return the certificate of openwhisk_tls_arn.

    Raises:
        Refused: it is in another region or account, or does not exist.
        botocore.exceptions.ClientError: AWS does not describe it, as without the permission.
    """
    arn = str(ctx.config.openwhisk_tls_arn)
    _, _, service, region, account, rest = arn.split(":", 5)
    if region and region != ctx.aws.region:
        raise _invalid(
            f"it is in {region}, and a load balancer in {ctx.aws.region} cannot use it",
            f"import or request a certificate in {ctx.aws.region}",
        )
    if account != ctx.aws.identity.account:
        raise _invalid(
            f"it belongs to account {account}, and your account is {ctx.aws.identity.account}",
            f"name a certificate of your account, or use a profile of account {account}",
        )
    try:
        return _of_acm(ctx, arn) if service == "acm" else _of_iam(ctx, arn, rest)
    except ClientError as error:
        if error_code(error) not in ABSENT:
            raise
        raise _not_found(arn, service, ctx.aws.region) from error


def check_existing_certificate(ctx: Context) -> None:
    """Refuse a certificate that cannot be used.

    Raises:
        Refused: as find_existing_certificate, or it is not issued or has expired.
        botocore.exceptions.ClientError: AWS does not describe it.
    """
    found = find_existing_certificate(ctx)
    if found.ends and found.ends <= ctx.clock.today():
        raise _invalid(
            f"it expired on {found.ends:%Y-%m-%d}", "renew it, or name another certificate"
        )
    if found.status != "ISSUED":
        why = f"its status in ACM is {found.status}"
        raise _invalid(why, "complete its validation in ACM, or name another certificate")


def how_to_replace(config: Config) -> str:
    """Return how to replace a certificate of the user's; '' for one that configure renews.

    An import under the same ARN is used by its load balancers at once. ACM renews only what it has
    issued itself, and that while its DNS record exists.
    https://docs.aws.amazon.com/acm/latest/userguide/import-reimport.html
    https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html
    """
    if config.openwhisk_tls_cert:
        files = "the files of openwhisk_tls_cert and openwhisk_tls_key"
        return f"replace {files}, then run python configure_eks_cluster.py"
    if not config.openwhisk_tls_arn:
        return ""
    if ":acm:" in config.openwhisk_tls_arn:
        arn = config.openwhisk_tls_arn
        return (
            f"import a new one under its ARN (`aws acm import-certificate --certificate-arn {arn} "
            "…`); for one that ACM has issued, see its renewal status and DNS record in ACM"
        )
    return (
        "upload a new one (`aws iam upload-server-certificate`), set openwhisk_tls_arn to its ARN, "
        "then run python configure_eks_cluster.py"
    )


def warn_of_end(ctx: Context, ends: datetime) -> None:
    """Warn of a certificate of the user's that ends soon: configure renews only its own ones."""
    left, fix = ends - ctx.clock.today(), how_to_replace(ctx.config)
    if not fix or left > RENEW or ctx.owned_only:
        return
    key = "openwhisk_tls_cert" if ctx.config.openwhisk_tls_cert else "openwhisk_tls_arn"
    days = count_of(max(0, left.days), "day")
    why = f"it ends on {ends:%Y-%m-%d}, and configure does not renew a certificate of your own"
    ctx.warn(Problem(f"the certificate of {key} has {days} left", why, fix))


def _of_acm(ctx: Context, arn: str) -> ExistingCertificate:
    answer = ctx.aws.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    return ExistingCertificate(arn, str(answer["Status"]), answer.get("NotAfter"))


def _of_iam(ctx: Context, arn: str, rest: str) -> ExistingCertificate:
    name = rest.rsplit("/", 1)[-1]
    answer: Any = ctx.aws.iam.get_server_certificate(ServerCertificateName=name)
    metadata = answer["ServerCertificate"]["ServerCertificateMetadata"]
    if metadata["Arn"] != arn:
        raise _invalid(f"its ARN in IAM is {metadata['Arn']}", "correct the path in the ARN")
    return ExistingCertificate(arn, "ISSUED", metadata.get("Expiration"))


def _not_found(arn: str, service: str, region: str) -> Refused:
    commands = {
        "acm": f"aws acm list-certificates --region {region}",
        "iam": "aws iam list-server-certificates",
    }
    return _invalid(f"{arn} does not exist", f"name one that `{commands[service]}` lists")


def _invalid(why: str, hint: str) -> Refused:
    return Refused("openwhisk_tls_arn cannot be used", why, hint)

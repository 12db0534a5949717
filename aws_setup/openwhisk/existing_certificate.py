"""A certificate that the user keeps in ACM or IAM: whether it can serve, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.session import error_code
from aws_setup.errors import Refused

ABSENT = ("ResourceNotFoundException", "NoSuchEntity")


@dataclass(frozen=True)
class ExistingCertificate:
    """A certificate as AWS describes it: whether it is issued, and when it ends (UTC)."""

    arn: str
    status: str
    ends: datetime | None


def find_existing_certificate(ctx: Context) -> ExistingCertificate:
    """Return the certificate of openwhisk_tls_arn.

    Raises:
        Refused: it is another region's or account's, or AWS knows none of this ARN.
        botocore.exceptions.ClientError: AWS does not say, as without the permission.
    """
    arn = str(ctx.config.openwhisk_tls_arn)
    _, _, service, region, account, rest = arn.split(":", 5)
    if region and region != ctx.aws.region:
        raise _invalid(
            f"it is a certificate of {region}, and the cluster is in {ctx.aws.region}",
            f"import or request it in {ctx.aws.region}: a load balancer takes no other",
        )
    if account != ctx.aws.identity.account:
        raise _invalid(
            f"it belongs to account {account}, and you work in {ctx.aws.identity.account}",
            "name a certificate of this account, or use a profile of the other",
        )
    try:
        return _of_acm(ctx, arn) if service == "acm" else _of_iam(ctx, arn, rest)
    except ClientError as error:
        if error_code(error) not in ABSENT:
            raise
        raise _unknown(arn, service, ctx.aws.region) from error


def check_existing_certificate(ctx: Context) -> None:
    """Refuse a certificate that cannot serve.

    Raises:
        Refused: as `given`, or it is not issued or has expired.
        botocore.exceptions.ClientError: AWS does not say.
    """
    found = find_existing_certificate(ctx)
    if found.ends and found.ends <= ctx.clock.today():
        raise _invalid(f"it expired on {found.ends:%Y-%m-%d}", "renew it, or name another")
    if found.status != "ISSUED":
        why = f"ACM says that it is {found.status}"
        raise _invalid(why, "finish its validation in ACM, or name another")


def _of_acm(ctx: Context, arn: str) -> ExistingCertificate:
    answer = ctx.aws.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    return ExistingCertificate(arn, str(answer["Status"]), answer.get("NotAfter"))


def _of_iam(ctx: Context, arn: str, rest: str) -> ExistingCertificate:
    name = rest.rsplit("/", 1)[-1]
    answer: Any = ctx.aws.iam.get_server_certificate(ServerCertificateName=name)
    about = answer["ServerCertificate"]["ServerCertificateMetadata"]
    if about["Arn"] != arn:
        raise _invalid(f"IAM has {about['Arn']}", "correct its path")
    return ExistingCertificate(arn, "ISSUED", about.get("Expiration"))


def _unknown(arn: str, service: str, region: str) -> Refused:
    listing = {
        "acm": f"aws acm list-certificates --region {region}",
        "iam": "aws iam list-server-certificates",
    }
    return _invalid(f"AWS knows no {arn}", f"`{listing[service]}` lists yours")


def _invalid(why: str, mend: str) -> Refused:
    return Refused("openwhisk_tls_arn cannot be used", why, mend)

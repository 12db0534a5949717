"""Certificates of ACM, as far as a load balancer's user needs them: imported and described.

https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html
"""

from __future__ import annotations

import uuid
from typing import Any

from cryptography import x509

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import AwsError, Call


class ImportedCertificates(dict[str, dict[str, Any]]):
    """Certificates by ARN, which names their region."""


def import_certificate(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer ImportCertificate: a certificate in PEM, kept in the region of the call."""
    try:
        leaf = x509.load_pem_x509_certificate(call.params["Certificate"])
    except ValueError as error:
        message = "Could not validate the certificate with the certificate chain."
        raise AwsError("ValidationException", message) from error
    arn = f"arn:aws:acm:{call.region}:{call.account}:certificate/{uuid.uuid4()}"
    ended = leaf.not_valid_after_utc <= cloud.clock.today()
    cloud.room(ImportedCertificates)[arn] = {
        "CertificateArn": arn,
        "Type": "IMPORTED",
        "Status": "EXPIRED" if ended else "ISSUED",
        "NotBefore": leaf.not_valid_before_utc,
        "NotAfter": leaf.not_valid_after_utc,
    }
    return {"CertificateArn": arn}


def describe_certificate(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer DescribeCertificate: ACM of one region knows none of another."""
    arn = call.params["CertificateArn"]
    found = cloud.room(ImportedCertificates).get(arn)
    if found is None or arn.split(":")[3] != call.region:
        message = f"Could not find certificate {arn}."
        raise AwsError("ResourceNotFoundException", message)
    return {"Certificate": found}


ACM_ANSWERS = {("acm", "ImportCertificate"): import_certificate, ("acm", "DescribeCertificate"): describe_certificate}

"""Server certificates of IAM and imported certificates of ACM.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_UploadServerCertificate.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServerCertificate.html
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from aws_setup.rehearsal.core.moto import backends_by_region
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

NAME = re.compile(r"^[\w+=,.@-]{1,128}$")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class ServerCertificates(dict[str, dict[str, Any]]):
    """Server certificates by name: metadata, body, chain and tags."""


class PrivateKeys(dict[str, str]):
    """Private keys of the certificates by ARN: only load balancers read them, no call does."""


def _missing(name: str) -> AwsError:
    message = f"The Server Certificate with name {name} cannot be found."
    return AwsError("NoSuchEntity", message, status=404)


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedCertificate", message)


def _parse_certificate(body: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(body.encode())
    except ValueError as error:
        raise _malformed(
            "Unable to parse certificate. Please ensure the certificate is in PEM format."
        ) from error


def _check_key(certificate: x509.Certificate, text: str) -> None:
    """Reject a private key that is unreadable or does not match the certificate."""
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _malformed(
            "Unable to parse private key. It must be PEM and not encrypted."
        ) from error
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise AwsError("KeyPairMismatch", "The private key does not match the certificate.")


def _check_dates(cloud: CloudApi, certificate: x509.Certificate) -> None:
    now = cloud.clock.today()
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _malformed("The certificate is expired or not valid yet.")


def upload_server_certificate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer UploadServerCertificate; checks the name, the certificate and its key."""
    params = call.params
    name = params["ServerCertificateName"]
    certificates = cloud.store_of(ServerCertificates)
    if not NAME.match(name):
        raise AwsError("ValidationError", f"The name {name} is not valid")
    if name in certificates:
        message = f"The Server Certificate with name {name} already exists."
        raise AwsError("EntityAlreadyExists", message, status=409)
    certificate = _parse_certificate(params["CertificateBody"])
    _check_key(certificate, params["PrivateKey"])
    _check_dates(cloud, certificate)
    if params.get("CertificateChain"):
        _parse_certificate(params["CertificateChain"])
    path = params.get("Path", "/")
    metadata = {
        "Path": path,
        "ServerCertificateName": name,
        "ServerCertificateId": "ASCA" + "".join(secrets.choice(LETTERS) for _ in range(17)),
        "Arn": f"arn:{cloud.settings.partition}:iam::{call.account}:server-certificate{path}{name}",
        "UploadDate": cloud.clock.today(),
        "Expiration": certificate.not_valid_after_utc,
    }
    certificates[name] = {
        "ServerCertificateMetadata": metadata,
        "CertificateBody": params["CertificateBody"],
        "CertificateChain": params.get("CertificateChain"),
        "Tags": list(params.get("Tags") or []),
    }
    cloud.store_of(PrivateKeys)[metadata["Arn"]] = params["PrivateKey"]
    return {"ServerCertificateMetadata": metadata, "Tags": certificates[name]["Tags"]}


def _find_certificate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    name = call.params["ServerCertificateName"]
    if name not in cloud.store_of(ServerCertificates):
        raise _missing(name)
    return cloud.store_of(ServerCertificates)[name]


def get_server_certificate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetServerCertificate."""
    found = {
        key: value for key, value in _find_certificate(cloud, call).items() if value is not None
    }
    return {"ServerCertificate": found}


def list_server_certificates(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListServerCertificates below a path."""
    prefix = call.params.get("PathPrefix", "/")
    metadata = [
        certificate["ServerCertificateMetadata"]
        for certificate in cloud.store_of(ServerCertificates).values()
    ]
    listed = [item for item in metadata if item["Path"].startswith(prefix)]
    return {"ServerCertificateMetadataList": listed, "IsTruncated": False}


def _load_balancer_using(cloud: CloudApi, arn: str) -> tuple[str, str] | None:
    """Return region and name of a load balancer that uses a certificate; None for none."""
    for region, backend in backends_by_region("elb").items():
        for balancer in backend.load_balancers.values():
            if any(listener.ssl_certificate_id == arn for listener in balancer.listeners):
                return region, str(balancer.name)
    return None


def delete_server_certificate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteServerCertificate: rejected while a load balancer uses it."""
    found = _find_certificate(cloud, call)["ServerCertificateMetadata"]
    if user := _load_balancer_using(cloud, found["Arn"]):
        region, balancer = user
        raise AwsError(
            "DeleteConflict",
            f"Certificate: {found['ServerCertificateId']} is currently in use by arn:aws:"
            f"elasticloadbalancing:{region}:{call.account}:loadbalancer/{balancer}. Please "
            "remove it first before deleting it from IAM.",
            status=409,
        )
    del cloud.store_of(ServerCertificates)[found["ServerCertificateName"]]
    del cloud.store_of(PrivateKeys)[found["Arn"]]
    return {}


def list_resources(cloud: CloudApi) -> list[Resource]:
    """List the server certificates; they are not billed."""
    return [
        Resource(
            "iam",
            "server certificate",
            name,
            "",
            tags={tag["Key"]: tag["Value"] for tag in certificate["Tags"]},
        )
        for name, certificate in cloud.store_of(ServerCertificates).items()
    ]


SERVER_CERTIFICATE_ANSWERS = {
    ("iam", "UploadServerCertificate"): upload_server_certificate,
    ("iam", "GetServerCertificate"): get_server_certificate,
    ("iam", "ListServerCertificates"): list_server_certificates,
    ("iam", "DeleteServerCertificate"): delete_server_certificate,
}


class ImportedCertificates(dict[str, dict[str, Any]]):
    """Certificates by ARN, which names their region."""


def import_certificate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ImportCertificate: a certificate in PEM, stored in the region of the call."""
    try:
        leaf = x509.load_pem_x509_certificate(call.params["Certificate"])
    except ValueError as error:
        message = "Could not validate the certificate with the certificate chain."
        raise AwsError("ValidationException", message) from error
    owner = f"{cloud.settings.partition}:acm:{call.region}:{call.account}"
    arn = f"arn:{owner}:certificate/{uuid.uuid4()}"
    ended = leaf.not_valid_after_utc <= cloud.clock.today()
    cloud.store_of(ImportedCertificates)[arn] = {
        "CertificateArn": arn,
        "Type": "IMPORTED",
        "Status": "EXPIRED" if ended else "ISSUED",
        "NotBefore": leaf.not_valid_before_utc,
        "NotAfter": leaf.not_valid_after_utc,
    }
    return {"CertificateArn": arn}


def describe_certificate(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeCertificate, for certificates of the call's region only."""
    arn = call.params["CertificateArn"]
    found = cloud.store_of(ImportedCertificates).get(arn)
    if found is None or arn.split(":")[3] != call.region:
        message = f"Could not find certificate {arn}."
        raise AwsError("ResourceNotFoundException", message)
    return {"Certificate": found}


ACM_ANSWERS = {
    ("acm", "ImportCertificate"): import_certificate,
    ("acm", "DescribeCertificate"): describe_certificate,
}

ANSWERS = {**SERVER_CERTIFICATE_ANSWERS, **ACM_ANSWERS}

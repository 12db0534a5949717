"""Where the certificate is stored: a private file, IAM (load balancer) and a Secret (nginx)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.cluster import active_cluster
from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.session import error_code
from aws_setup.aws.tags import as_list, tags
from aws_setup.config import Config
from aws_setup.config.paths import tls_pair_path
from aws_setup.engine.decoding import read_bytes
from aws_setup.engine.local_files import as_warnings, delete_file
from aws_setup.engine.private_files import write_private
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import Refused
from aws_setup.infrastructure.blockers import blocked
from aws_setup.kube.connect import kube_client, owner_labels
from aws_setup.kube.objects import SECRET, Json, decode_secret, encode_secret
from aws_setup.openwhisk import certificate, server_certificates
from aws_setup.openwhisk.addresses import chart_service, known_hosts
from aws_setup.openwhisk.certificate import KeyPair
from aws_setup.openwhisk.existing_certificate import find_existing_certificate, warn_of_end
from aws_setup.openwhisk.secrets import is_owned

TLS = "kubernetes.io/tls"
"""Type of the Secret."""


@dataclass(frozen=True)
class ServerCertificate(Step):
    """The load balancers' certificate: uploaded to IAM, or the one of openwhisk_tls_arn.

    It names both load balancers, so it is created after them.
    """

    name: str = "server certificate"
    regional: bool = False
    needs: tuple[str, ...] = ("openwhisk keys", "openwhisk address", "openwhisk public address")
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the certificate in IAM that belongs to the key pair in use."""
        if ctx.owned_only:
            return self._owned(ctx)
        if ctx.config.openwhisk_tls_arn:
            return _existing(ctx)
        pair = current_pair(ctx)
        if pair is None:
            return None
        name = upload_name(ctx.config, pair)
        for item in server_certificates.listed(ctx):
            if item["ServerCertificateName"] == name:
                return _uploaded_pair(ctx, pair, item["Arn"])
        return None

    def _owned(self, ctx: Context) -> Found | None:
        """Return the certificates of this region; else one that may be of any region."""
        arns = [item["Arn"] for item in server_certificates.own(ctx)]
        if arns:
            return Found(arns[0], "available", {"arns": arns})
        unknown = server_certificates.of_unknown_region(ctx)
        if not unknown:
            return None
        name, region = ctx.config.deployment_name, ctx.aws.region
        command = " and ".join(
            f"`aws iam delete-server-certificate --server-certificate-name {it}`"
            for it in (item["ServerCertificateName"] for item in unknown)
        )
        fix = f"if no load balancer in another region uses it, run {command}"
        has, wants = f"{name} in an unknown region", f"{name} in {region}"
        drift = Drift("owner", has, wants, fix, DriftKey.REGION)
        return Found(unknown[0]["Arn"], "available", {}, (drift,))

    def create(self, ctx: Context) -> Found:
        """Create a certificate unless a valid one exists, and upload it."""
        pair = current_pair(ctx)
        if pair is None or renewal_reasons(ctx, pair, known_hosts(ctx)):
            pair = renew(ctx, known_hosts(ctx))
        return upload(ctx, pair)

    def update(self, ctx: Context, found: Found) -> Found:
        """Renew the certificate under a new name; the old one is deleted once it is not in use."""
        return upload(ctx, renew(ctx, known_hosts(ctx)))

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete every certificate of the deployment, and the private file."""
        for item in server_certificates.own(ctx):
            _delete(ctx, item["ServerCertificateName"], arn=item["Arn"])
        with as_warnings(ctx):
            delete_file(tls_pair_path(ctx.config))


@dataclass(frozen=True)
class NginxSecret(Step):
    """The TLS Secret of OpenWhisk's nginx; where it exists, the chart generates no certificate."""

    name: str = "nginx secret"
    needs: tuple[str, ...] = ("server certificate",)
    part: str = "openwhisk"
    ends_with: str = "eks cluster"

    def find(self, ctx: Context) -> Found | None:
        """Return the Secret, compared with the certificate in use."""
        if active_cluster(ctx) is None or (ctx.owned_only and not is_owned(ctx)):
            return None
        config = ctx.config
        resource_id = f"{config.openwhisk_namespace}/{nginx_secret(config)}"
        secret = kube_client(ctx).get(SECRET, nginx_secret(config), config.openwhisk_namespace)
        if secret is None:
            return None
        if ctx.owned_only:
            return Found(resource_id, TLS)
        current = _secret_pair(ctx)
        if current is None:
            keys = "a certificate and its key in tls.crt and tls.key"
            unusable = Drift("certificate", "unusable", keys, replaces=secret)
            return Found(resource_id, TLS, {}, (unusable,))
        pair = current_pair(ctx)
        drift: list[Drift] = []
        if config.openwhisk_tls_arn:
            reasons = renewal_reasons(ctx, current, known_hosts(ctx))
            drift = [replace(reason, replaces=secret) for reason in reasons]
        if pair and pair.fingerprint != current.fingerprint:
            has, wants = current.fingerprint[:16], pair.fingerprint[:16]
            drift.append(Drift("certificate", has, wants, replaces=secret))
        return Found(resource_id, TLS, {}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Create the Secret, or update it with the certificate in use."""
        hosts, pair = known_hosts(ctx), current_pair(ctx)
        if pair is None or renewal_reasons(ctx, pair, hosts):
            pair = renew(ctx, hosts)
        return put_secret(ctx, pair)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the Secret."""
        kube_client(ctx).delete(SECRET, nginx_secret(ctx.config), ctx.config.openwhisk_namespace)


def nginx_secret(config: Config) -> str:
    """Return the name of nginx's Secret, which is also the name of the chart's Service."""
    return chart_service(config)


def current_pair(ctx: Context) -> KeyPair | None:
    """Return the key pair in use: the user's, else the newest self-signed one.

    A self-signed pair is stored in a private file and in the cluster's Secret. A run in another
    folder or on another computer uses the Secret's; a run after an interrupted renewal uses the
    file's.
    """
    config = ctx.config
    if config.openwhisk_tls_cert and config.openwhisk_tls_key:
        cert, key = Path(config.openwhisk_tls_cert), Path(config.openwhisk_tls_key)
        return certificate.load_user_pair(cert, key, now=ctx.clock.today())
    pairs = [pair for pair in (_file_pair(config), _secret_pair(ctx)) if pair]
    return max(pairs, key=lambda pair: pair.leaf.not_valid_before_utc) if pairs else None


def _file_pair(config: Config) -> KeyPair | None:
    hint = "remove it: a new certificate is made, and the file is written again"
    try:
        data = read_bytes(tls_pair_path(config), what="nginx's certificate", hint=hint)
        text = data.decode("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    head, mark, rest = text.partition("-----BEGIN RSA PRIVATE KEY-----")
    return _readable(head, mark + rest)


def _secret_pair(ctx: Context) -> KeyPair | None:
    if active_cluster(ctx) is None:
        return None
    config = ctx.config
    secret = kube_client(ctx).get(SECRET, nginx_secret(config), config.openwhisk_namespace)
    try:
        data = decode_secret(secret) if secret else {}
    except Refused:
        return None
    return _readable(data.get("tls.crt", ""), data.get("tls.key", ""))


def _readable(certificate_text: str, key: str) -> KeyPair | None:
    """Return a pair; None when it is not usable, so that it is created again."""
    pair = KeyPair(certificate_text, key)
    return pair if certificate.is_usable(pair) else None


def desired_names(config: Config, hosts: Sequence[str]) -> list[str]:
    """Return the names that the certificate must contain beside its common name.

    Args:
        config: the configuration.
        hosts: the load balancers' host names, as far as they are known.
    """
    in_cluster = f"{nginx_secret(config)}.{config.openwhisk_namespace}.svc.cluster.local"
    return [in_cluster, *hosts]


def renewal_reasons(ctx: Context, pair: KeyPair, hosts: Sequence[str]) -> list[Drift]:
    """Return why a certificate has to be renewed; the user's certificate is never renewed."""
    if ctx.config.openwhisk_tls_cert:
        return []
    found = []
    left = certificate.expires(pair.certificate) - ctx.clock.today()
    if left <= certificate.RENEW:
        found.append(Drift("certificate", f"{count_of(left.days, 'day')} left", "more than 30"))
    missing = set(desired_names(ctx.config, hosts)) - certificate.names_of(pair.certificate)
    if missing:
        found.append(Drift("certificate's names", "incomplete", ", ".join(sorted(missing))))
    return [*found, *_other_settings(ctx.config, pair)]


def _other_settings(config: Config, pair: KeyPair) -> list[Drift]:
    """Return how a self-signed certificate differs from the settings that it is made with."""
    made = certificate.requested(pair.certificate)
    if made is None:
        return []
    (name, days), wanted = made, (config.openwhisk_tls_name, config.openwhisk_tls_days)
    found = [Drift("certificate's common name", name, wanted[0])] if name != wanted[0] else []
    if days != wanted[1]:
        has, wants = count_of(days, "day"), count_of(wanted[1], "day")
        found.append(Drift("certificate's validity", has, wants))
    return found


def _existing(ctx: Context) -> Found:
    """Return the certificate of openwhisk_tls_arn, with its expiry where AWS returns it."""
    arn = str(ctx.config.openwhisk_tls_arn)
    try:
        ends = find_existing_certificate(ctx).ends
    except ClientError:
        # A load balancer can use it although the caller may not describe it.
        ends = None
    if ends is None:
        return Found(arn, "existing")
    warn_of_end(ctx, ends)
    days = (ends - ctx.clock.today()).days
    return Found(arn, f"existing, {count_of(days, 'day')} left", {"days_left": days})


def renew(ctx: Context, hosts: Sequence[str]) -> KeyPair:
    """Create a self-signed certificate and write it, with its key, to the private file."""
    config = ctx.config
    pair = certificate.self_signed(
        config.openwhisk_tls_name,
        desired_names(config, hosts),
        days=config.openwhisk_tls_days,
        now=ctx.clock.today(),
    )
    write_private(tls_pair_path(config), pair.certificate + pair.key)
    return pair


def upload_name(config: Config, pair: KeyPair) -> str:
    """Return the name of a certificate in IAM, which depends on its contents only."""
    return f"{config.deployment_name}-openwhisk-{pair.fingerprint[:16]}"


def upload(ctx: Context, pair: KeyPair) -> Found:
    """Upload a certificate to IAM; an existing one of the same name is used."""
    iam, config = ctx.aws.iam, ctx.config
    name = upload_name(config, pair)
    body, chain = certificate.split_chain(pair.certificate)
    request: Any = {
        "Path": server_certificates.regional_path(ctx),
        "ServerCertificateName": name,
        "CertificateBody": body,
        "PrivateKey": pair.key,
        "Tags": as_list(tags(config, "server certificate", name=name, region=ctx.aws.region)),
    } | ({"CertificateChain": chain} if chain else {})
    try:
        metadata = iam.upload_server_certificate(**request)["ServerCertificateMetadata"]
    except ClientError as error:
        if error_code(error) != "EntityAlreadyExists":
            raise
        answer = iam.get_server_certificate(ServerCertificateName=name)
        metadata = answer["ServerCertificate"]["ServerCertificateMetadata"]
    return _uploaded_pair(ctx, pair, metadata["Arn"])


def _uploaded_pair(ctx: Context, pair: KeyPair, arn: str) -> Found:
    ends = certificate.expires(pair.certificate)
    warn_of_end(ctx, ends)
    days = (ends - ctx.clock.today()).days
    facts = {"expires": ends.date().isoformat(), "days_left": days, "sha256": pair.fingerprint}
    drift = renewal_reasons(ctx, pair, known_hosts(ctx))
    return Found(arn, f"{count_of(days, 'day')} left", facts, tuple(drift))


def replaced(ctx: Context) -> tuple[Drift, ...]:
    """Return a drift while a certificate that a renewal has replaced is still in IAM."""
    pair = None if ctx.config.openwhisk_tls_arn else current_pair(ctx)
    uploaded = server_certificates.own(ctx) if pair else ()
    names = {str(item["ServerCertificateName"]) for item in uploaded}
    if pair is None or upload_name(ctx.config, pair) not in names or len(names) == 1:
        return ()
    return (Drift("replaced certificates", "in IAM", "deleted"),)


def delete_others(ctx: Context, keep: str) -> None:
    """Delete the deployment's certificates but the one with the ARN `keep`.

    A load balancer may use a replaced one for a while: the deletion is then retried.
    """
    for item in server_certificates.own(ctx):
        if item["Arn"] != keep:
            _delete(ctx, item["ServerCertificateName"], arn=item["Arn"])


def _delete(ctx: Context, name: str, *, arn: str) -> None:
    users, what = server_certificates.users_of_certificate, f"server certificate {name}"
    delete_with_retry(
        ctx,
        what,
        lambda: ctx.aws.iam.delete_server_certificate(ServerCertificateName=name),
        gone={"NoSuchEntity"},
        refused=blocked(ctx, users, arn, what=what),
        deadline=600,
    )


def put_secret(ctx: Context, pair: KeyPair) -> Found:
    """Create or update the TLS Secret; labels of others on it stay."""
    config, client = ctx.config, kube_client(ctx)
    name, namespace = nginx_secret(config), config.openwhisk_namespace
    data = encode_secret({"tls.crt": pair.certificate, "tls.key": pair.key})
    body: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TLS,
        "metadata": {"name": name, "labels": owner_labels(config)},
        "data": data,
    }
    current = client.create(SECRET, body, namespace)
    if current.get("data") != data:
        client.patch(SECRET, name, {"data": data}, namespace)
    return Found(f"{namespace}/{name}", TLS)

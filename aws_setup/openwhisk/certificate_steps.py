"""The certificate in its places: a private file, IAM for the load balancer, a Secret for nginx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.idempotency import delete_with_retry
from aws_setup.aws.session import error_code, pages
from aws_setup.aws.tags import as_list, tags
from aws_setup.config import Config
from aws_setup.config.paths import tls_pair_path
from aws_setup.engine.receipt import write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.kube.connect import active_cluster, kube_client, owner_labels
from aws_setup.kube.objects import SECRET, SERVICE, Json, decode_secret, encode_secret
from aws_setup.openwhisk import certificate
from aws_setup.openwhisk.certificate import KeyPair
from aws_setup.openwhisk.existing_certificate import find_existing_certificate
from aws_setup.openwhisk.secrets import is_owned

TLS = "kubernetes.io/tls"


def path_prefix(config: Config) -> str:
    """Return the IAM path below which this deployment's certificates are."""
    return f"/lambda-fs/{config.deployment_name}/"


def nginx_secret(config: Config) -> str:
    """Return the name of the Secret that the chart's nginx reads."""
    return f"{config.openwhisk_release}-nginx"


def load_balancer_host(ctx: Context) -> str:
    """Return the host name of OpenWhisk's load balancer, '' while there is none."""
    if active_cluster(ctx) is None:
        return ""
    config = ctx.config
    service = kube_client(ctx).get(SERVICE, nginx_secret(config), config.openwhisk_namespace) or {}
    for address in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        return str(address.get("hostname") or address.get("ip") or "")
    return ""


def current_pair(ctx: Context) -> KeyPair | None:
    """Return the certificate in use with its key: the user's, else the newest of ours.

    Ours is in a private file and in the cluster's Secret: another folder or computer goes on with
    the Secret's, and a renewal that was cut short goes on with the file's.
    """
    config = ctx.config
    if config.openwhisk_tls_cert and config.openwhisk_tls_key:
        cert, key = Path(config.openwhisk_tls_cert), Path(config.openwhisk_tls_key)
        return certificate.load_user_pair(cert, key, now=ctx.clock.today())
    pairs = [pair for pair in (_file_pair(config), _secret_pair(ctx)) if pair]
    return max(pairs, key=lambda pair: pair.leaf.not_valid_before_utc) if pairs else None


def _file_pair(config: Config) -> KeyPair | None:
    try:
        text = tls_pair_path(config).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    head, mark, rest = text.partition("-----BEGIN RSA PRIVATE KEY-----")
    return KeyPair(head, mark + rest) if mark and head else None


def _secret_pair(ctx: Context) -> KeyPair | None:
    if active_cluster(ctx) is None:
        return None
    config = ctx.config
    secret = kube_client(ctx).get(SECRET, nginx_secret(config), config.openwhisk_namespace)
    data = decode_secret(secret) if secret else {}
    both = data.get("tls.crt"), data.get("tls.key")
    return KeyPair(both[0], both[1]) if both[0] and both[1] else None


def wanted_names(ctx: Context, host: str) -> list[str]:
    """Return the names that the certificate must carry beside its common name."""
    config = ctx.config
    inside = f"{nginx_secret(config)}.{config.openwhisk_namespace}.svc.cluster.local"
    return [inside, *([host] if host else [])]


def faults(ctx: Context, pair: KeyPair, host: str) -> list[Drift]:
    """Return why a certificate has to be renewed; the user's own is taken as it is."""
    if ctx.config.openwhisk_tls_cert:
        return []
    found = []
    left = certificate.expires(pair.certificate) - ctx.clock.today()
    if left <= certificate.RENEW:
        found.append(Drift("certificate", f"{left.days} days left", "more than 30"))
    missing = set(wanted_names(ctx, host)) - certificate.names_of(pair.certificate)
    if missing:
        found.append(Drift("certificate's names", "incomplete", ", ".join(sorted(missing))))
    return found


@dataclass(frozen=True)
class ServerCertificate(Step):
    """The certificate that the load balancer shows: uploaded to IAM, or the user's own ARN."""

    name: str = "server certificate"
    needs: tuple[str, ...] = ("openwhisk keys",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the certificate in IAM that belongs to the one in use."""
        listed = _uploaded(ctx)
        if ctx.owned_only:
            arns = [one["Arn"] for one in listed]
            return Found(arns[0], "available", {"arns": arns}) if arns else None
        if ctx.config.openwhisk_tls_arn:
            return _given(ctx)
        pair = current_pair(ctx)
        if pair is None:
            return None
        mine = upload_name(ctx.config, pair)
        for one in listed:
            if one["ServerCertificateName"] == mine:
                return _found(ctx, pair, one["Arn"])
        return None

    def create(self, ctx: Context) -> Found:
        """Make a certificate where there is none that serves, and upload it."""
        pair = current_pair(ctx)
        if pair is None or faults(ctx, pair, load_balancer_host(ctx)):
            pair = renew(ctx, load_balancer_host(ctx))
        return upload(ctx, pair)

    def update(self, ctx: Context, found: Found) -> Found:
        """Renew the certificate under a new name; the old one goes when nothing uses it."""
        return upload(ctx, renew(ctx, load_balancer_host(ctx)))

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete every certificate of the deployment, and the private file."""
        for one in _uploaded(ctx):
            _delete(ctx, one["ServerCertificateName"])
        tls_pair_path(ctx.config).unlink(missing_ok=True)


def _given(ctx: Context) -> Found:
    """Return the user's certificate in AWS, with its end where AWS says it."""
    arn = str(ctx.config.openwhisk_tls_arn)
    try:
        ends = find_existing_certificate(ctx).ends
    except ClientError:
        # Using it takes no permission to look at it.
        ends = None
    if ends is None:
        return Found(arn, "given")
    days = (ends - ctx.clock.today()).days
    return Found(arn, f"given, {days} days left", {"days_left": days})


def renew(ctx: Context, host: str) -> KeyPair:
    """Make a new certificate and keep it, with its key, in the private file."""
    config = ctx.config
    pair = certificate.self_signed(
        config.openwhisk_tls_name,
        wanted_names(ctx, host),
        days=config.openwhisk_tls_days,
        now=ctx.clock.today(),
    )
    write_private(tls_pair_path(config), pair.certificate + pair.key)
    return pair


def upload_name(config: Config, pair: KeyPair) -> str:
    """Return the name of a certificate in IAM: the same certificate always has the same."""
    return f"{config.deployment_name}-openwhisk-{pair.fingerprint[:16]}"


def upload(ctx: Context, pair: KeyPair) -> Found:
    """Give a certificate to IAM; one that is there already is used."""
    iam, config = ctx.aws.iam, ctx.config
    name = upload_name(config, pair)
    body, chain = certificate.split_chain(pair.certificate)
    request: Any = {
        "Path": path_prefix(config),
        "ServerCertificateName": name,
        "CertificateBody": body,
        "PrivateKey": pair.key,
        "Tags": as_list(tags(config, "server certificate", name=name)),
    } | ({"CertificateChain": chain} if chain else {})
    try:
        made = iam.upload_server_certificate(**request)["ServerCertificateMetadata"]
    except ClientError as error:
        if error_code(error) != "EntityAlreadyExists":
            raise
        answer = iam.get_server_certificate(ServerCertificateName=name)
        made = answer["ServerCertificate"]["ServerCertificateMetadata"]
    return _found(ctx, pair, made["Arn"])


def _found(ctx: Context, pair: KeyPair, arn: str) -> Found:
    ends = certificate.expires(pair.certificate)
    days = (ends - ctx.clock.today()).days
    facts = {"expires": ends.date().isoformat(), "days_left": days}
    drift = faults(ctx, pair, load_balancer_host(ctx))
    return Found(arn, f"{days} days left", facts | {"sha256": pair.fingerprint}, tuple(drift))


def replaced(ctx: Context, pair: KeyPair) -> list[str]:
    """Return the deployment's certificates in IAM that a renewal has left behind, by name."""
    if ctx.config.openwhisk_tls_arn:
        return []
    names = [str(one["ServerCertificateName"]) for one in _uploaded(ctx)]
    mine = upload_name(ctx.config, pair)
    return [name for name in names if name != mine] if mine in names else []


def delete_others(ctx: Context, keep: str) -> None:
    """Delete the deployment's certificates but one; a load balancer may take a while to let go."""
    for one in _uploaded(ctx):
        if one["Arn"] != keep:
            _delete(ctx, one["ServerCertificateName"])


def _uploaded(ctx: Context) -> Sequence[Any]:
    prefix = path_prefix(ctx.config)
    return pages(
        ctx.aws.iam,
        "list_server_certificates",
        "ServerCertificateMetadataList",
        PathPrefix=prefix,
    )


def _delete(ctx: Context, name: str) -> None:
    delete_with_retry(
        ctx,
        f"server certificate {name}",
        lambda: ctx.aws.iam.delete_server_certificate(ServerCertificateName=name),
        gone={"NoSuchEntity"},
        deadline=600,
    )


@dataclass(frozen=True)
class NginxSecret(Step):
    """The TLS Secret of OpenWhisk's nginx; with it the chart makes no certificate of its own."""

    name: str = "nginx secret"
    needs: tuple[str, ...] = ("server certificate",)
    part: str = "openwhisk"

    def find(self, ctx: Context) -> Found | None:
        """Return the Secret, compared with the certificate in use."""
        if active_cluster(ctx) is None or (ctx.owned_only and not is_owned(ctx)):
            return None
        config = ctx.config
        there = _secret_pair(ctx)
        if there is None:
            return None
        if ctx.owned_only:
            return Found(f"{config.openwhisk_namespace}/{nginx_secret(config)}", TLS)
        pair = current_pair(ctx)
        drift = faults(ctx, there, load_balancer_host(ctx)) if config.openwhisk_tls_arn else []
        if pair and pair.fingerprint != there.fingerprint:
            drift.append(Drift("certificate", there.fingerprint[:16], pair.fingerprint[:16]))
        own = f"{config.openwhisk_namespace}/{nginx_secret(config)}"
        return Found(own, TLS, {}, tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the Secret, or put the certificate in use into it."""
        host, pair = load_balancer_host(ctx), current_pair(ctx)
        if pair is None or faults(ctx, pair, host):
            pair = renew(ctx, host)
        return put_secret(ctx, pair)

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the Secret."""
        kube_client(ctx).delete(SECRET, nginx_secret(ctx.config), ctx.config.openwhisk_namespace)


def put_secret(ctx: Context, pair: KeyPair) -> Found:
    """Write the TLS Secret, whether or not it exists; others' labels on it stay."""
    config, door = ctx.config, kube_client(ctx)
    name, namespace = nginx_secret(config), config.openwhisk_namespace
    data = encode_secret({"tls.crt": pair.certificate, "tls.key": pair.key})
    body: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TLS,
        "metadata": {"name": name, "labels": owner_labels(config)},
        "data": data,
    }
    there = door.create(SECRET, body, namespace)
    if there.get("data") != data:
        door.patch(SECRET, name, {"data": data}, namespace)
    return Found(f"{namespace}/{name}", TLS)

"""The Helm values of OpenWhisk: a pure function of the configuration and of what AWS reports.

Names and meanings of the values are those of apache/openwhisk-deploy-kube, as changed in the λFS
branch `aws`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_setup.aws.tags import balancer_tags
from aws_setup.config import Config
from aws_setup.eks.storage import GP3_CLASS
from aws_setup.openwhisk.addresses import STANDARD_PORTS, scheme_of
from aws_setup.openwhisk.secrets import OpenWhiskSecrets

ELB = "service.beta.kubernetes.io/aws-load-balancer"
TLS_POLICY = "ELBSecurityPolicy-TLS-1-2-2017-01"
"""Predefined policy of Classic Load Balancers that accepts TLS 1.2 only, their newest version.

https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-security-policy-table.html
"""

PLACEHOLDER = "openwhisk.example.invalid"
"""API host while the load balancer's name is not known: only its Service is rendered then."""

LEAST_ACTION_MEMORY = 45_000
"""MB: the maximum for an action in λFS's chart; a larger openwhisk_action_memory raises it."""


@dataclass(frozen=True)
class ValuesInput:
    """What the values depend on beside the configuration.

    `certificate` is the ARN of the load balancer's certificate; `user_memory` the MB of an invoker
    node that its actions may use; `host` and `port` are the internal load balancer's, '' and 0
    while they are not known.
    """

    certificate: str
    user_memory: int
    keys: OpenWhiskSecrets = field(repr=False)
    host: str = ""
    port: int = 0


def values(config: Config, facts: ValuesInput) -> dict[str, Any]:
    """Return the values of the release, before the user's values are merged in."""
    memory = max(LEAST_ACTION_MEMORY, config.openwhisk_action_memory)
    return {
        "whisk": {
            "ingress": _ingress(config, facts),
            "auth": {"system": facts.keys.system, "guest": facts.keys.guest},
            "containerPool": {"userMemory": f"{facts.user_memory}m"},
            "limits": {"actions": {"memory": {"max": f"{memory}m"}}},
        },
        "db": {"auth": {"password": facts.keys.database}},
        "k8s": {
            "persistence": {
                "hasDefaultStorageClass": False,
                "explicitStorageClass": GP3_CLASS,
            }
        },
        "invoker": _invoker(config),
    }


def _ingress(config: Config, facts: ValuesInput) -> dict[str, Any]:
    """Return the values of the API's address; the chart's port names decide where TLS ends."""
    annotations = {
        f"{ELB}-ssl-cert": facts.certificate,
        f"{ELB}-ssl-ports": "https",
        f"{ELB}-ssl-negotiation-policy": TLS_POLICY,
        # For what is in the VPC; who else may call OpenWhisk does so by the public Service.
        f"{ELB}-internal": "true",
        # Without it the address of a zone in which there is no node leads nowhere (503), and all
        # nodes may be in one zone. Its default is off:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/enable-disable-crosszone-lb.html
        f"{ELB}-cross-zone-load-balancing-enabled": "true",
        f"{ELB}-additional-resource-tags": ",".join(
            f"{key}={value}" for key, value in balancer_tags(config, "openwhisk release").items()
        ),
    }
    return {
        "type": "LoadBalancer",
        "apiHostName": facts.host or PLACEHOLDER,
        "apiHostPort": facts.port or STANDARD_PORTS[scheme_of(config)],
        "apiHostProto": scheme_of(config),
        "awsSSL": "true",
        "annotations": annotations,
    }


def _invoker(config: Config) -> dict[str, Any]:
    """Return the invoker's values; nodes run containerd, so the Docker factory cannot work."""
    count = config.num_openwhisk_invoker_vms
    invoker: dict[str, Any] = {
        "containerFactory": {"impl": "kubernetes", "kubernetes": {"replicaCount": count}}
    }
    if config.openwhisk_invoker_image_tag:
        invoker["imageTag"] = config.openwhisk_invoker_image_tag
    return invoker


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return both documents merged, as helm merges values: `override` overrides `base`."""
    merged = dict(base)
    for key, value in override.items():
        current = merged.get(key)
        both = isinstance(current, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(current, value) if both else value  # type: ignore[arg-type]
    return merged


def changed_keys(
    current: Mapping[str, Any], desired: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Return the dotted names of the values that differ; never the values: some are secret."""
    found = []
    for key in sorted({*current, *desired}):
        name, old, new = f"{prefix}{key}", current.get(key), desired.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changed_keys(old, new, f"{name}.")
        elif old != new:
            found.append(name)
    return found


def fingerprint(desired: Mapping[str, Any], chart: str) -> str:
    """Return the short hash by which a release names the values and chart it was created from."""
    text = json.dumps([desired, chart], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]

"""Helm values: the exact values for a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.errors import Refused
from aws_setup.openwhisk.addresses import internal_url
from aws_setup.openwhisk.invoker_memory import (
    EVICTION_MIB,
    HYPERVISOR_SHARE,
    INVOKER_MIB,
    KUBELET_MIB,
    POD_MIB,
    memory_of,
    user_memory,
)
from aws_setup.openwhisk.secrets import OpenWhiskSecrets, generate_secrets
from aws_setup.openwhisk.user_values import user_values
from aws_setup.openwhisk.values import (
    ValuesInput,
    changed_keys,
    fingerprint,
    merge,
    values,
)

ARN = "arn:aws:iam::123456789012:server-certificate/lambda-fs/lambda-fs/c"
KEYS = OpenWhiskSecrets("system:s", "guest:g", "password")
ELB = "service.beta.kubernetes.io/aws-load-balancer"


def config(**keys: Any) -> Config:
    return Config(ssh_keypair_name="key", ssh_key_path="key.pem", **keys)


def generated(host: str = "", **keys: Any) -> dict[str, Any]:
    return values(config(**keys), ValuesInput(ARN, 100_000, KEYS, host))


def test_the_charts_own_address_is_internal_with_tls() -> None:
    ingress = generated("elb.example.com")["whisk"]["ingress"]
    assert ingress == {
        "type": "LoadBalancer",
        "apiHostName": "elb.example.com",
        "apiHostPort": 443,
        "apiHostProto": "https",
        "awsSSL": "true",
        "annotations": {
            f"{ELB}-ssl-cert": ARN,
            f"{ELB}-ssl-ports": "https",
            f"{ELB}-ssl-negotiation-policy": "ELBSecurityPolicy-TLS-1-2-2017-01",
            f"{ELB}-internal": "true",
            f"{ELB}-cross-zone-load-balancing-enabled": "true",
            f"{ELB}-additional-resource-tags": (
                "lambda-fs:deployment=lambda-fs,lambda-fs:step=openwhisk release,Project=LambdaFS"
            ),
        },
    }


def test_no_annotation_is_null_and_none_makes_the_charts_address_public() -> None:
    """A null annotation makes Kubernetes drop every annotation of the Service."""
    for internal in (True, False):
        ingress = generated(openwhisk_internal=internal)["whisk"]["ingress"]
        assert all(isinstance(value, str) for value in ingress["annotations"].values())
        assert ingress["annotations"][f"{ELB}-internal"] == "true"


def test_plain_http() -> None:
    assert generated(openwhisk_api_port=80)["whisk"]["ingress"]["apiHostProto"] == "http"


def test_the_internal_port_is_that_of_the_charts_service_whatever_the_public_one_is() -> None:
    assert generated(openwhisk_api_port=8443)["whisk"]["ingress"]["apiHostPort"] == 443
    assert generated(openwhisk_api_port=80)["whisk"]["ingress"]["apiHostPort"] == 80
    ports = [{"name": "http", "port": 8080}, {"name": "https", "port": 9443}]
    service = {"spec": {"ports": ports}}
    assert internal_url(service, "https", "elb") == "https://elb:9443"
    assert internal_url(service, "http", "elb") == "http://elb:8080"
    assert internal_url(None, "https", "elb") == "https://elb:443"


def test_secrets_storage_and_invokers() -> None:
    document = generated(num_openwhisk_invoker_vms=3, openwhisk_invoker_image_tag="tag")
    assert document["whisk"]["auth"] == {"system": "system:s", "guest": "guest:g"}
    assert document["db"]["auth"]["password"] == "password"
    assert document["k8s"]["persistence"] == {
        "hasDefaultStorageClass": False,
        "explicitStorageClass": "gp3",
    }
    assert document["invoker"] == {
        "containerFactory": {"impl": "kubernetes", "kubernetes": {"replicaCount": 3}},
        "imageTag": "tag",
    }


@pytest.mark.parametrize(("memory", "limit"), [(20_000, "45000m"), (60_000, "60000m")])
def test_the_memory_limit_is_never_below_the_name_nodes(memory: int, limit: str) -> None:
    document = generated(openwhisk_action_memory=memory)
    assert document["whisk"]["limits"]["actions"]["memory"]["max"] == limit


def instance(gib: int, *, interfaces: int, addresses: int) -> dict[str, Any]:
    """Describe an instance type as EC2 does."""
    network = {"MaximumNetworkInterfaces": interfaces, "Ipv4AddressesPerInterface": addresses}
    return {"MemoryInfo": {"SizeInMiB": gib * 1024}, "NetworkInfo": network}


TYPES = {
    "r5.xlarge": (32, 4, 15, 0, 1),
    "r5.2xlarge": (64, 4, 15, 1, 2),
    "r5.4xlarge": (128, 8, 30, 2, 5),
    "r5.8xlarge": (256, 8, 30, 5, 11),
}
"""Type: GiB, interfaces, addresses of each, stem cells of 40 GB and NameNodes of 20 GB that fit."""


@pytest.mark.parametrize("name", TYPES)
def test_what_fits_on_the_instance_types_of_the_configuration(name: str) -> None:
    gib, interfaces, addresses, cells, name_nodes = TYPES[name]
    memory = memory_of(instance(gib, interfaces=interfaces, addresses=addresses))
    assert memory // 40_000 == cells
    assert memory // 20_000 == name_nodes
    # What Kubernetes can allocate at most: the kubelet's share is subtracted from the total.
    pods = interfaces * (addresses - 1) + 2
    assert memory <= gib * 1024 - 255 - 11 * pods - 100


def test_an_invoker_has_some_memory_for_actions_on_small_types() -> None:
    assert user_memory(8192, pods=29) >= 1024
    assert user_memory(2048, pods=11) == 1024


@pytest.mark.parametrize("pods", [11, 58, 234])
def test_user_memory_is_what_hypervisor_kubelet_pods_and_invoker_leave(pods: int) -> None:
    usable = int(100_000 * (1 - HYPERVISOR_SHARE))
    reserved = KUBELET_MIB + POD_MIB * pods + EVICTION_MIB + INVOKER_MIB
    assert user_memory(100_000, pods=pods) == usable - reserved
    assert user_memory(INVOKER_MIB, pods=pods) == 1024


def test_an_instance_type_without_network_data_counts_as_a_large_one() -> None:
    described = {"MemoryInfo": {"SizeInMiB": 131_072}}
    assert memory_of(described) == memory_of(instance(128, interfaces=8, addresses=30)) == 114_216


def test_values_that_differ_are_named_and_not_shown() -> None:
    has = {"a": {"b": "old secret", "same": 1}, "gone": 1}
    wants = {"a": {"b": "new secret", "same": 1}, "new": {"c": 1}}
    assert changed_keys(has, wants) == ["a.b", "gone", "new"]
    assert changed_keys(wants, wants) == []
    assert changed_keys({"a": {"b": 1}}, {"a": 1}) == ["a"]
    assert changed_keys({"a": [1, 2]}, {"a": [2, 1]}) == ["a"]


def test_the_users_values_override_the_defaults_and_lists_are_replaced() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge(base, {"a": {"c": [3]}, "e": None}) == {
        "a": {"b": 1, "c": [3]},
        "d": 1,
        "e": None,
    }
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merge({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}


@pytest.mark.parametrize("text", ["- a list", "{unclosed", "text"])
def test_a_file_without_values_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(Refused):
        user_values(config(openwhisk_values=str(file)))
    with pytest.raises(Refused):
        user_values(config(openwhisk_values=str(tmp_path / "missing.yaml")))


def own(folder: Path, text: str) -> Config:
    file = folder / "values.yaml"
    file.write_text(text)
    return config(openwhisk_values=str(file))


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("whisk:\n#  limits: 1\n", "whisk is empty: it would remove whisk.ingress", "below whisk"),
        ("db:\n", "db is empty: it would remove db.auth", "below db"),
        ("whisk: {containerPool: }", "whisk.containerPool is empty", "below whisk.containerPool"),
        ("whisk: {ingress: {annotations: }}", "whisk.ingress.annotations is empty", "remove it"),
        ("invoker: {containerFactory: docker}", "invoker.containerFactory is no mapping", "below"),
        ("k8s: [persistence]", "k8s is no mapping", "below k8s"),
        ("1: a\nb: c\n", "the key 1 is not a text", "in quotes"),
        ("nginx: {on: a}", "the key True below nginx is not a text", "in quotes"),
        ("nginx: [{2024-01-01: a}]", "datetime.date(2024, 1, 1) below nginx[0]", "in quotes"),
        ("nginx: {at: 2024-01-01T10:00:00Z}", "nginx.at is datetime.datetime(", "in quotes"),
        ("nginx: !!binary aGk=", "nginx is b'hi'", "in quotes"),
        ("nginx: .nan", "nginx is nan", "in quotes"),
        ("whisk: {auth: {guest: }}", "whisk.auth.guest is empty", "write a value"),
    ],
)
def test_sections_without_keys_and_keys_that_are_no_text_are_refused_by_name(
    tmp_path: Path, text: str, why: str, hint: str
) -> None:
    with pytest.raises(Refused) as caught:
        user_values(own(tmp_path, text))
    (problem,) = caught.value.problems
    assert problem.what == f"openwhisk_values: {tmp_path / 'values.yaml'} cannot be used"
    assert why in problem.why
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "read"),
    [
        # What helm deletes, for sections and keys that only the chart sets.
        ("nginx:\n", {"nginx": None}),
        ("whisk: {ingress: {annotations: {a: }}}", None),
        ("whisk: {runtimes: , limits: {actions: {memory: {max: 1.5}}}}", None),
        ("invoker: {imageTag: 2024-01-01}", {"invoker": {"imageTag": "2024-01-01"}}),
        ("", {}),
        ("# whisk:", {}),
    ],
)
def test_other_values_are_the_users_business(
    tmp_path: Path, text: str, read: dict[str, Any] | None
) -> None:
    found = user_values(own(tmp_path, text))
    assert found if read is None else found == read


def test_the_fingerprint_changes_with_values_and_chart() -> None:
    assert fingerprint({"a": 1}, "x") == fingerprint({"a": 1}, "x")
    assert (
        len({fingerprint({"a": 1}, "x"), fingerprint({"a": 2}, "x"), fingerprint({"a": 1}, "y")})
        == 3
    )


def test_keys_are_random() -> None:
    one, two = generate_secrets(), generate_secrets()
    assert len({one.system, one.guest, two.system, two.guest}) == 4
    user, _, secret = one.guest.partition(":")
    assert len(user) == 36
    assert len(secret) == 64
    assert "guest" not in repr(one) or one.guest not in repr(one)

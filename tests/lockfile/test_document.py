"""What the lock file holds, and what it must never hold."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.config.lock_file import OMITTED
from aws_setup.lockfile.cluster import chart_document, images_of
from aws_setup.lockfile.compare import Difference, differences, moved_images
from aws_setup.lockfile.document import configuration_of, secrets_of, without_private


def config(**settings: Any) -> Config:
    """Return a configuration."""
    return Config(**{"ssh_keypair_name": "key", "ssh_key_path": "key.pem", **settings})


DIGEST = "sha256:" + "5" * 64


@pytest.mark.parametrize(
    "private",
    [
        "123456789012",
        "210987654321.dkr.ecr.us-east-1.amazonaws.com/namenode:1",
        "arn:aws:iam::123456789012:role/x",
        "arn:aws-cn:eks:cn-north-1:123456789012:cluster/x",
        "52.94.76.7",
        "52.94.76.0/24",
        "203.0.113.9",
        "198.51.100.0/24",
        "2600:1f18::1",
        "2001:db8:1::/64",
        "the password is canary-1 here",
    ],
)
def test_accounts_addresses_and_passwords_are_replaced_wherever_they_are(private: str) -> None:
    value = {"a": [{"b": f"before {private} after"}], private: 1}
    cleaned = str(without_private(value, secrets=("canary-1",)))
    for part in ("123456789012", "210987654321", "52.94", "203.0", "198.51", "2600:", "2001:"):
        assert part not in cleaned
    assert "canary" not in cleaned
    assert OMITTED in cleaned


@pytest.mark.parametrize(
    "public",
    [
        "10.0.0.0/16",
        "10.0.8.233",
        "fd00::1",
        "ami-079ac4c46055b2bdf",
        "v1.20.4-eksbuild.2",
        "2026-11-27T07:10:00Z",
        "a" * 40,
        f"openwhisk/controller:1.0.0@{DIGEST}",
        "1.36.4-20261101",
        "org.apache.hadoop.hdfs.serverless.OpenWhiskHandler",
        "https://github.com/Scusemua/openwhisk-deploy-kube",
    ],
)
def test_what_a_repeat_needs_stays(public: str) -> None:
    assert without_private([public]) == [public]


def test_the_configuration_has_every_default_and_nothing_private() -> None:
    made = config(
        aws_account_id="123456789012",
        aws_profile="canary-profile",
        cluster_admins=["arn:aws:iam::123456789012:user/ada"],
        namenode_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/namenode:1",
        ndb_password="canary-password",
        openwhisk_chart="/home/canary/chart",
        ssh_key_path="/home/canary/key.pem",
        tags={"Owner": "canary"},
        user_public_ip="52.94.76.7",
        vpc_name="for canary-password",
    )
    found = configuration_of(made, kubernetes_version="1.36")
    assert found["num_ndb_datanodes"] == 4
    assert found["kubernetes_version"] == "1.36"
    assert found["zookeeper_private_ips"][0] == "10.0.8.233"
    assert "canary" not in str(found)
    assert "123456789012" not in str(found)
    assert not {"namenode_image", "openwhisk_chart", "tags", "vpc_name"} & found.keys()
    assert secrets_of(made) == ("canary-password",)


def pod(name: str, image: str, image_id: str, **more: Any) -> dict[str, Any]:
    return {
        "spec": {"containers": [{"name": name, "image": image}], **more.get("spec", {})},
        "status": {"containerStatuses": [{"name": name, "imageID": image_id}]},
    }


def test_images_have_the_digest_that_runs() -> None:
    pods = [
        pod("a", "openwhisk/invoker:1.0", f"docker.io/openwhisk/invoker@{DIGEST}"),
        pod("a", "openwhisk/invoker:1.0", f"docker.io/openwhisk/invoker@{DIGEST}"),
        pod("b", "couchdb:2.3", f"docker-pullable://couchdb@{DIGEST}"),
        pod("c", f"redis@{DIGEST}", f"docker.io/library/redis@{DIGEST}"),
        pod("d", "starting:1", ""),
        {"spec": {"containers": [{"name": "e", "image": "pending"}]}},
    ]
    assert images_of(pods) == [
        f"couchdb:2.3@{DIGEST}",
        f"openwhisk/invoker:1.0@{DIGEST}",
        f"redis@{DIGEST}",
    ]


def test_a_chart_is_named_by_its_commit_or_by_the_hash_of_its_folder() -> None:
    remote = config()
    pin = f"{remote.openwhisk_chart} {remote.openwhisk_chart_ref} {'c' * 40}"
    assert chart_document(remote, pin)["commit"] == "c" * 40
    local = config(openwhisk_chart="/home/canary/chart")
    assert chart_document(local, f"folder {'d' * 40}") == {"sha256": "d" * 40}


def test_differences_name_each_value_and_a_part_that_one_lacks() -> None:
    this = {
        "region": "us-east-1",
        "cluster": {"written": "a", "images": ["x:1@sha256:1"], "nodes": {"n": {"count": 2}}},
        "namenodes": {"number": 2},
    }
    other = {
        "region": "us-east-1",
        "cluster": {"written": "b", "images": ["x:1@sha256:2", "y@sha256:3"], "nodes": {}},
        "namenodes": None,
    }
    assert differences(this, other) == [
        Difference("namenodes", "recorded", "not deployed"),
        Difference("cluster.images.x:1", "sha256:1", "sha256:2"),
        Difference("cluster.images.y", "-", "sha256:3"),
        Difference("cluster.nodes.n.count", "2", "-"),
    ]
    assert differences(this, this) == []


def test_images_whose_tag_has_moved_are_named() -> None:
    this = ["a:1@sha256:1", "b:1@sha256:2", "c:1@sha256:3", "unpulled"]
    assert moved_images(this, ["a:1@sha256:1", "b:1@sha256:9", "d:1@sha256:3"]) == ["b:1"]
    assert moved_images(this, []) == []

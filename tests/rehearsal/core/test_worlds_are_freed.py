"""A cloud that is closed is freed: a process may open many, one after the other."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import boto3
import pytest

from aws_setup.rehearsal.core.server import serve
from aws_setup.rehearsal.core.settings import Settings
from tests.support.aws import client, network, run

CLOUDS = 6
USED = ("ec2", "iam", "eks", "autoscaling", "elb", "ssm")
"""Services of moto that keep state per region or per account."""


def use_and_close(patch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """Open a cloud, create resources in it, close it; return what must be freed."""
    with serve(Settings(speed=0)) as cloud:
        patch.setenv("AWS_ENDPOINT_URL", cloud.url)
        ec2 = client("ec2")
        run(ec2, network(ec2))
        client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        session = boto3.Session(region_name="us-east-1")
        session.client("eks").list_clusters()
        backends = [cloud.backend(service) for service in USED]
        return [weakref.ref(kept) for kept in (cloud, session, *backends)]


def test_closed_clouds_sessions_and_backends_of_moto_are_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [use_and_close(monkeypatch) for _ in range(CLOUDS)]
    gc.collect()
    kept = [[type(found).__name__ for ref in cloud if (found := ref())] for cloud in made]
    # moto empties its backends when the next cloud opens, so the last cloud's are still there.
    assert kept[:-1] == [[]] * (CLOUDS - 1)
    assert {"RehearsalCloud", "Session"}.isdisjoint(kept[-1])

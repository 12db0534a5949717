"""A cloud that is closed is freed: a process may open many, one after the other."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Sequence
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


def names_after_collection(refs: Sequence[weakref.ref[Any]]) -> list[str]:
    """Return the types of what is not freed; the thread of a last request may end late."""
    deadline = time.monotonic() + 60
    while True:
        gc.collect()
        kept = [type(found).__name__ for ref in refs if (found := ref())]
        if not kept or time.monotonic() > deadline:
            return kept
        time.sleep(0.05)


def test_closed_clouds_sessions_and_backends_of_moto_are_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [use_and_close(monkeypatch) for _ in range(CLOUDS)]
    # moto empties its backends when the next cloud opens, so the last cloud's are still there.
    expected = [ref for cloud in made[:-1] for ref in cloud] + made[-1][:2]
    assert names_after_collection(expected) == []

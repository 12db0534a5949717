"""configure_eks_cluster.py while AWS is eventually consistent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import steps_of
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        # A tenth of the pauses, for resources that become visible after one second instead of ten.
        monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
        yield made


@pytest.mark.parametrize("service", ["eks", "iam"])
def test_configure_waits_until_resources_are_visible(
    cloud: RehearsalCloud, zoo: Lab, service: str
) -> None:
    cloud.faults.add({"fault": "stale-read", "action": f"{service}.*", "seconds": 1})
    result = steps_of(zoo.run("configure"))
    assert result["aws-ebs-csi-driver add-on"]["action"] == "create"
    cloud.faults.clear()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_a_role_whose_create_answer_was_lost_is_used_once_it_is_visible(
    cloud: RehearsalCloud, zoo: Lab
) -> None:
    cloud.faults.add(
        {"fault": "stale-read", "action": "iam.*", "seconds": 1},
        {"fault": "lose-answer", "action": "iam.Create*", "times": 3},
    )
    result = steps_of(zoo.run("configure"))
    assert result["ebs csi role"]["error"] is None

"""The second script in a cloud that shows late what it has made."""

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
        # A tenth of the pauses, for things that show after a tenth of ten seconds.
        monkeypatch.setenv("AWS_SETUP_PACE", "0.1")
        yield made


@pytest.mark.parametrize("service", ["eks", "iam"])
def test_configure_waits_for_what_shows_late(cloud: RehearsalCloud, zoo: Lab, service: str) -> None:
    cloud.faults.add({"fault": "stale-read", "action": f"{service}.*", "seconds": 1})
    told = steps_of(zoo.run("configure"))
    assert told["aws-ebs-csi-driver add-on"]["action"] == "create"
    cloud.faults.clear()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_roles_whose_answer_was_lost_and_that_show_late_are_ours(
    cloud: RehearsalCloud, zoo: Lab
) -> None:
    cloud.faults.add(
        {"fault": "stale-read", "action": "iam.*", "seconds": 1},
        {"fault": "lose-answer", "action": "iam.Create*", "times": 3},
    )
    told = steps_of(zoo.run("configure"))
    assert told["ebs csi role"]["error"] is None

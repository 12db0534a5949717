"""Commands in texts, pasted as they are, act on the deployment of the run that printed them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.report import CommandOptions
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

ROOT = Path(__file__).resolve().parents[2]

LAB = CommandOptions(own="-y lab.yaml", profile="lab", region="eu-west-1")

OF_THE_USER = {"configure", "login", "sso"}
"""Commands of AWS's CLI about the user's own settings."""


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        (
            "vpc vpc-1: aws ec2 delete-vpc --vpc-id vpc-1",
            "vpc vpc-1: aws --profile lab --region eu-west-1 ec2 delete-vpc --vpc-id vpc-1",
        ),
        (
            "`aws elbv2 delete-x --arn $(aws elbv2 describe-y)`, then `aws iam delete-role`",
            "`aws --profile lab --region eu-west-1 elbv2 delete-x --arn $(aws --profile lab "
            "--region eu-west-1 elbv2 describe-y)`, then `aws --profile lab iam delete-role`",
        ),
        (
            "`aws logs delete-log-group --region us-east-1`, `aws ec2 describe-vpcs`",
            "`aws --profile lab logs delete-log-group --region us-east-1`, "
            "`aws --profile lab --region eu-west-1 ec2 describe-vpcs`",
        ),
        ("run `aws sso login`, or `aws configure`", "run `aws sso login`, or `aws configure`"),
        ("the aws command of ec2", "the aws command of ec2"),
        (
            "Next: python configure_eks_cluster.py",
            "Next: python configure_eks_cluster.py -y lab.yaml",
        ),
        (
            "`python create_aws_infrastructure.py pause` stops it",
            "`python create_aws_infrastructure.py -y lab.yaml pause` stops it",
        ),
    ],
)
def test_commands_in_a_text_are_completed(text: str, completed: str) -> None:
    assert LAB.complete(text) == completed
    assert CommandOptions().complete(text) == text
    document = {"hint": text, "steps": [{"error": text, "id": None, "seconds": 1.5}]}
    assert LAB.completed(document) == {
        "hint": completed,
        "steps": [{"error": completed, "id": None, "seconds": 1.5}],
    }


def test_every_command_of_aws_in_the_code_can_be_completed() -> None:
    """A service that no text named before is found here."""
    missed = {}
    for path in (ROOT / "aws_setup").rglob("*.py"):
        if "rehearsal" in path.parts:
            continue
        text = re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for found in re.finditer(r"(?<=[`\"($ ])aws ([a-z0-9-]+) [a-z]+-[a-z-]+", text):
            known = LAB.complete(found[0]) != found[0]
            if not known and found[1] not in OF_THE_USER:
                missed[found[0]] = path.name
    assert not missed


def test_a_run_prints_commands_that_lead_to_its_own_deployment(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    few = {
        "create_eks_cluster": False,
        "create_autoscaling_groups": False,
        "create_launch_templates": False,
        "aws_region": "us-east-1",
    }
    folder = prepare(tmp_path / "the lab", **few)
    created = run(SCRIPT, folder, "create", "--yes")
    assert created.exit_code == 0, created.stderr
    assert f"create_aws_infrastructure.py -y '{folder}/config_aws.yaml' extend 6h" in created.stdout
    assert "Deployment lambda-fs, account" in created.stderr
    cloud.settings.deny = [DeniedPermission(action="ec2:DeleteVpc")]
    left = run(SCRIPT, folder, "destroy", "--yes")
    assert left.exit_code != 0
    assert "aws --region us-east-1 ec2 delete-vpc --vpc-id vpc-" in left.stdout + left.stderr

"""tags and permissions_boundary: what AWS, this project or Kubernetes cannot take is refused."""

from __future__ import annotations

import pytest

from aws_setup.aws.tags import tags
from aws_setup.config import Config
from aws_setup.errors import Refused
from tests.config.test_loader import Load, load

__all__ = ["load"]

pytestmark = pytest.mark.kind("A3")

TOO_MANY = ", ".join(f"t{number}: x" for number in range(36))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("tags: {aws:x: a}", "begins with aws:, which is reserved"),
        ("tags: {AWS:x: a}", "begins with aws:, which is reserved"),
        ("tags: {lambda-fs:deployment: a}", "begins with lambda-fs:, which is reserved"),
        ("tags: {Name: a}", "is set by this project"),
        ("tags: {project: a}", "is set by this project"),
        ("tags: {Component: a}", "is set by this project"),
        (f"tags: {{{'k' * 129}: a}}", "has 129 characters, of 128"),
        (f"tags: {{k: {'v' * 257}}}", "has 257 characters, of 256"),
        ('tags: {"a,b": c}', "contains ','"),
        ("tags: {a: b=c}", "contains '='"),
        ('tags: {a: "b\\nc"}', "control character"),
        ('tags: {a: " b"}', "begins or ends with a space"),
        (f"tags: {{{TOO_MANY}}}", "it has 36 tags"),
        ("tags: [a]", "mapping"),
        ("permissions_boundary: boundary", "is not the ARN of a managed policy"),
        ("permissions_boundary: arn:aws:iam::123456789012:role/x", "is not the ARN of a managed"),
    ],
)
def test_what_a_service_cannot_take_is_refused(load: Load, line: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        load(line + "\n")
    assert why in caught.value.problems[0].why


def test_tags_are_beside_those_of_the_project(load: Load) -> None:
    config = load("tags: {CostCenter: 0815, team/α: data lab}\n")
    assert isinstance(config, Config)
    found = tags(config, "vpc", name="n")
    assert {"CostCenter": "0815", "team/α": "data lab"}.items() <= found.items()
    assert found["Project"] == "LambdaFS"
    assert found["Name"] == "n"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_boundaries_of_every_partition(load: Load, partition: str) -> None:
    arn = f"arn:{partition}:iam::123456789012:policy/path/boundary"
    assert load(f"permissions_boundary: {arn}\n").permissions_boundary == arn

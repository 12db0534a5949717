"""tags and permissions_boundary: what AWS, this project or Kubernetes cannot take is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG, balancer_tags, tags
from aws_setup.config import Config
from aws_setup.config.additional_tags import LONGEST_KEY, LONGEST_VALUE, SHORTEST
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
        (f"tags: {{{'k' * 128}: a}}", "has 128 characters, of 127"),
        (f"tags: {{k: {'v' * 256}}}", "has 256 characters, of 255"),
        (f"tags: {{{'α' * 65}: a}}", "takes 130 bytes in UTF-8, of 127"),
        (f"tags: {{k: {'α' * 129}}}", "takes 258 bytes in UTF-8, of 255"),
        ('tags: {Team: ""}', "the value of the tag 'Team' is empty"),
        ("tags: {Team: a, team: b}", "'Team' and 'team' are one for IAM"),
        ("tags: {straße: a, STRASSE: b}", "'straße' and 'STRASSE' are one for IAM"),
        ("tags: {KubernetesCluster: a}", "begins with KubernetesCluster, which is reserved"),
        ("tags: {csivolumename: a}", "begins with CSIVolume, which is reserved"),
        ("tags: {ebs.csi.aws.com/cluster: a}", "begins with ebs.csi.aws.com/"),
        ('tags: {"a,b": c}', "contains ','"),
        ("tags: {a: b=c}", "contains '='"),
        ('tags: {a: "b\\nc"}', "control character"),
        ("tags: {a: AWS:b}", "begins with aws:, which is reserved"),
        ('tags: {a: " b"}', "begins or ends with a space"),
        (f"tags: {{{TOO_MANY}}}", "it has 36 tags"),
        ("tags: [a]", "mapping"),
        (f"vpc_name: {'v' * 257}", "256"),
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


def test_load_balancers_of_openwhisk_get_as_many_tags_as_they_take(load: Load) -> None:
    """With the two that Kubernetes adds: kubernetes.io/service-name, and that of the cluster."""
    own = ", ".join(f"t{number}: x" for number in range(9))
    found = balancer_tags(load(f"tags: {{{own}}}\n"), "openwhisk release")
    assert len(found) + 2 == 10
    assert {"t0", "t4", "Project", DEPLOYMENT_TAG, STEP_TAG} <= found.keys()
    few = load("tags: {b: x, a: y}\n")
    assert balancer_tags(few, "openwhisk release") == tags(few, "openwhisk release")


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_boundaries_of_every_partition(load: Load, partition: str) -> None:
    arn = f"arn:{partition}:iam::123456789012:policy/path/boundary"
    assert load(f"permissions_boundary: {arn}\n").permissions_boundary == arn


TAGGED = ("autoscaling", "ec2", "eks", "elb", "iam", "scheduler", "ssm")
"""The services whose resources get the user's tags; a load balancer's come from Kubernetes."""

CLASSES = {
    r"\p{L}": "L",
    r"\p{Z}": "Z",
    r"\p{N}": "N",
}
"""Classes of Unicode that the patterns of AWS's models name."""


def strings_of_tags(shape: Any, inside: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield "key" or "value" with the shape of each in the tags that a request has."""
    if shape.name in inside:
        return
    within, found = (*inside, shape.name), {}
    if shape.type_name == "map" and "Tag" in shape.name:
        found = {"key": shape.key, "value": shape.value}
    elif shape.type_name == "structure":
        members = {name.lower(): member for name, member in shape.members.items()}
        if "Tag" in shape.name and {"key", "value"} <= members.keys():
            found = {"key": members["key"], "value": members["value"]}
        for member in shape.members.values():
            yield from strings_of_tags(member, within)
    elif shape.type_name == "list":
        yield from strings_of_tags(shape.member, within)
    yield from found.items()


def in_pattern(text: str, pattern: str) -> bool:
    r"""Return whether all characters are in the one class of a pattern, such as [\p{L}_.:]*."""
    if r"\p{" not in pattern:
        return all(char >= " " for char in text)
    allowed = {CLASSES[name] for name in CLASSES if name in pattern}
    rest = pattern.replace("\\", "")
    return all(unicodedata.category(char)[0] in allowed or char in rest for char in text)


@pytest.mark.parametrize("service", TAGGED)
def test_a_tag_that_is_accepted_is_one_for_each_service(service: str) -> None:
    """Each key and value that the configuration takes fits the service's own model."""
    model: Any = botocore.session.get_session().get_service_model(service)
    shapes = [model.operation_model(name).input_shape for name in model.operation_names]
    found = {
        (kind, shape.name): shape.metadata
        for request in shapes
        if request is not None
        for kind, shape in strings_of_tags(request)
    }
    assert {kind for kind, _ in found} == {"key", "value"}
    for (kind, name), limits in found.items():
        longest = LONGEST_KEY if kind == "key" else LONGEST_VALUE
        assert limits.get("min", 0) <= SHORTEST, (service, name)
        assert limits.get("max", longest) >= longest, (service, name)
        assert in_pattern("aZ9ß東 _.:/+-@", limits.get("pattern", "")), (service, name)

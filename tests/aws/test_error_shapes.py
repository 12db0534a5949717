"""The errors that a service's model names are those that botocore finds in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.model import ServiceModel

from aws_setup.aws.error_shapes import use_modeled_errors


@pytest.mark.parametrize("service", ["ec2", "eks", "iam", "autoscaling", "ssm", "scheduler", "s3"])
def test_the_errors_of_a_service_are_those_that_botocore_finds(service: str) -> None:
    client = boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]
    description = client.meta.service_model._service_description
    expected: list[Any] = ServiceModel(description, service).error_shapes
    client.meta.service_model.__dict__.pop("error_shapes", None)
    use_modeled_errors(client)
    found = client.meta.service_model.error_shapes
    assert [shape.name for shape in found] == [shape.name for shape in expected]
    for shape in expected:
        assert client.meta.service_model.shape_for_error_code(shape.error_code) is not None


def test_a_botocore_that_keeps_its_models_elsewhere_finds_the_errors_itself() -> None:
    other = SimpleNamespace(meta=SimpleNamespace(service_model=SimpleNamespace()))
    use_modeled_errors(other)
    assert not vars(other.meta.service_model)

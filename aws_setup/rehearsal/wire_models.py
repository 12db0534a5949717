"""botocore's service models, in moto's classes, each read once."""

from __future__ import annotations

import functools
from typing import Any

from moto.core.utils import get_service_model

from aws_setup.rehearsal.rules import AwsError


@functools.cache
def service_model(service: str) -> Any:
    """Return the service model of botocore, in moto's classes."""
    return get_service_model(service)


@functools.cache
def operation_model(service: str, action: str) -> Any:
    """Return the operation model; raises AwsError when the service has no such action."""
    model = service_model(service)
    if action not in model.operation_names:
        raise AwsError("InvalidAction", f"The action {action} is not valid for {service}.")
    return model.operation_model(action)


@functools.cache
def service_protocol(service: str) -> str:
    """Return the protocol in which a service speaks."""
    return str(service_model(service).protocol)

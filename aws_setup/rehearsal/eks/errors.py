"""The errors of Amazon EKS, with the status codes of its API reference."""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.rules import AwsError


def not_found(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a thing that is not there."""
    return AwsError("ResourceNotFoundException", message, status=404, extra=names)


def invalid_parameter(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a value that it does not take."""
    return AwsError("InvalidParameterException", message, status=400, extra=names)


def invalid_request(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a request that does not fit the state of the cluster."""
    return AwsError("InvalidRequestException", message, status=400, extra=names)


def in_use(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a name that is taken or a thing that is busy."""
    return AwsError("ResourceInUseException", message, status=409, extra=names)


def over_limit(message: str, **names: Any) -> AwsError:
    """Return EKS's answer for a quota that is used up."""
    return AwsError("ResourceLimitExceededException", message, status=400, extra=names)

"""What the product says of an error of AWS."""

from __future__ import annotations

from botocore.exceptions import ClientError

from aws_setup.aws.errors import to_setup_error
from aws_setup.errors import Problem, SetupError


def problem_of(error: Exception) -> Problem:
    """Return the first problem of an error."""
    answer = to_setup_error(error)
    assert isinstance(answer, SetupError)
    return answer.problems[0]


def of_code(code: str, message: str = "AWS's message", operation: str = "RunInstances") -> Problem:
    """Return the problem of an error code of AWS."""
    return problem_of(ClientError({"Error": {"Code": code, "Message": message}}, operation))

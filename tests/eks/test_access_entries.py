"""The administrators of the cluster: which IAM principal a caller is."""

from __future__ import annotations

import pytest

from aws_setup.eks.access_entries import principal_of
from aws_setup.errors import SetupError

ADA = "arn:aws:iam::123456789012:user/ada"
TEAM = "arn:aws:iam::123456789012:role/lab/team"


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        (ADA, ADA),
        (TEAM, TEAM),
        (
            "arn:aws:sts::123456789012:assumed-role/team/ada@lab",
            "arn:aws:iam::123456789012:role/team",
        ),
        (
            "arn:aws-cn:sts::123456789012:assumed-role/team/s",
            "arn:aws-cn:iam::123456789012:role/team",
        ),
    ],
)
def test_a_session_is_reduced_to_its_role(caller: str, principal: str) -> None:
    assert principal_of(caller) == principal


@pytest.mark.parametrize(
    "caller",
    ["arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:federated-user/ada"],
)
def test_a_caller_that_is_neither_user_nor_role_is_refused(caller: str) -> None:
    with pytest.raises(SetupError) as caught:
        principal_of(caller)
    assert "cluster_admins" in caught.value.problems[0].hint

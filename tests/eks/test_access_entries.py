"""The administrators of the cluster: which IAM principal a caller is."""

from __future__ import annotations

import pytest

from aws_setup.eks.access_entries import principal_of

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
def test_a_caller_that_is_neither_user_nor_role_has_no_entry(caller: str) -> None:
    assert principal_of(caller) is None

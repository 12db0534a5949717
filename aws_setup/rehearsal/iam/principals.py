"""Who is who in IAM: the unique id behind an ARN.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

from __future__ import annotations

from aws_setup.rehearsal.cloud import Cloud


def unique_id(cloud: Cloud, arn: str) -> str | None:
    """Return the unique id of a user or role; None when IAM has no such principal."""
    if arn == cloud.settings.principal:
        return arn
    backend = cloud.backend("iam")
    for held in (backend.roles, backend.users):
        for one in held.values():
            if one.arn == arn:
                return str(one.id)
    return None

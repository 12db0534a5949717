"""Machines with stop or termination protection: they keep no other one, and are never overridden.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from botocore.exceptions import ClientError

from aws_setup.aws.session import error_code
from aws_setup.errors import SetupError


def act_on_unprotected(ids: Sequence[str], act: Callable[[list[str]], object]) -> Mapping[str, str]:
    """Stop or terminate machines, each by itself where AWS refuses the call for all.

    Returns:
        The protected ones, each with AWS's message.
    """
    try:
        act([*ids])
    except ClientError as error:
        if error_code(error) != "OperationNotPermitted":
            raise
        if len(ids) == 1:
            return {ids[0]: str(error.response["Error"].get("Message", ""))}
        alone = [act_on_unprotected([each], act) for each in ids]
        return {each: why for refused in alone for each, why in refused.items()}
    return {}


def protected_error(what: str, refused: Mapping[str, str], *, stop: bool) -> SetupError:
    """Return the error of protected machines, with the commands that end their protection."""
    kind = "stop" if stop else "termination"
    commands = " and ".join(
        f"`aws ec2 modify-instance-attribute --instance-id {each} --no-disable-api-{kind}`"
        for each in refused
    )
    verb = "stopped" if stop else "terminated"
    return SetupError(
        f"{what}: {kind} protection is on for {', '.join(refused)}",
        " ".join(refused.values()),
        f"if they may be {verb}: {commands}, then run the same command again",
    )

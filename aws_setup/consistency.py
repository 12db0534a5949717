"""Eventual consistency: AWS may not show for some seconds what it has just made.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError

from aws_setup.session import error_code
from aws_setup.waiting import Clock

T = TypeVar("T")

PAUSES = (1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Seconds between two looks at something that must be there: seconds are usual, minutes are not."""

_ENDINGS = (".NotFound", ".NotFoundException", "NotFoundException")
_CODES = frozenset({"NatGatewayNotFound", "NoSuchEntity"})
_NEVER_OURS = frozenset({"InvalidAMIID.NotFound", "InvalidKeyPair.NotFound"})
"""Codes about what no run makes: waiting would not help."""


def unseen(error: ClientError) -> bool:
    """Say whether AWS does not know something that a request names."""
    code = error_code(error)
    return code in _CODES or (code.endswith(_ENDINGS) and code not in _NEVER_OURS)


def until_seen(
    act: Callable[[], T], *, clock: Clock, note: Callable[[str], None] = lambda _: None
) -> T:
    """Do something that names what this run has made, again while AWS does not know that yet.

    Raises:
        botocore.exceptions.ClientError: AWS still does not know it after half a minute, or
            refused for another reason.
    """
    for pause in PAUSES:
        try:
            return act()
        except ClientError as error:
            if not unseen(error):
                raise
            note("AWS does not show it everywhere yet")
            clock.sleep(pause)
    return act()


def shown(look: Callable[[], T | None], *, clock: Clock) -> T | None:
    """Look for something that must be there, for half a minute; None when it never showed."""
    for pause in PAUSES:
        found = look()
        if found is not None:
            return found
        clock.sleep(pause)
    return look()

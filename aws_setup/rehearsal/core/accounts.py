"""The account whose call is answered: resources are separated by it, as in AWS.

Access keys belong to an account (`Settings.accounts`). The emulated computers and API servers
follow the first account's resources only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aws_setup.rehearsal.core.settings import ACCOUNT

_current: ContextVar[str] = ContextVar("account", default=ACCOUNT)


def current_account() -> str:
    """Return the account whose call is answered; outside of calls the first one."""
    return _current.get()


@contextmanager
def acting_in(account: str) -> Iterator[None]:
    """Act in an account until the block ends."""
    token = _current.set(account)
    try:
        yield
    finally:
        _current.reset(token)


def in_current_account(act: Callable[[], object]) -> Callable[[], object]:
    """Return a function that acts later, in the account of now."""
    account = current_account()

    def later() -> object:
        with acting_in(account):
            return act()

    return later

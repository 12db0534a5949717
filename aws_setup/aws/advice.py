"""Looks that are advice only: whatever goes wrong with one, the run goes on without it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from aws_setup.aws.errors import describe_error
from aws_setup.errors import Interrupted, Refused

T = TypeVar("T")

log = logging.getLogger(__name__)


def advice(look: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """Return what an optional look finds, and `otherwise` of the reason when it fails.

    A proxy's page, a cut-off body or a missing field raise exceptions of any class, so all are
    caught; the debug log keeps their traceback.

    Raises:
        Refused: the look itself refuses the run.
        Interrupted: the run is being stopped.
    """
    try:
        return look()
    except (Refused, Interrupted):
        raise
    except Exception as error:
        log.debug("an optional look failed", exc_info=error)
        return otherwise(describe_error(error))

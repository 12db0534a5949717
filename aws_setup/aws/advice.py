"""Inspections that only advise: whatever goes wrong with one, the run continues without it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from aws_setup.aws.errors import describe_error
from aws_setup.errors import Refused

T = TypeVar("T")

log = logging.getLogger(__name__)


def advice(inspect: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """Return the result of an optional inspection, and `otherwise` of the reason when it fails.

    A proxy's page, a cut-off body or a missing field raise exceptions of any class, so all are
    caught; the debug log keeps their traceback.

    Raises:
        Refused: the inspection itself refuses the run.
        Interrupted: the run is being stopped.
    """
    try:
        return inspect()
    except Refused:
        raise
    except Exception as error:
        log.debug("an optional inspection failed", exc_info=error)
        return otherwise(describe_error(error))

"""Prices of AWS's price list, kept for a day beside the receipt.

AWS publishes new prices at any time and a list's date says of when it is; within a day a plan and
the create that follows ask once. The file is never needed: one that is missing, damaged or of
another form counts as empty, and one that cannot be written is left out.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aws_setup.engine import wait
from aws_setup.engine.decoding import SHAPE_ERRORS, Undecodable, json_object, read_bytes
from aws_setup.engine.private_files import write_private
from aws_setup.errors import SetupError

log = logging.getLogger(__name__)

KEPT = timedelta(days=1)
"""How long a price is used without asking again."""


@dataclass(frozen=True)
class Listed:
    """A price of AWS's list, in US dollars an hour, and the date of the list."""

    usd: float
    date: str


class PriceStore:
    """The prices of one file, by region and key of the charge."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, region: str, keys: Iterable[str]) -> dict[str, Listed]:
        """Return the prices of some keys that were asked for within the last day."""
        known, now = _object(self._document().get(region)), wait.calendar_time()
        found = {key: _price(known.get(key), now) for key in keys}
        return {key: price for key, price in found.items() if price is not None}

    def add(self, region: str, prices: Mapping[str, Listed]) -> None:
        """Keep prices that AWS has just answered."""
        if not prices:
            return
        document, now = self._document(), wait.calendar_time()
        entries = dict(_object(document.get(region)))
        for key, price in prices.items():
            entries[key] = {"usd": price.usd, "list": price.date, "asked": now.isoformat()}
        try:
            write_private(self.path, json.dumps(document | {region: entries}, indent=1))
        except (OSError, ValueError) as error:
            log.debug("prices are not kept", exc_info=error)

    def _document(self) -> dict[str, Any]:
        try:
            return json_object(read_bytes(self.path, what="the prices of", hint="delete it"))
        except (OSError, SetupError, Undecodable):
            return {}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _price(entry: Any, now: datetime) -> Listed | None:
    """Return a price that is not older than a day; None where the entry says none."""
    try:
        asked = datetime.fromisoformat(entry["asked"])
        usd, date = float(entry["usd"]), str(entry["list"])
        current = timedelta() <= now - asked < KEPT
    except SHAPE_ERRORS:
        return None
    return Listed(usd, date) if current and math.isfinite(usd) and usd >= 0 else None

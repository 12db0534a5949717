"""Client tokens: the same request of the same deployment sends the same token, process or not."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def token(*parts: Any) -> str:
    """Return a client token of 64 ASCII characters, EC2's limit, made from all parts.

    The parts are the deployment, the step and everything that makes this life of the resource
    unique (such as the VPC's id), so that a re-creation after destroy sends another token.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()

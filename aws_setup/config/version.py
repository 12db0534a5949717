"""The version of this project, and the name under which it calls servers."""

from __future__ import annotations

VERSION = "1.0"
"""The version; servers' logs show it."""

USER_AGENT = f"lambda-fs/{VERSION}"
"""User-Agent of every request to OpenWhisk, Kubernetes and AWS (RFC 9110, section 10.1.5)."""

"""The name under which this project calls servers."""

from __future__ import annotations

from aws_setup import __version__

USER_AGENT = f"lambda-fs/{__version__}"
"""User-Agent of every request to OpenWhisk, Kubernetes and AWS (RFC 9110, section 10.1.5)."""

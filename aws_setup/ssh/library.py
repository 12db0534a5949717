"""The names of paramiko, which is imported when the first of them is used.

Most commands open no SSH connection, and paramiko takes longer to import than their first request
to AWS. https://docs.python.org/3/reference/datamodel.html#customizing-module-attribute-access
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return a name of paramiko; Python calls this for a name that this module does not have."""
    import paramiko

    return getattr(paramiko, name)

"""Where OpenWhisk's chart comes from: a folder or a git URL, a ref, and a folder within it.

The values become arguments of git and helm and parts of paths, and the URL is stored in the
cluster and shown: so none may begin with `-`, leave its root, or hold a password. The messages
never contain a URL that is refused.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo

from aws_setup.config.base import local_path

ENCRYPTED = ("https", "ssh", "file")
"""Schemes that are accepted; http and git neither encrypt nor authenticate the server."""

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*::")
_SCP = re.compile(r"^(?P<user>[^@/\\]*)@(?P<host>[^:/\\]*):")
_HOST = re.compile(r"^[A-Za-z0-9\[][\w.:\]-]*$")
_REF = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_./+@=-]*$")
# The look-behind keeps it linear: a long word without a URL is tried at its beginning only.
_IN_URL = re.compile(r"(https?://)[^/@\s]+@|((?<!\w)\w+://[^/@:\s]+):[^/@\s]*@")


def is_git_url(source: str) -> bool:
    """Say whether a chart's source is the URL of a git repository, not a folder."""
    return bool(_SCHEME.match(source) or _SCP.match(source))


def redact(text: str) -> str:
    """Return a text without user names, passwords and tokens in URLs."""
    return _IN_URL.sub(lambda found: f"{found[1] or f'{found[2]}:'}***@", text)


def no_option(text: str) -> str:
    """Return a text that a program cannot take for an option; raises ValueError for one."""
    if text.startswith("-"):
        raise ValueError("it begins with -, so that a program would take it for an option")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("it contains a control character")
    return text


def _source(text: str, info: ValidationInfo) -> str:
    no_option(text)
    scheme, scp = _SCHEME.match(text), _SCP.match(text)
    if scheme:
        _check_url(text, scheme[1].lower())
    elif _HELPER.match(text):
        raise ValueError("it names a program of git's (TRANSPORT::ADDRESS) instead of a URL")
    elif scp and not (_HOST.match(scp["user"]) and _HOST.match(scp["host"])):
        raise ValueError("its user or host name is not one")
    return text if is_git_url(text) else local_path(text, info)


def _check_url(text: str, scheme: str) -> None:
    if scheme in ("http", "git"):
        raise ValueError(
            f"{scheme}:// is not encrypted, so that anybody on the way can replace the chart"
        )
    if scheme not in ENCRYPTED:
        raise ValueError(f"{scheme}:// is none of {', '.join(f'{it}://' for it in ENCRYPTED)}")
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        raise ValueError("it is not a URL") from None
    if url.password is not None or (scheme == "https" and url.username is not None):
        raise ValueError(
            "it contains a user name, password or token, which other programs and the cluster "
            "would see: let git's credential helper or an SSH key authenticate you"
        )
    if url.query or url.fragment:
        raise ValueError("it has a query or fragment, which may hold a token")
    if scheme != "file" and not _HOST.match(host):
        raise ValueError("its host name is not one")
    if url.username is not None and not _HOST.match(url.username):
        raise ValueError("its user name is not one")


def _ref(text: str) -> str:
    no_option(text)
    if not _REF.match(text) or ".." in text or "@{" in text or text.endswith(("/", ".lock", ".")):
        raise ValueError(f"{text!r} is not the name of a branch, tag or commit")
    return text


def inside(text: str) -> str:
    """Return a relative path that stays below its root; raises ValueError for any other."""
    no_option(text)
    path, windows = PurePosixPath(text.replace("\\", "/")), PureWindowsPath(text)
    if path.is_absolute() or windows.drive or windows.root or ".." in path.parts:
        raise ValueError(f"{text!r} leaves the folder that it is relative to")
    return path.as_posix()


ChartSource = Annotated[str, AfterValidator(_source)]
"""A folder as LocalPath, or the https, ssh or file URL of a git repository, without a password."""

GitRef = Annotated[str, AfterValidator(_ref)]
"""A branch, tag or commit."""

InnerFolder = Annotated[str, AfterValidator(inside)]
"""A folder within a repository."""

NoOption = Annotated[str, AfterValidator(no_option)]
"""A text that does not begin with `-`."""

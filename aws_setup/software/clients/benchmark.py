"""The benchmark's config.yaml: its followers and its hdfs-site.xml are set, the rest is kept.

The driver and its followers read the file that `hdfsConfigFile` names, each on its own disk
(https://github.com/ds2-lab/LambdaFS-Benchmarking, Commander and Follower: initDfsClient).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import yaml

from aws_setup.config import bounded_yaml
from aws_setup.errors import Refused

FOLLOWERS = "followers"
SITE = "hdfsConfigFile"
"""The path of the hdfs-site.xml that the benchmark reads."""

USER = "ubuntu"
"""The user on the followers' VMs."""


def with_followers(data: bytes, addresses: Sequence[str], *, source: str) -> bytes:
    """Return the file with these followers; the same bytes where it has them already.

    Args:
        data: the file's content.
        addresses: the followers' private addresses.
        source: names the file in errors.

    Raises:
        Refused: the file is not YAML in UTF-8, or `followers` occurs twice.
    """
    followers = [{"ip": address, "user": USER} for address in addresses]
    text = data.decode("utf-8", "replace")
    return _with(data, FOLLOWERS, followers, _block(addresses, _newline(text)), source=source)


def with_site(data: bytes, path: str, *, source: str) -> bytes:
    """Return the file with this path of hdfs-site.xml; the same bytes where it has it already.

    Raises:
        Refused: the file is not YAML in UTF-8, or `hdfsConfigFile` occurs twice.
    """
    return _with(data, SITE, path, f"{SITE}: {path}", source=source)


def site_of(data: bytes, *, source: str) -> str:
    """Return the path of the hdfs-site.xml that the benchmark reads, '' where it names none.

    Raises:
        Refused: the file is not YAML in UTF-8.
    """
    return str(_load(data, source).get(SITE) or "")


def _with(data: bytes, key: str, value: object, block: str, *, source: str) -> bytes:
    """Return the file with a key's value, which `block` writes."""
    before = _load(data, source)
    if before.get(key) == value:
        return data
    text = data.decode("utf-8")
    newline = _newline(text)
    span = _span(text, key, source)
    if span:
        changed = text[: span[0]] + block + text[span[1] :]
    else:
        gap = "" if text.endswith("\n") or not text else newline
        changed = text + gap + block + newline
    result = changed.encode("utf-8")
    if _load(result, source) != {**before, key: value}:
        _refuse(source, f"{key} is in a form that this program does not edit")
    return result


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _block(addresses: Sequence[str], newline: str) -> str:
    if not addresses:
        return f"{FOLLOWERS}: []"
    items = [f"  - ip: {address}{newline}    user: {USER}" for address in addresses]
    return newline.join([f"{FOLLOWERS}:", *items])


def _load(data: bytes, source: str) -> dict[str, Any]:
    try:
        loaded = bounded_yaml.load(data.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        _refuse(source, f"it is not YAML in UTF-8: {' '.join(str(error).split())}")
    if not isinstance(loaded, dict | None):
        _refuse(source, "it is not a mapping of keys and values")
    return loaded or {}


def _span(text: str, name: str, source: str) -> tuple[int, int] | None:
    """Return where key and value are, without the comments behind them; None without the key."""
    root = bounded_yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        return None
    found = [(key, value) for key, value in root.value if key.value == name]
    if len(found) > 1:
        _refuse(source, f"{name} occurs {len(found)} times")
    if not found:
        return None
    key, value = found[0]
    return key.start_mark.index, _end(value, key.end_mark.index + 1)


def _end(node: yaml.Node, least: int) -> int:
    """Return the end of a node's last character: a block's own mark is behind its comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last, least)
    return max(least, int(node.end_mark.index))


def _refuse(source: str, why: str) -> NoReturn:
    raise Refused(f"{source} cannot be edited", why, "correct the file, then run this again")

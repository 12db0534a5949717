"""Reads Hadoop's configuration on a VM, as the programs of λFS and HopsFS do."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

DRIVER_FILE = "dfs.storage.driver.configfile"
NDB_CONFIG = "ndb-config.properties"
LAMBDA_FS_RELEASE = "hadoop-3.2.0.3-SNAPSHOT"

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_PAIR = re.compile(r"((?:\\.|[^\\=:\s])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)


def read_site(path: Path) -> dict[str, str]:
    """Return the properties of a Hadoop XML file."""
    return parse_site(path.read_bytes())


def parse_site(*files: bytes) -> dict[str, str]:
    """Return the properties of Hadoop's XML files: the last value, or the first that is final.

    https://hadoop.apache.org/docs/r3.2.0/api/org/apache/hadoop/conf/Configuration.html
    """
    found: dict[str, str] = {}
    final: set[str] = set()
    for item in (item for data in files for item in ElementTree.fromstring(data).iter("property")):
        name = (item.findtext("name") or "").strip()
        if name not in final:
            found[name] = item.findtext("value") or ""
        if item.findtext("final") == "true":
            final.add(name)
    return found


def read_properties(path: Path) -> dict[str, str]:
    """Return the keys of a Java properties file."""
    return parse_properties(path.read_bytes())


def parse_properties(data: bytes) -> dict[str, str]:
    """Return the keys of Java properties; a repeated one has its last value."""
    text = re.sub(r"(?m)^[ \t\f]*[#!].*$", "", data.decode("latin-1"))
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\(?:\r\n|\r|\n)[ \t\f]*", r"\1", text)
    found: dict[str, str] = {}
    for line in text.splitlines():
        pair = _PAIR.match(line.lstrip(" \t\f"))
        if pair and pair[1]:
            found[_plain(pair[1])] = _plain(pair[2])
    return found


def _plain(text: str) -> str:
    names = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

    def char(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else names.get(code, code)

    return _ESCAPE.sub(char, text)


def driver_file(folder: Path) -> Path:
    """Return the driver's file that hdfs-site.xml in a configuration folder names.

    λFS opens it by its path, a bare name in the working directory; HopsFS looks for it on the class
    path, which has the configuration folder (HdfsStorageFactory in https://github.com/ds2-lab/LambdaFS
    and https://github.com/hopshadoop/hops).
    """
    name = read_site(folder / "hdfs-site.xml").get(DRIVER_FILE, NDB_CONFIG)
    return Path(name) if LAMBDA_FS_RELEASE in folder.parts else folder / name

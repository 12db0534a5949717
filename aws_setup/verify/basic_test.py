"""λFS's own test on its client, BasicTest, in a file system that may hold files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aws_setup.engine.wording import count_of
from aws_setup.software.clients.desired import HADOOP, LAMBDA_FS
from aws_setup.software.hdfs_format import error_line
from aws_setup.software.sql.databases import INODES
from aws_setup.verify.chain import Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.namenode_checks import LOGS
from aws_setup.verify.service_checks import query

SECONDS = 900.0
FILES = "10"
"""The answer to BasicTest's question: how many files it creates, and deletes again."""

COMMAND = """\
cd /home/ubuntu && exec java -Dlog4j.configuration=file:resources/log4j.properties -cp "$1" \\
  com.gmail.benrcarver.distributed.BasicTest
"""
SHARE = f"{HADOOP}/{LAMBDA_FS.release}/share/hadoop"
CLASS_PATH = f".:/home/ubuntu/BasicTest.jar:{SHARE}/hdfs/lib/*:{SHARE}/common/lib/*"

FILE, FOLDER = "test.txt", "my_directory"
"""What BasicTest creates in the root, and leaves there where it is interrupted."""

_COUNTED = re.compile(
    r"\[ERROR\] The directory should contain (no|\d+) files?(\(s\))?(?: now)?, not (\d+)\."
)
"""What BasicTest says of a folder that has other entries than it has created.

It expects none: 1 and then 2 in the root, those that it was asked for in its folder, and none in
the root at the end. It goes on after each, and ends with exit code 0.
https://github.com/ds2-lab/LambdaFS-Benchmarking/blob/88123bbdf7bb0eeef5470af69ab243a0a9378155/src/main/java/com/gmail/benrcarver/distributed/BasicTest.java
"""

_ROOT = f"(SELECT id FROM {INODES} WHERE name = '')"  # nosec B608 -- constants
_COUNT = f"SELECT COUNT(*) FROM {INODES} WHERE parent_id IN"  # nosec B608 -- constants
_FOLDER = f"(SELECT id FROM {INODES} WHERE name = '{FOLDER}' AND parent_id IN {_ROOT})"  # nosec B608
_COUNTS = (
    f"{_COUNT} {_ROOT} AND name NOT IN ('', '{FILE}', '{FOLDER}'); "
    f"{_COUNT} {_ROOT} AND name = '{FOLDER}'; {_COUNT} {_FOLDER};"
)
"""SQL: the entries of the root, its folders of BasicTest, and the entries of those."""


@dataclass(frozen=True)
class Before:
    """What the file system held before the test.

    `others` are the entries of the root that are not BasicTest's, `folders` is 1 where its folder
    was left, and `left` are the entries of that folder.
    """

    others: int
    folders: int = 0
    left: int = 0

    def explains(self, surplus: int, *, in_folder: bool) -> bool:
        """Return whether a folder had so many entries more than BasicTest expects."""
        if in_folder:
            return 0 <= surplus <= self.left
        return surplus in (self.others, self.others + self.folders)


def check(chain: Chain) -> str:
    """λFS's BasicTest succeeds on the client: it creates, lists and deletes files."""
    before = _before(chain)
    result = chain.client.run(
        ["sh", "-c", COMMAND, "lambda-fs", CLASS_PATH],
        stdin=f"{FILES}\n",
        timeout=SECONDS,
        check=False,
    )
    return judge(result.stdout + result.stderr, code=result.code, before=before)


def _before(chain: Chain) -> Before | None:
    """Return what the file system holds; None where its database is not part of the deployment."""
    try:
        return Before(*(int(row[0]) for row in query(chain, _COUNTS)))
    except NotApplicable:
        return None


def judge(output: str, *, code: int, before: Before | None) -> str:
    """Return what BasicTest has found.

    Args:
        output: what it has printed.
        code: its exit code.
        before: what the file system held before; None where that is not known, so that every
            surplus of entries may have been there.

    Raises:
        Broken: it has failed, or a folder had other entries than it should.
    """
    unexpected = list(_unexpected(output, before))
    if unexpected:
        raise Broken(unexpected[0], LOGS)
    counted = _COUNTED.search(output)
    if code or not (counted or "[SUCCESS]" in output):
        raise Broken(error_line(_COUNTED.sub("", output)), LOGS)
    if not counted:
        return f"[SUCCESS], with {FILES} files"
    held = count_of(before.others + before.folders, "entry", "entries") if before else "entries"
    return f"no [ERROR] but those of the {held} that / held before, with {FILES} files"


def _unexpected(output: str, before: Before | None) -> Iterator[str]:
    """Yield each [ERROR] that is not about what the file system held before."""
    for line in output.splitlines():
        if "[ERROR]" not in line:
            continue
        counted = _COUNTED.search(line)
        if counted:
            wanted = 0 if counted[1] == "no" else int(counted[1])
            surplus = int(counted[3]) - wanted
            in_folder = counted[2] is not None
            if before.explains(surplus, in_folder=in_folder) if before else surplus > 0:
                continue
        yield line.strip()

"""Stands in for `hdfs namenode -format -nonInteractive`: replaces all inodes by the root."""

from __future__ import annotations

import subprocess
import sys

from aws_setup.rehearsal.programs.common import fail, has_fault, print_line, record_start

DATABASE = ["--host=10.0.6.227", "--user=rehearsal_hdfs", "--connect-timeout=5", "vanilla_hopsfs"]
"""The address that the images contain, and the user of the rehearsal's database."""

SQL = """\
DELETE FROM hdfs_inodes;
INSERT INTO hdfs_inodes (id, parent_id, name) VALUES (1, 0, '');
"""


def main() -> None:
    """Format the file system in the deployment's database, with output as long as the real one."""
    record_start()
    if sys.argv[1:3] != ["namenode", "-format"]:
        fail("Usage: hdfs namenode -format [-nonInteractive]")
    for number in range(200):
        print_line(
            f"2026-01-01 00:00:00,{number:03d} INFO  namenode.NameNode: line {number}", sys.stderr
        )
    if has_fault("hdfs fails"):
        fail("ERROR namenode.NameNode: Failed to start namenode.\njava.io.IOException: no storage")
    command = ["mariadb", "--no-defaults", *DATABASE]
    done = subprocess.run(command, input=SQL.encode(), check=False, capture_output=True)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        fail(f"ERROR namenode.NameNode: Failed to start namenode.\njava.io.IOException: {why}")
    print_line(
        "INFO common.Storage: Storage directory has been successfully formatted.", sys.stderr
    )

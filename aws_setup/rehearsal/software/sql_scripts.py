"""A folder of small SQL scripts with the names that HopsFS's and λFS's have."""

from __future__ import annotations

from pathlib import Path

from aws_setup.software.sql.scripts import ORDER

SCHEMA = """\
-- Tables of the file system; each statement ends with a semicolon; even in 'quotes;'
delimiter $$

CREATE TABLE `hdfs_inodes` (
  `id` BIGINT NOT NULL, `parent_id` BIGINT NOT NULL, `name` VARCHAR(255) NOT NULL DEFAULT '; $',
  PRIMARY KEY (`parent_id`, `name`)
) ENGINE=ndbcluster DEFAULT CHARSET=latin1 $$

CREATE TABLE `hdfs_variables` (`id` INT NOT NULL PRIMARY KEY, `value` VARBINARY(500)
) ENGINE=ndbcluster $$

CREATE PROCEDURE simpleproc (OUT param1 INT)
BEGIN
  SELECT COUNT(*) INTO param1 FROM hdfs_inodes; -- not an end; of the statement
END$$
"""


def write_scripts(folder: Path, *, user: str = "") -> Path:
    """Write every script; with `user` a create_user.sql too; returns the folder."""
    folder.mkdir()
    for index, name in enumerate(ORDER):
        (folder / name).write_text(f"CREATE TABLE t{index} (id INT PRIMARY KEY) ENGINE=NDB;\n")
    (folder / "schema.sql").write_text(SCHEMA)
    if user:
        (folder / "create_user.sql").write_text(
            f"CREATE USER '{user}'@'%' IDENTIFIED BY 'from-the-script';\n"
        )
    return folder

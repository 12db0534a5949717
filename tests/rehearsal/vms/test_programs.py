"""What the programs of the emulated VMs read, without a VM."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest

from aws_setup.namenodes.request import DEFAULT_JAR
from aws_setup.rehearsal.programs.common import is_running
from aws_setup.rehearsal.programs.manager_client import connect_string
from aws_setup.rehearsal.programs.mysql import with_innodb
from aws_setup.rehearsal.programs.ndb_mgmd import (
    ManagementServer,
    configuration,
    parse,
    restart,
)
from aws_setup.rehearsal.vms import client_files
from aws_setup.rehearsal.vms.disk import Disk
from whisk_helper import MAIN_CLASS


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[mysql_cluster]\nndb-connectstring=10.0.6.227\n", "10.0.6.227"),
        (
            "# [mysql_cluster]\n[mysqld]\nndbcluster\n\n[mysql_cluster]\nndb-connectstring = m\n",
            "m",
        ),
        ("[mysqld]\nndb-connectstring=10.0.6.227\n", ""),
        ("[mysql_cluster]\nndb-connectstring=a\nndb-connectstring=b\n", "b"),
        ("", ""),
    ],
)
def test_the_manager_is_the_one_of_its_section(tmp_path: Path, text: str, address: str) -> None:
    file = tmp_path / "my.cnf"
    file.write_text(text)
    assert connect_string(str(file)) == address


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="the VMs' programs need /proc")
def test_a_program_is_not_taken_for_its_last_run_whose_number_it_got(tmp_path: Path) -> None:
    """A VM that boots again counts its processes anew; it keeps the PID file."""
    file, own = tmp_path / "ndb_1.pid", os.getpid()
    for number, runs in ((own, False), (os.getppid(), True), (2**22 + 1, False)):
        file.write_text(f"{number}\n")
        comm = Path(f"/proc/{number}/comm")
        name = comm.read_text().strip() if comm.exists() else "ndb_mgmd"
        assert is_running(file, name) is runs
    file.unlink()
    assert not is_running(file, "ndb_mgmd")


def test_without_my_cnf_no_manager_is_known(tmp_path: Path) -> None:
    assert connect_string(str(tmp_path / "my.cnf")) == ""


def test_an_option_outside_of_a_section_ends_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my.cnf"
    file.write_text("\nndb-connectstring=10.0.6.227\n[mysql_cluster]\n")
    with pytest.raises(SystemExit):
        connect_string(str(file))
    assert f"without preceding group in config file: {file} at line: 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statement", "run"),
    [
        (b"CREATE TABLE a (id INT) ENGINE=NDBCLUSTER;", b"CREATE TABLE a (id INT) ENGINE=InnoDB;"),
        (b"create table a (b int) engine = ndb", b"create table a (b int) ENGINE=InnoDB"),
        (b"SELECT 'ndb', ENGINE=ndbs;", b"SELECT 'ndb', ENGINE=ndbs;"),
        (b"SELECT '\xff\r\n';", b"SELECT '\xff\r\n';"),
    ],
)
def test_tables_of_ndb_are_made_with_innodb(statement: bytes, run: bytes) -> None:
    assert with_innodb(statement) == run


@pytest.mark.parametrize("program", ["mysql", "ndb_mgm"])
def test_programs_that_run_at_each_poll_import_little(program: str) -> None:
    """Each of these modules takes as long as the rest of the program."""
    slow = ("configparser", "pathlib", "subprocess", "typing")
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); "
        f"import aws_setup.rehearsal.programs.{program}; import json; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(slow) & set(json.loads(done.stdout)) == set()


def test_a_data_node_that_joins_again_at_once_finds_its_id_free() -> None:
    """The message of a restart may reach the node before the manager's next line runs."""
    sections = [("ndbd", {"NodeId": str(id), "HostName": f"10.0.1.{id}"}) for id in (2, 3)]
    management = ManagementServer(sections)
    joined: list[Any] = []

    class JoinsAtOnce:
        def sendall(self, data: bytes) -> None:
            assert json.loads(data) == {"restart": True}
            joined.append(management.join(cast(socket.socket, self), request))

    request = {"kind": "ndbd", "host": "10.0.1.2", "files": True, "initial": False}
    management.join(cast(socket.socket, JoinsAtOnce()), request)
    asker, manager = socket.socketpair()
    with asker, manager:
        restart(management, manager, 2)
        assert json.loads(asker.recv(100))["text"] == "Node 2 is being restarted"
    assert [management.nodes[2]] == joined


def server(*hosts: str) -> ManagementServer:
    """Return a management server whose data nodes 2, 3, … have these addresses."""
    nodes = "".join(
        f"[ndbd]\nNodeId={id}\nHostName={host}\n" for id, host in enumerate(hosts, start=2)
    )
    return ManagementServer(parse(f"[ndbd default]\n[ndb_mgmd]\nHostName=m\n{nodes}[api]\n"))


def joined(management: ManagementServer, host: str, **more: Any) -> Any:
    request = {"kind": "ndbd", "host": host, "files": False, "initial": True} | more
    return management.join(cast(socket.socket, None), request)


def test_a_data_node_is_joined_only_by_those_at_the_addresses_of_its_own_start() -> None:
    """Its configuration is that of its start, also when the management server has another one."""
    management = server("a", "x")
    assert "No free node id" in joined(management, "b")
    rows = {"generation": "rows", "hosts": {"2": "a", "3": "b"}, "id": 2}
    joined(management, "a", **rows)
    assert management.rows_for(joined(management, "x")) is None
    same = server("a", "b")
    joined(same, "a", **rows)
    assert same.rows_for(joined(same, "b")) == "rows"


def test_data_nodes_wait_for_the_others_without_end_but_for_those_that_are_named() -> None:
    management = server("a", "b")
    alone = joined(management, "a", generation="rows", initial=False, files=True)
    assert management.rows_for(alone) is None
    empty = joined(management, "b")
    assert management.rows_for(empty) is None, "its peer has not started"
    management.leave(alone)
    named = joined(management, "a", generation="rows", initial=False, files=True, nowait=[3])
    assert management.rows_for(named) == "rows"


def test_a_node_group_without_rows_gets_none() -> None:
    management = server("a", "b", "c", "d")
    for host, id in (("c", 4), ("d", 5)):
        hosts = {"2": "a", "3": "b", "4": "c", "5": "d"}
        joined(management, host, generation="rows", hosts=hosts, id=id)
    assert [management.rows_for(joined(management, host)) for host in ("a", "b")] == [None, None]


def test_the_cached_configuration_counts_until_the_file_is_to_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.rehearsal.programs.ndb_mgmd.MANAGER_DATA", tmp_path)
    file = tmp_path / "config.ini"
    read = []
    for text, *options in (
        ("first",),
        ("second",),
        ("third", "--skip-config-cache"),
        ("fourth", "--reload"),
        ("fifth",),
        ("sixth", "--initial"),
    ):
        file.write_text(text)
        monkeypatch.setattr("sys.argv", ["ndb_mgmd", *options])
        read.append(configuration(file))
    assert read == ["first", "first", "third", "fourth", "fourth", "sixth"]


def test_the_clients_image_has_the_jar_that_whisk_helper_takes(tmp_path: Path) -> None:
    """-j ssh://, with which the README registers the NameNodes."""
    disk = Disk(tmp_path)
    client_files.install_lambda_fs_files(disk)
    with zipfile.ZipFile(disk.path(DEFAULT_JAR)) as jar:
        (name,) = jar.namelist()
    assert name.removesuffix(".class").replace("/", ".") == MAIN_CLASS

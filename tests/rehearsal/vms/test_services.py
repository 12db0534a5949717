"""The servers on VMs as NameNodes ask them: real ZooKeeper and MariaDB, the stand-ins of NDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.environment import lacks_mariadb, write_scripts
from aws_setup.rehearsal.openwhisk.invocation import OperationError
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.services import UNREACHABLE, InProcessServices, NamespaceServices
from aws_setup.software.clients.login import PUBLISHED
from aws_setup.software.daemons import start_daemon
from aws_setup.software.ndb.config_files import NODE_DATA
from aws_setup.software.ndb.mysqld import MYSQL_SERVER, mysqld_answers, start_mysqld
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh.errors import RemoteError
from tests.software import test_ndb_cluster, test_sql_schema, test_zookeeper_ensemble
from tests.support.machines import ADDRESSES, needs_machines, public_ip, shared_key, vm_environment
from tests.support.ndb import MANAGER, VMS, mariadb_template, ndb_environment

pytestmark = pytest.mark.timeout(240)


@needs_machines
@pytest.mark.skipif(not Path(images.ZOOKEEPER_JARS).exists(), reason="no ZooKeeper")
def test_znodes_of_a_real_ensemble(tmp_path: Path) -> None:
    with vm_environment(tmp_path) as made:
        made.launch(3, lay=[images.install_zookeeper])
        services = NamespaceServices(made.vm_pool)
        host = ADDRESSES[0]
        assert services.znodes(host, 2181) is None
        test_zookeeper_ensemble.run(made, num_namenode_deployments=2)
        assert services.is_listening(host, 2181)
        others = {"/zookeeper", "/zookeeper/config", "/zookeeper/quota"}
        assert set(services.znodes(host, 2181) or ()) - others == set(zk.znodes(20))
        for index in (1, 2):
            made.vm_pool.power_off(f"i-{index}")
        assert services.znodes(host, 2181) is None


@needs_machines
def test_data_nodes_of_a_cluster(tmp_path: Path) -> None:
    with ndb_environment(tmp_path) as made:
        services = NamespaceServices(made.vm_pool)
        assert services.data_nodes(MANAGER) == []
        test_ndb_cluster.create(made)
        assert services.is_listening(MANAGER, 1186)
        nodes = services.data_nodes(MANAGER)
        assert sorted(address for address, _ in nodes) == [vm.private_ip for vm in VMS[1:]]
        made.vm_pool.power_off(VMS[1].id)
        assert not services.is_listening(VMS[1].private_ip, nodes[0][1])


@needs_machines
@pytest.mark.skipif(lacks_mariadb(), reason="no MariaDB")
def test_logins_to_a_real_database(tmp_path: Path) -> None:
    with ndb_environment(tmp_path, VMS[:1], mariadb_template()) as made:
        services = NamespaceServices(made.vm_pool)
        login = {
            "user": PUBLISHED.user,
            "password": PUBLISHED.password,
            "database": PUBLISHED.database,
        }
        assert "Can't connect" in services.login(MANAGER, 3306, **login)
        _, pool = made.context()
        start_mysqld(pool.machine("i-0a", made.public["i-0a"]))
        pool.close()
        assert "is not allowed to connect" in services.login(MANAGER, 3306, **login)
        test_sql_schema.create(made, write_scripts(tmp_path / "sql", user="user"))
        assert services.login(MANAGER, 3306, **login) == ""
        wrong = services.login(MANAGER, 3306, **login | {"password": "another"})
        assert wrong.endswith("(using password: YES)")
        other = services.login(MANAGER, 3306, **login | {"database": "other"})
        assert other.endswith("to database 'other'")
        named = login | {"port": "3306"}
        assert services.query(MANAGER, named, "SELECT 1, 'a'; SELECT 2;") == [["1", "a"], ["2"]]
        with pytest.raises(OperationError, match="doesn't exist"):
            services.query(MANAGER, named, "SELECT * FROM nothing;")
    assert services.login(MANAGER, 3306, **login) == UNREACHABLE


def test_imitated_vms_have_zookeeper_only(tmp_path: Path) -> None:
    key = shared_key(tmp_path / "key").with_suffix(".pub").read_text()
    with InProcessVmPool(tmp_path / "vms") as pool:
        services, host = InProcessServices(pool), ADDRESSES[0]
        machine = pool.launch("i-0", private_ip=host, public_ip=public_ip(0), authorized_key=key)
        assert services.znodes(host, 2181) is None
        pool.ensemble.running[host] = machine
        machine.disk.write("/opt/zookeeper/conf/zoo.cfg", "clientPort=2181\n")
        pool.ensemble.znodes |= {"/namenode0", "/namenode0/guest"}
        assert services.is_listening(host, 2181)
        assert services.znodes(host, 2181) == pool.ensemble.znodes
        assert services.data_nodes(MANAGER) == []
        login = {"user": "user", "password": "p", "database": "d"}
        assert services.login(MANAGER, 3306, **login) == UNREACHABLE
        with pytest.raises(OperationError, match=UNREACHABLE):
            services.query(MANAGER, login, "SELECT 1;")


@needs_machines
def test_mysqld_refuses_root_and_users_that_do_not_exist(tmp_path: Path) -> None:
    """As the images' does: mysqld_safe starts it as `mysql`, and it will not run as root."""
    with ndb_environment(tmp_path, VMS[:1]) as made:
        _, pool = made.context()
        machine = pool.machine("i-0a", made.public["i-0a"])
        with pytest.raises(RemoteError, match="run mysqld as root"):
            machine.run(["/usr/local/mysql/bin/mysqld"], sudo=True)
        with pytest.raises(RemoteError, match="quit without updating PID file"):
            start_daemon(machine, [MYSQL_SERVER, "start"])
        log = machine.read(f"{NODE_DATA}/mysqld.err", sudo=True) or ""
        assert "Can't change to run as user 'mysql'" in log
        start_mysqld(machine)
        assert mysqld_answers(machine)
        pool.close()

"""What an unchanged run asks of each machine over SSH; all of it is sent in one command."""

from __future__ import annotations

from aws_setup.config import Config
from aws_setup.infrastructure.vm_groups import CLIENTS
from aws_setup.software.client_keys import AUTHORIZED, KEYS, PRIVATE, PUBLIC
from aws_setup.software.clients.desired import KINDS
from aws_setup.software.clients.remote_files import files_question
from aws_setup.software.machines import ZOOKEEPER
from aws_setup.software.ndb.cluster import MACHINES, RESTART_LIST, SHOW
from aws_setup.software.ndb.config_files import CONFIG_INI, MY_CNF
from aws_setup.software.ndb.initial_start import MANAGER_MARKER
from aws_setup.software.ndb.mysqld import PING
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import member_questions
from aws_setup.software.zookeeper.steps import ADDRESSES
from aws_setup.ssh.survey import Question, read_question


def questions(config: Config, step: str, index: int) -> list[Question]:
    """Return what the steps that are switched on ask of a machine.

    Args:
        config: the configuration.
        step: the step of the machine, or the Component tag of an auto-scaled one.
        index: its index among the machines of that step.
    """
    asked: list[Question] = []
    if step == ZOOKEEPER:
        asked += _zookeeper(config, index)
    if step == MACHINES[0] and config.start_ndb_cluster:
        files = (MANAGER_MARKER, CONFIG_INI, MY_CNF, RESTART_LIST)
        asked += [*map(read_question, files), SHOW, PING]
    if config.configure_clients:
        kinds = [kind for kind in KINDS if step in (kind.step, *kind.components)]
        asked += map(files_question, kinds)
    if config.sftp_ssh_key:
        asked += _keys(config, step)
    return asked


def _zookeeper(config: Config, index: int) -> list[Question]:
    asked = [] if config.create_zookeeper_vms else [ADDRESSES]
    if config.start_zookeeper_cluster:
        asked += member_questions()
    if config.populate_zookeeper_cluster:
        asked.append(Question(zk.SRVR))
    if config.populate_zookeeper_cluster and index == 0:
        # Every member has all znodes, and its client is a JVM.
        asked.append(Question(zk.LIST))
    return asked


def _keys(config: Config, step: str) -> list[Question]:
    if config.copy_operator_key:
        return [read_question(path) for path in (PRIVATE, PUBLIC)] if step in CLIENTS else []
    of_clients = [KEYS, read_question(PUBLIC)] if step in CLIENTS else []
    return [*of_clients, read_question(AUTHORIZED)]

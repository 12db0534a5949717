"""The checks of a deployment: its machines and services, then the chain from client to files."""

from __future__ import annotations

from aws_setup.verify import basic_test
from aws_setup.verify import client_checks as client
from aws_setup.verify import cluster_checks as cluster
from aws_setup.verify import deep_checks as deep
from aws_setup.verify import machine_checks as machines
from aws_setup.verify import namenode_checks as namenodes
from aws_setup.verify import service_checks as services
from aws_setup.verify.chain import Chain
from aws_setup.verify.check import Check

SERVICE_CHECKS: tuple[Check[Chain], ...] = (
    Check("machines", machines.check_machines),
    Check("clocks", machines.check_clocks, needs=("machines",)),
    Check("disks", machines.check_disks, needs=("machines",)),
    Check("ZooKeeper ensemble", services.check_ensemble, needs=("machines",)),
    Check("NDB data nodes", services.check_data_nodes, needs=("machines",)),
    Check("nodes", cluster.check_nodes),
    Check("OpenWhisk", cluster.check_openwhisk),
)
"""What each machine and each service says of itself."""

NODE_CHECKS = tuple(
    Check(f"node to {name}", check, needs=("pod on a node",), deep=True)
    for name, check in deep.from_node.items()
)

CHAIN_CHECKS: tuple[Check[Chain], ...] = (
    Check("client", client.check_ssh),
    Check("client configuration", client.check_settings, needs=("client",)),
    Check("client to ZooKeeper", client.check_zookeeper, needs=("client configuration",)),
    Check("znodes", services.check_znodes, needs=("client to ZooKeeper",)),
    Check("client to NDB manager", client.check_manager, needs=("client configuration",)),
    Check("client to mysqld", client.check_mysqld, needs=("client configuration",)),
    Check("client to followers", client.check_followers, needs=("client",)),
    Check("database login", services.check_login, needs=("client to mysqld",)),
    Check("tables", services.check_tables, needs=("database login",)),
    Check("file system", services.check_formatted, needs=("tables",)),
    Check("client to OpenWhisk", client.check_endpoint, needs=("client configuration",)),
    Check("certificate", cluster.check_certificate, needs=("client to OpenWhisk",)),
    Check("healthy invokers", cluster.check_invokers, needs=("client to OpenWhisk",)),
    Check("NameNode actions", client.check_registered, needs=("client to OpenWhisk",)),
    Check("NameNodes alike", namenodes.check_alike, needs=("NameNode actions",)),
    Check("row in the database", services.check_row, needs=("tables",), deep=True),
    Check("pod on a node", deep.check_pod, needs=("client configuration",), deep=True),
    *NODE_CHECKS,
    Check(
        "NameNodes answer",
        namenodes.check_invocations,
        needs=(
            "NameNode actions",
            "znodes",
            "database login",
            *(check.name for check in NODE_CHECKS if check.name != "node to client"),
        ),
        deep=True,
    ),
    Check(
        "BasicTest",
        basic_test.check,
        needs=("NameNodes answer", "client to NDB manager"),
        deep=True,
    ),
)
"""Every connection that λFS needs, from its client to its files."""

CHECKS: tuple[Check[Chain], ...] = (*SERVICE_CHECKS, *CHAIN_CHECKS)
"""The table of `verify`. Checks that are not deep only read."""

READINESS = (
    "znodes",
    "client to NDB manager",
    "client to followers",
    "file system",
    "NameNode actions",
)
"""The checks with which every run ends, with those that they need: whether λFS can be used."""

"""The checks of a deployment, in the order of the chain from the client to the file system."""

from __future__ import annotations

from aws_setup.verify import client_checks as client
from aws_setup.verify import deep_checks as deep
from aws_setup.verify.chain import Chain
from aws_setup.verify.check import Check

NODE_CHECKS = tuple(
    Check(f"node to {name}", check, needs=("pod on a node",), deep=True)
    for name, check in deep.from_node.items()
)

CHECKS: tuple[Check[Chain], ...] = (
    Check("client", client.check_ssh),
    Check("client configuration", client.check_settings, needs=("client",)),
    Check("client to ZooKeeper", client.check_zookeeper, needs=("client configuration",)),
    Check("client to NDB manager", client.check_manager, needs=("client configuration",)),
    Check("client to mysqld", client.check_mysqld, needs=("client configuration",)),
    Check("client to followers", client.check_followers, needs=("client",)),
    Check("database login", client.check_login, needs=("client to mysqld",)),
    Check("client to OpenWhisk", client.check_endpoint, needs=("client configuration",)),
    Check("NameNode actions", client.check_registered, needs=("client to OpenWhisk",)),
    Check("pod on a node", deep.check_pod, needs=("client configuration",), deep=True),
    *NODE_CHECKS,
    Check(
        "NameNodes answer",
        deep.check_invocations,
        needs=(
            "NameNode actions",
            "client to ZooKeeper",
            "database login",
            *(check.name for check in NODE_CHECKS if check.name != "node to client"),
        ),
        deep=True,
    ),
    Check(
        "BasicTest",
        deep.check_basic_test,
        needs=("NameNodes answer", "client to NDB manager"),
        deep=True,
    ),
)
"""The table of `verify`. The cheap checks only read."""

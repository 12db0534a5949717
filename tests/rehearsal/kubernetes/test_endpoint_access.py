"""The endpoint of an emulated EKS cluster answers only the addresses that its settings admit."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.support.aws import client
from tests.support.eks import make, status


def times_out(hooks: EksApiServers) -> bool:
    """Return whether the API server never answers a new connection."""
    api = hooks.apis["zoo"]
    context = ssl.create_default_context(cadata=api.ca_pem)
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2]))) as connection:
        connection.settimeout(2)
        try:
            context.wrap_socket(connection).close()
        except TimeoutError:
            return True
    return False


def test_an_endpoint_that_is_closed_for_the_operator_times_out(cloud: RehearsalCloud) -> None:
    with EksApiServers(cloud) as hooks:
        make().cluster()
        assert status() == "ACTIVE"
        assert not times_out(hooks)
        cases: list[tuple[dict[str, Any], bool]] = [
            ({"publicAccessCidrs": ["52.94.76.8/32", "8.8.0.0/16"]}, True),
            ({"publicAccessCidrs": ["52.94.76.7/32"]}, False),
            ({"endpointPublicAccess": False, "endpointPrivateAccess": True}, True),
        ]
        for endpoint, closed in cases:
            client("eks").update_cluster_config(name="zoo", resourcesVpcConfig=endpoint)
            assert status() == "ACTIVE"
            assert times_out(hooks) == closed, endpoint
        cloud.settings.operator_address = "8.8.8.8"
        change = {"endpointPublicAccess": True, "publicAccessCidrs": ["8.8.0.0/16"]}
        client("eks").update_cluster_config(name="zoo", resourcesVpcConfig=change)
        assert status() == "ACTIVE"
        assert not times_out(hooks)

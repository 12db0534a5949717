"""The configuration as one flat model of all sections."""

from __future__ import annotations

from aws_setup.config.eks import Eks
from aws_setup.config.general import General
from aws_setup.config.network import Network
from aws_setup.config.openwhisk import OpenWhisk
from aws_setup.config.software import Software
from aws_setup.config.vms import Vms


class Config(OpenWhisk, Software, Vms, Eks, Network, General):
    """Every key of the configuration file; the sections describe them."""

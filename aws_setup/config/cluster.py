"""Keys of what runs on the EKS cluster: node groups, add-ons, access, OpenWhisk."""

from __future__ import annotations

from aws_setup.config.base import Count, InstanceType, Section


class Cluster(Section):
    """Node groups and OpenWhisk."""

    num_openwhisk_core_vms: Count = 3
    """Nodes for OpenWhisk's core components (controller, CouchDB, Kafka, …)."""

    num_openwhisk_invoker_vms: Count = 8
    """Nodes for OpenWhisk's invokers, which run the λFS NameNodes."""

    openwhisk_core_instance_type: InstanceType = "r5.xlarge"
    """Instance type of the core nodes."""

    openwhisk_invoker_instance_type: InstanceType = "r5.4xlarge"
    """Instance type of the invoker nodes."""

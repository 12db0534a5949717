"""How long AWS usually takes: when polls are dense, and what a forecast starts from."""

from __future__ import annotations

from collections.abc import Mapping

from aws_setup.engine.step import Action

MEDIANS: Mapping[str, float] = {
    "nat available": 114,
    "nat deleted": 60,
    "instance running": 12,
    "instance stopped": 30,
    "instance terminated": 45,
    "auto scaling instances": 15,
    "image available": 300,
    "volume modified": 20,
    "cluster active": 560,
    "cluster deleted": 150,
    "cluster update": 60,
    "node group active": 110,
    "node group deleted": 380,
    "node group update": 60,
    "addon active": 45,
    "addon deleted": 10,
    "schedule group deleted": 10,
    "load balancer created": 25,
    "load balancer deleted": 70,
    "load balancer dns": 180,
}
"""Transition of a resource of AWS -> median seconds. AWS promises none of them; these are the
delays of the rehearsal, too (docs/rehearsal.md; tests/aws/test_usual_times.py). Near them a wait
asks twice a second at most: six waits for VMs at once make 12 reads a second, and EC2 lets an
account make 20, and 100 at once
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html, non-mutating actions)."""

USUAL: Mapping[Action, Mapping[str, float]] = {
    Action.CREATE: {
        "nat gateway": MEDIANS["nat available"],
        "eks cluster": MEDIANS["cluster active"],
        "ndb manager": 30,
        "ndb data nodes 1": 30,
        "ndb data nodes 2": 30,
        "zookeeper": 30,
        "lambda-fs client": 30,
        "hopsfs client": 30,
        "ssh": 60,
        "zookeeper ensemble": 20,
        "ndb storage": 120,
        "ndb tables": 240,
        "lambda-fs format": 60,
        "hopsfs format": 60,
        "core-nodes": MEDIANS["node group active"],
        "invoker-nodes": MEDIANS["node group active"],
        "vpc-cni add-on": MEDIANS["addon active"],
        "kube-proxy add-on": MEDIANS["addon active"],
        "coredns add-on": MEDIANS["addon active"],
        "aws-ebs-csi-driver add-on": MEDIANS["addon active"],
        "openwhisk ready": 300,
        "openwhisk address": MEDIANS["load balancer created"],
        "openwhisk public address": MEDIANS["load balancer created"],
        "openwhisk api": MEDIANS["load balancer dns"],
    },
    Action.UPDATE: {
        "eks cluster": MEDIANS["cluster update"],
        "core-nodes": MEDIANS["node group update"],
        "invoker-nodes": MEDIANS["node group update"],
        "openwhisk ready": 180,
    },
    Action.DELETE: {
        "nat gateway": MEDIANS["nat deleted"],
        "eks cluster": MEDIANS["cluster deleted"],
        "core-nodes": MEDIANS["node group deleted"],
        "invoker-nodes": MEDIANS["node group deleted"],
        "openwhisk release": 60,
    },
}
"""Action -> step -> seconds on AWS, before this deployment has any run of its own."""

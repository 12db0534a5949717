"""How long AWS usually takes for a step: what a forecast starts from, and when polls begin."""

from __future__ import annotations

from collections.abc import Mapping

from aws_setup.engine.step import Action

USUAL: Mapping[Action, Mapping[str, float]] = {
    Action.CREATE: {
        "nat gateway": 115,
        "eks cluster": 560,
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
        "core-nodes": 120,
        "invoker-nodes": 120,
        "vpc-cni add-on": 45,
        "kube-proxy add-on": 45,
        "coredns add-on": 45,
        "aws-ebs-csi-driver add-on": 60,
        "openwhisk ready": 300,
        "openwhisk address": 30,
        "openwhisk public address": 30,
        "openwhisk api": 180,
    },
    Action.UPDATE: {
        "eks cluster": 60,
        "core-nodes": 60,
        "invoker-nodes": 60,
        "openwhisk ready": 180,
    },
    Action.DELETE: {
        "nat gateway": 65,
        "eks cluster": 150,
        "core-nodes": 380,
        "invoker-nodes": 380,
        "openwhisk release": 60,
    },
}
"""Action -> step -> seconds on AWS, before this deployment has any run of its own. The rehearsal's
delays are these medians, too (docs/rehearsal.md)."""


def usual(action: Action, step: str) -> float:
    """Return the seconds that AWS usually takes for a step; 0 when that is not known."""
    return USUAL.get(action, {}).get(step, 0.0)

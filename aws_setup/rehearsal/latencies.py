"""How long AWS takes: one table of delays in seconds, medians of published measurements."""

from __future__ import annotations

LATENCIES: dict[str, float] = {
    "vpc": 1,
    "subnet": 1,
    "nat available": 114,
    "nat deleted": 60,
    "address free after nat": 5,
    "instance running": 12,
    "instance terminated": 45,
    "instance stopped": 30,
    "image available": 300,
    "cluster active": 560,
    "cluster deleted": 150,
    "cluster update": 60,
    "node group active": 110,
    "node group gives up": 1980,
    "node group deleted": 380,
    "node group update": 60,
    "addon active": 45,
    "addon deleted": 10,
    "access entry": 2,
    "oidc provider": 1,
    "iam visible": 7,
    "auto scaling instances": 15,
    "load balancer dns": 180,
    "load balancer interfaces deleted": 60,
}
"""Delay of each transition, by name; settings may replace single ones."""

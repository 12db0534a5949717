"""VPCs, subnets, gateways and routes."""

from __future__ import annotations

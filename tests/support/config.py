"""Configurations that tests start from."""

from __future__ import annotations

from aws_setup.config import Config

SAMPLE = Config(ssh_keypair_name="my-key", ssh_key_path="my-key.pem")
"""Every default, with the sample's two blanks filled in."""

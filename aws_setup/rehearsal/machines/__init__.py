"""The machines behind the emulated EC2: they answer SSH, have a disk of their own, and reboot."""

from aws_setup.rehearsal.machines.room import Room
from aws_setup.rehearsal.machines.tree import Tree

__all__ = ["Room", "Tree"]

"""The machines behind the emulated EC2: they answer SSH, have a disk of their own, and reboot."""

from aws_setup.rehearsal.machines.room import NamespaceVmPool
from aws_setup.rehearsal.machines.tree import Disk

__all__ = ["NamespaceVmPool", "Disk"]

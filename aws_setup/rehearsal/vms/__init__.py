"""The VMs behind the emulated EC2: they answer SSH, have a disk of their own, and reboot."""

"""The VMs of the emulated EC2: SSH servers with disks, which can stop and reboot."""

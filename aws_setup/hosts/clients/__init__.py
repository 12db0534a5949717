"""The client VMs: their way to the other machines, and the file system that they format."""

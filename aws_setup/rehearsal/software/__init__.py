"""What the AMIs hold that cannot be had here: stand-ins that act like the real programs."""

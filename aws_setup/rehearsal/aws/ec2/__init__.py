"""EC2's rules, an area a module."""

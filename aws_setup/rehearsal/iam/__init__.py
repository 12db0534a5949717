"""IAM's rules, an area a module."""

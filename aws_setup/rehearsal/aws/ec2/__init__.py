"""The rules of EC2."""

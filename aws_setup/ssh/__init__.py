"""The adapter to the machines over SSH: commands, files and tunnels; only it imports paramiko."""

PROTOCOL_LOG = "aws_setup.ssh.protocol"
"""The log of paramiko, which has fifty lines for each connection, of algorithms and packets."""

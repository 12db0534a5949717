"""The adapter to the machines over SSH: commands, files and tunnels; only it imports paramiko."""

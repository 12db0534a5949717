"""Tests of aws_setup/rehearsal/vms."""

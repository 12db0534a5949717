"""Tests of aws_setup/namenodes."""

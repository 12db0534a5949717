"""Tests of aws_setup/rehearsal/core."""

"""Tests of aws_setup/rehearsal/faults."""

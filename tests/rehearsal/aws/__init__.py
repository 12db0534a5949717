"""Tests of aws_setup/rehearsal/aws."""

"""Tests of aws_setup/rehearsal/demo."""

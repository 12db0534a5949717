"""Tests of aws_setup/preflight."""

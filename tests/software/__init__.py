"""Tests of aws_setup/software."""

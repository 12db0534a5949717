"""Tests of aws_setup/cli."""

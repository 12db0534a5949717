"""Tests of aws_setup/engine."""

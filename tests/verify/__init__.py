"""Tests of aws_setup/verify."""

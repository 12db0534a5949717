"""Tests of aws_setup/config."""

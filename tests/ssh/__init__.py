"""Tests of aws_setup/ssh."""

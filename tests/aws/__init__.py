"""Tests of aws_setup/aws."""

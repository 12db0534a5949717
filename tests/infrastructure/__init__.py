"""Tests of aws_setup/infrastructure."""

"""Tests of aws_setup/report."""

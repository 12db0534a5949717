"""Tests of aws_setup/eks."""

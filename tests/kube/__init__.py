"""Tests of aws_setup/kube."""

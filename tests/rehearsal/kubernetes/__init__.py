"""Tests of aws_setup/rehearsal/kubernetes."""

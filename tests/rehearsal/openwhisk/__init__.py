"""Tests of aws_setup/rehearsal/openwhisk."""

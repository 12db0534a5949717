"""Tests of aws_setup/openwhisk."""

"""Tests of the lock file."""

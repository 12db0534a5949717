"""Tests of the rehearsal cloud itself."""

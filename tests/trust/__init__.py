"""Proves that a run that is disturbed at any write can be finished, and removed.

`python -m tests.trust` runs everything; the tests of this folder run a sample of each kind.
docs/trust.md explains what is tried and how to repeat one case.
"""

"""Writes the policy into docs/permissions.md anew: `python -m aws_setup.preflight`."""

from aws_setup.preflight.iam_policy import rewrite

rewrite()

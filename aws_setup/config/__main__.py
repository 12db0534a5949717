"""Writes sample_config_aws.yaml and docs/config.schema.json anew: `python -m aws_setup.config`."""

from aws_setup.config.generate import rewrite

rewrite()

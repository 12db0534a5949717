"""What a person reads: the only package that prints. Results go to stdout, progress to stderr."""

from aws_setup.report.console import Report, Style

__all__ = ["Report", "Style"]

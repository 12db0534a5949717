"""The only package that prints: results go to stdout, progress and problems to stderr."""

from aws_setup.report.console import Report, Style

__all__ = ["Report", "Style"]

"""The only package that prints: results go to stdout, progress and problems to stderr."""

from aws_setup.report.console import Report, Style
from aws_setup.report.printed_commands import CommandOptions

__all__ = ["CommandOptions", "Report", "Style"]

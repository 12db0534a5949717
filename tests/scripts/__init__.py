"""Whole runs of the three scripts."""

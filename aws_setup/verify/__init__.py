"""Verification: checks of every connection that λFS needs, from cheap to deep."""

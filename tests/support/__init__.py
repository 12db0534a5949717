"""Builders, stand-ins and fixtures that the tests share."""

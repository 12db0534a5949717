"""The tests; see docs/developing.md for how to run them."""

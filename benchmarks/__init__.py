"""Figures of docs/performance.md: `python -m benchmarks` measures all of them."""

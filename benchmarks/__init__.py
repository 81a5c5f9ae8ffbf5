"""Benchmarks, each a module to run: `python -m benchmarks.run`."""

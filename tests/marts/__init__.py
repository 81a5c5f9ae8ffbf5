"""Tests of the marts' contents: segments, edge values, metrics."""

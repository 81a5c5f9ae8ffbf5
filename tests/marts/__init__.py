"""What the marts contain: segments, edge values, metrics."""

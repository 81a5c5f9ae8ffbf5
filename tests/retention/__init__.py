"""Retention: expired partitions are dropped and stay dropped."""

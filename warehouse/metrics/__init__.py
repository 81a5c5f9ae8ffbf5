"""Metrics of the warehouse for Prometheus."""

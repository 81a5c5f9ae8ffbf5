"""Retention: drops expired partitions, and keeps them dropped."""

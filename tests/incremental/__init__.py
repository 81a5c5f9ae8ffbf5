"""Incremental builds and their cost: late rows, histories, own tables, time zones."""

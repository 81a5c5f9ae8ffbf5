"""Tests of the macros in PostgreSQL: indexes, partitions, views, replaced tables."""

"""What the macros do in PostgreSQL: indexes, partitions, views, replaced tables."""

"""The `warehouse` command: a thin layer over PostgreSQL and dbt.

Imports go downwards only; a test knows the floors.
"""

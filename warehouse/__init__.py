"""The Python package behind the `warehouse` command: a thin layer over PostgreSQL and dbt."""

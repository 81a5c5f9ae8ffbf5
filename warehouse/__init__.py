"""The `warehouse` command: a thin layer over PostgreSQL and dbt.

Modules import only from lower layers; tests/unit/test_package_layers.py defines and checks them.
"""

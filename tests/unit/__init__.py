"""Tests that need neither a database nor a run of dbt."""

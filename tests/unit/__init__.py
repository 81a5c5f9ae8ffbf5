"""Tests that need neither a database nor a dbt run."""

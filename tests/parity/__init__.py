"""Compares the stand-ins with the genuine dbt packages, on a dbt project."""

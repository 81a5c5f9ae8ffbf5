"""Conventions of the dbt project, and its documentation."""

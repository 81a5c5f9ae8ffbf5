"""The conventions of the dbt project, and its documentation."""

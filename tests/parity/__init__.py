"""A dbt project that compares the stand-ins with the genuine packages."""

"""Code that several tests share: servers, databases, dbt, small projects, the oracle."""

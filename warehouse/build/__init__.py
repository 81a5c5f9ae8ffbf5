"""Building the warehouse with dbt, and listing its marts."""

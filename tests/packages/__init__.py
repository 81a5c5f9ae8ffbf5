"""The dbt packages and their stand-ins."""

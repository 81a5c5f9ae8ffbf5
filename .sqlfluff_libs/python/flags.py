"""What the linter sees in the place of dbt's flags."""

EMPTY = False

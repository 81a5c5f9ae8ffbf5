"""For the linter: a stand-in for dbt's flags."""

EMPTY = False

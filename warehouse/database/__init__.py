"""The warehouse's database.

profile.py      where it is, by dbt's profile
connection.py   connections to it
preflight.py    checks before a command changes anything
build_lock.py   one build of a target at a time
"""

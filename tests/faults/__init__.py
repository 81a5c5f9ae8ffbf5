"""Faults during builds: a build that kills itself, a concurrent reader, the database."""

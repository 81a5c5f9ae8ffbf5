"""Tests of loading files and source databases into schema raw."""

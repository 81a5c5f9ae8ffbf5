"""Tests of the rules for rows, and of what a build does with rows that fail them."""

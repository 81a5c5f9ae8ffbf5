"""Whole data sets against the oracle."""

"""Tests of customer lifetime value: the fit, the scores, the mart."""

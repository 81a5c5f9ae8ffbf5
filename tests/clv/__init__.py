"""Customer lifetime value: the fit, the scores, the mart."""

"""Builds that are disturbed: one that dies where it is told to, a watching reader, the scene."""

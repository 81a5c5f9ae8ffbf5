"""Tests of the command `warehouse build` and its lock."""

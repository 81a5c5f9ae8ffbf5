"""The command `warehouse build`, and its lock."""

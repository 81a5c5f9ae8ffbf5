"""Loading files and source databases into schema raw."""

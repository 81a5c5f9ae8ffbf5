"""`warehouse init`: propose, check and apply the mapping of an application's tables."""

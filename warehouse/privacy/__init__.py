"""Personal data: where it is, who may see it."""

"""Personal data is found where nobody declared it."""

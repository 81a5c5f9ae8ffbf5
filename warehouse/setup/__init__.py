"""Steps of `make setup`."""

"""Tests of the embedded server and the connection to a database."""

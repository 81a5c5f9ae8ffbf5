"""The embedded server and the connection to a database."""

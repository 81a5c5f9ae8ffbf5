"""The embedded PostgreSQL server.

cluster.py    the server with its data directory: create, start, stop, inspect
machine.py    the machine's memory and cores, and the settings for them
programs.py   where PostgreSQL's programs come from
account.py    the system user that runs the server when root starts it
"""

from warehouse.server.cluster import PORT, Server, check_server_variables, socket_folder
from warehouse.server.machine import core_count, machine_settings, memory_bytes

__all__ = [
    "PORT",
    "Server",
    "check_server_variables",
    "core_count",
    "machine_settings",
    "memory_bytes",
    "socket_folder",
]

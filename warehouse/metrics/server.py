"""The HTTP server of the exporter: `/metrics` and `/-/healthy`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from warehouse.errors import WarehouseError

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request, so that a slow collection does not hold up `/-/healthy`."""

    daemon_threads = True

    def server_bind(self) -> None:
        # Asking DNS for the name of an address, as the base class does, can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    # A client that sends nothing must not hold a thread.
    timeout = 30

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print no line for each scrape."""


def application(registry: CollectorRegistry) -> Application:
    """What the server answers: the metrics, 200 while the process runs, else 404."""
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            status, text = "405 Method Not Allowed", "Only GET and HEAD are allowed.\n"
        elif path == "/metrics":
            return metrics(environ, start_response)
        elif path == "/-/healthy":
            status, text = "200 OK", "Healthy.\n"
        else:
            status, text = "404 Not Found", "Metrics are at /metrics.\n"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode()]

    return answer


def address_of(listen: str) -> tuple[str, int]:
    """The host and the port of `--listen`.

    Raises:
        WarehouseError: it is not HOST:PORT.
    """
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise WarehouseError(
            f"--listen must be HOST:PORT, such as 127.0.0.1:10187 or [::1]:10187, got {listen!r}."
        )
    return host, int(port)


def make_server(listen: str, registry: CollectorRegistry) -> WSGIServer:
    """A server that listens already; `serve_forever` answers.

    Args:
        listen: HOST:PORT; port 0 takes a free one.
        registry: the metrics.

    Raises:
        WarehouseError: it cannot listen there.
    """
    host, port = address_of(listen)
    try:
        family, *_, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        kind = _Server6 if family == socket.AF_INET6 else _Server
        server = kind(found[:2], _Handler)  # type: ignore[arg-type]
    except OSError as error:
        raise WarehouseError(
            f"Cannot listen on {listen}: {error.strerror or error}. Choose another host or port "
            "with --listen."
        ) from error
    server.set_app(application(registry))
    return server

"""`warehouse metrics`: metrics of the warehouse for Prometheus.

It serves them over HTTP until it is stopped, or writes them once to a file, for the textfile
collector of node_exporter. docs/monitoring.md lists the metrics.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from warehouse import console
from warehouse.database.preflight import announce
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.options import refuse_unused

LISTEN = "127.0.0.1:10187"
CACHE_SECONDS = 5.0


def metrics(
    once: Annotated[
        Path | None,
        typer.Option(
            "--once",
            metavar="FILE",
            help="Write the metrics to this file and exit. node_exporter reads *.prom.",
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help=f"Where to serve /metrics and /-/healthy; default {LISTEN}.",
        ),
    ] = None,
    cache_seconds: Annotated[
        float | None,
        typer.Option(
            "--cache-seconds",
            min=0,
            help=f"How long to give the same metrics again; default {CACHE_SECONDS:g}.",
        ),
    ] = None,
) -> None:
    """Serve metrics of the warehouse for Prometheus."""
    if once is not None:
        refuse_unused(
            {"--listen": listen, "--cache-seconds": cache_seconds}, "without --once, which serves"
        )
    where = settings()
    announce(where)
    from prometheus_client import CollectorRegistry

    from warehouse.metrics.exporter import Exporter

    exporter = Exporter(
        where, cache_seconds=CACHE_SECONDS if cache_seconds is None else cache_seconds
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    try:
        if once is not None:
            _write(once, registry, exporter)
        else:
            _serve(listen or LISTEN, registry)
    finally:
        exporter.close()


def _write(file: Path, registry: Any, exporter: Any) -> None:
    """Write the file under another name and rename it, so that no reader sees half of it.

    Raises:
        WarehouseError: the database did not answer, or a collector failed; the file says so too.
    """
    from prometheus_client import write_to_textfile

    write_to_textfile(str(file), registry)
    if exporter.problems:
        raise WarehouseError(f"{file} lacks the metrics of: {', '.join(exporter.problems)}.")
    console.say(f"Wrote {file}.")


def _serve(listen: str, registry: Any) -> None:
    from warehouse.metrics.server import make_server

    server = make_server(listen, registry)
    # As systemd and containers end a process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = server.server_address[:2]
    shown = f"[{host}]" if ":" in str(host) else host
    console.say(f"Serving metrics on http://{shown}:{port}/metrics.")
    try:
        server.serve_forever()
    finally:
        server.server_close()

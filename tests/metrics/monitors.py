"""Runs Prometheus, Alertmanager and a receiver of alerts, with the files of monitoring/."""

from __future__ import annotations

import dataclasses
import json
import queue
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.metrics.tools import MONITORING, RULES, program


@dataclasses.dataclass
class Received:
    """An alert that reached a receiver."""

    receiver: str
    status: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Inbox:
    """The alerts that arrived, in their order."""

    def __init__(self) -> None:
        self._arrived: queue.Queue[Received] = queue.Queue()

    def add(self, receiver: str, message: dict[str, Any]) -> None:
        """Take what Alertmanager sends: a message with the alerts of a group."""
        for alert in message["alerts"]:
            labels = alert["labels"]
            self._arrived.put(
                Received(
                    receiver, alert["status"], labels["alertname"], labels, alert["annotations"]
                )
            )

    def wait(self, name: str, status: str, receiver: str, seconds: float = 30) -> Received:
        """Wait for an alert; pass over others."""
        until = time.monotonic() + seconds
        seen = []
        while (left := until - time.monotonic()) > 0:
            try:
                alert = self._arrived.get(timeout=left)
            except queue.Empty:
                break
            seen.append((alert.receiver, alert.status, alert.name))
            if seen[-1] == (receiver, status, name):
                return alert
        raise AssertionError(f"{name} ({status}) did not reach {receiver}; arrived: {seen}")


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def receiving() -> Iterator[tuple[str, Inbox]]:
    """A receiver of webhooks: its address, and what arrived under each path."""
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.add(self.path.removeprefix("/"), json.loads(text))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running(folder: Path, address: str, *command: str) -> Iterator[None]:
    """Run a program until it says at /-/ready that it works; end it afterwards."""
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        until = time.monotonic() + 30
        while not _is_ready(address):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/-/ready", timeout=5) as answer:  # noqa: S310
            return answer.status == 200
    except OSError:
        return False


def alertmanager_config(webhook: str) -> dict[str, Any]:
    """The example, with its routes, but webhooks for receivers and without its waiting times."""
    config = yaml.safe_load((MONITORING / "alertmanager" / "alertmanager.yml").read_text())
    config["global"] = {"resolve_timeout": "1m"}
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    config["receivers"] = [
        {
            "name": receiver["name"],
            "webhook_configs": [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}],
        }
        for receiver in config["receivers"]
    ]
    return config


def prometheus_config(exporter: str, alertmanager: str) -> dict[str, Any]:
    """The example, with other addresses, and an interval of a second."""
    config = yaml.safe_load((MONITORING / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (scraped,) = config["scrape_configs"]
    scraped["scrape_timeout"] = "1s"
    scraped["static_configs"] = [{"targets": [exporter.removeprefix("http://")]}]
    config["alerting"]["alertmanagers"] = [
        {"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}
    ]
    return config


@contextmanager
def monitoring(exporter: str, folder: Path) -> Iterator[tuple[str, str, Inbox]]:
    """Start Prometheus and Alertmanager; alerts fire at once: every `for` is 0s.

    Args:
        exporter: the address of `warehouse metrics`.
        folder: for their files.

    Yields:
        The addresses of Prometheus and Alertmanager, and what reaches the receivers.
    """
    programs = program("prometheus"), program("prometheus-alertmanager", "alertmanager")
    prometheus, alertmanager = (f"http://127.0.0.1:{free_port()}" for _ in programs)
    with ExitStack() as stack:
        webhook, inbox = stack.enter_context(receiving())
        rules = re.sub(r"^( +for:) .+$", r"\1 0s", RULES.read_text(), flags=re.MULTILINE)
        (folder / "rules").mkdir()
        (folder / "rules" / "warehouse.yml").write_text(rules)
        for name, config in (
            ("prometheus", prometheus_config(exporter, alertmanager)),
            ("alertmanager", alertmanager_config(webhook)),
        ):
            (folder / f"{name}.yml").write_text(yaml.safe_dump(config))
        stack.enter_context(
            running(
                *(folder / "alertmanager", alertmanager, programs[1]),
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager' / 'data'}",
                f"--web.listen-address={alertmanager.removeprefix('http://')}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            running(
                *(folder / "prometheus", prometheus, programs[0]),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus' / 'data'}",
                f"--web.listen-address={prometheus.removeprefix('http://')}",
            )
        )
        yield prometheus, alertmanager, inbox


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """The result of a query."""
    asked = urllib.parse.urlencode({"query": expression})
    address = f"{prometheus}/api/v1/query?{asked}"
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310
        return json.load(answer)["data"]["result"]

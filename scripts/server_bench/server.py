"""`splade-engine serve` as a process, what it measures of itself, and one request to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

K = 10  # hits of every request


class Server:
    """`splade-engine serve` on a free port."""

    def __init__(self, folder: Path, log: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.address = f"127.0.0.1:{port}"
        self.log = log
        # -q: a line per request is not what is measured
        self.command = [
            sys.executable,
            "-m",
            "splade_engine",
            "-q",
            "serve",
            str(folder),
            "--port",
            port,
            *options,
        ]

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("w") as file:
            self.process = subprocess.Popen(self.command, stderr=file)
        while True:
            try:
                http.client.HTTPConnection(self.address, timeout=60).request("GET", "/ready")
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(self.log.read_text())
                time.sleep(0.01)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def measured(self, name: str) -> float:
        """The sum of a measurement over its labels."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))

    def processor_seconds(self) -> float:
        """Of its processes."""
        waiting, ticks = [self.process.pid], 0
        while waiting:
            process = Path(f"/proc/{waiting.pop()}")
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text().split())
        return ticks / os.sysconf("SC_CLK_TCK")

    def answered(self) -> float:
        """Searches answered so far."""
        return self.measured("splade_engine_search_seconds_count")


def send(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None
) -> tuple[int, Any]:
    """Status and JSON of one request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, path, data, headers)
    except ConnectionError:  # the server has closed a connection that was idle for five seconds
        connection.close()
        connection.request(method, path, data, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"null")

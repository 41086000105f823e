"""Starts the lab's programs as processes of their own, against the fake database."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lpse_dr.lab

IMAGE = Path(lpse_dr.lab.__file__).parent / "image"


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fake_environment(folder: Path, word: str) -> dict[str, str]:
    """Return an environment in which psycopg2 is the fake, which behaves as `word` says."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parent / "fake_psycopg2.py", library / "psycopg2.py")
    (folder / "database").write_text(word)
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**base, "PYTHONPATH": str(library), "FAKE_DATABASE": str(folder / "database")}


class StandIn:
    """A running stand-in."""

    def __init__(self, folder: Path, word: str = "primary", pool: int = 3, control: str = "127.0.0.1") -> None:
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(exist_ok=True)
        self.port, self.control = free_port(), free_port()
        (folder / "state.json").write_text('{"epoch": {"number": 7, "site": "pdc"}}')
        environment = fake_environment(folder, word)
        environment.update(
            SPSE_SITE="pdc",
            SPSE_LISTEN=f"127.0.0.1:{self.port}",
            SPSE_CONTROL=f"{control}:{self.control}",
            SPSE_DSN="host=nowhere",
            SPSE_FILES=str(self.files),
            SPSE_POOL=str(pool),
            SPSE_STATE=str(folder / "state.json"),
        )
        self.process = subprocess.Popen([sys.executable, str(IMAGE / "spse.py")], env=environment)

    def become(self, word: str) -> None:
        """Change how the database behaves."""
        fresh = self.folder / "database.new"
        fresh.write_text(word)
        fresh.replace(self.folder / "database")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        control: bool = False,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control if control else self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        """Return the body of /health."""
        return self.request("GET", "/health")[1]

    def wait_for(self, state: str, seconds: float = 5.0, open_connections: int | None = None) -> dict[str, Any]:
        """Wait until health says `state`."""
        deadline = time.monotonic() + seconds
        body: dict[str, Any] = {}
        while time.monotonic() < deadline:
            try:
                body = self.health()
            except OSError:
                body = {}
            if body.get("state") == state and open_connections in (None, body["pool"]["open"]):
                return body
            time.sleep(0.02)
        raise AssertionError(f"expected {state}, found {body}")

    def documents(self) -> list[Path]:
        """Return every file under the root of documents."""
        return [path for path in self.files.rglob("*") if path.is_file()]

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return exit code and seconds."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5), time.monotonic() - started

    def close(self) -> None:
        """End it whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

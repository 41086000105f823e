"""A real HAProxy with the role's own configuration, before two pretended sites."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from lpse_dr.plugins.module_utils.lpse_dr_host import base, traffic
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context

ROLE = Path(__file__).resolve().parents[3] / "roles/traffic"


class Site(http.server.BaseHTTPRequestHandler):
    """A site: /health by ``server.state``, everything else by its name."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        """Say the state, or the name."""
        if self.path == "/health":
            serving = self.server.state == "serving"
            self.answer(200 if serving else 503, {"state": self.server.state, "epoch": self.server.epoch})
        else:
            self.answer(200, {"site": self.server.name})

    def do_POST(self) -> None:
        """Take a document whole."""
        left = int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read1(min(left, 65536))
            if not piece:
                return
            left -= len(piece)
        self.server.taken += 1
        self.answer(201 if self.server.state == "serving" else 503, {"site": self.server.name})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Send JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


class Listener(http.server.ThreadingHTTPServer):
    """A site's server; a check that hangs up early is no event."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet."""


class Door:
    """The gateway: start and kill it, perform verbs on it, be its client."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.map = folder, folder / "choice.map"
        self.sites: dict[str, Any] = {}
        for name in ("pdc", "drc"):
            server: Any = Listener(("127.0.0.1", 0), Site)
            server.name, server.state, server.epoch, server.taken = name, "standby", 3, 0
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            self.sites[name] = server
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = {
            "traffic_provider": "haproxy", "traffic_map": str(self.map), "traffic_socket": str(folder / "s"),
            "traffic_sites": {"pdc": {}, "drc": {}}, "traffic_server": "app",
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.tls = ssl.create_default_context(cafile=folder / "cert.pem")

    def configure(self) -> None:
        """Render the role's template as the role and the lab do."""
        template = (ROLE / "templates/haproxy.cfg.j2").read_text()
        environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
        text = environment.from_string(template).render(
            sites=[{"name": n, "app": "127.0.0.1", "port": s.server_address[1]} for n, s in self.sites.items()],
            traffic_bind=f"127.0.0.1:{self.port}", traffic_certificate=str(self.folder / "door.pem"),
            traffic_map=str(self.map), traffic_socket=str(self.folder / "s"),
            traffic_lua=str(ROLE / "files/lpse-dr.lua"), traffic_boot_hold_seconds=2,
        )  # fmt: skip
        kept = [line for line in text.splitlines() if line.strip() not in ("user haproxy", "group haproxy")]
        (self.folder / "h.cfg").write_text("\n".join(kept) + "\n")

    def start(self, **choice: object) -> None:
        """Start HAProxy; ``choice`` is what its file says."""
        if choice:
            given = {"state": "open", "target": "pdc", "epoch": 3, "hold_until": 0, "operation": 0, **choice}
            self.map.write_text("".join(f"{key} {value}\n" for key, value in given.items()))
        self.process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(self.folder / "h.cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("HAProxy did not start")

    def kill(self) -> None:
        """End HAProxy as a power cut does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def call(self, verb: str, **args: object) -> dict[str, Any]:
        """Perform a verb on the gateway."""
        return traffic.VERBS[verb](Context("gw", "pdc", self.config, None, 10.0), dict(args))

    def reading(self) -> dict[str, Any]:
        """Return the traffic part of the status."""
        found: dict[str, Any] = self.call("status")["reading"]["traffic"]
        return found

    def client(self) -> http.client.HTTPSConnection:
        """Return a connection of a vendor."""
        return http.client.HTTPSConnection("localhost", self.port, timeout=15, context=self.tls)

    def get(self) -> tuple[int, str]:
        """Return status and site of one request; for a page without a site, its Retry-After."""
        client = self.client()
        try:
            client.request("GET", "/")
            answer = client.getresponse()
            body = answer.read()
            said = json.loads(body)["site"] if answer.status == 200 else str(answer.headers["Retry-After"])
            return answer.status, said
        finally:
            client.close()

    def close(self) -> None:
        """End everything."""
        self.kill()
        for server in self.sites.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Yield a gateway that is configured and not started; pdc serves by epoch 3."""
    if not shutil.which("haproxy") or not shutil.which("openssl"):
        pytest.skip("HAProxy is not installed; script/setup installs it")
    folder = tmp_path
    if len(str(folder)) > 80:  # a socket's path is short
        pytest.skip("a socket's path has at most 107 bytes, and the temporary folder's name leaves too few")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key.pem"),
         "-out", str(folder / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "door.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    monkeypatch.setattr(base, "STATE_FOLDER", str(folder))
    made = Door(folder)
    made.configure()
    made.sites["pdc"].state = "serving"
    yield made
    made.close()

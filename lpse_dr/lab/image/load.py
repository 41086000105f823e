"""Vendors who submit bids without pause: the load generator of the lab. Runs on the host `vendor`.

C clients, each with one kept-alive TLS connection, resolve the name through the host's resolver and
remember the answer for --dns-ttl seconds, as stale as a real client's. Documents of 1 kB to 1 MB
(log-uniform). A receipt counts only from a 201 whose hash is the document's. Nothing is ever
sent twice: once a byte of a request has left, any failure is a failed request. A kept-alive
connection that the server had already closed is seen before sending, and opened anew.
After a failed request a client waits --pause-after-failure, so that an outage is not a flood.

--out, one JSON line a request, flushed at once: {client, n, start, end, wait, status, receipt, sha256, size,
site, address, connected, error}; start and end in seconds of CLOCK_MONOTONIC, wait in seconds.
--summary is written last, by rename. Standard output: one line of progress a second, JSON.
SIGTERM ends it early: requests under way are finished, the slow upload is broken off.

Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import math
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

SMALLEST_BYTES, LARGEST_BYTES = 1000, 1_000_000
SLOW_BYTES = 512 * 1024
SLOW_STEP_SECONDS = 0.1


class Names:
    """The name's address, remembered for `ttl` seconds."""

    def __init__(self, host: str, port: int, ttl: float) -> None:
        self.host, self.port, self.ttl = host, port, ttl
        self.lock = threading.Lock()
        self.answer: Any = None
        self.until = 0.0

    def resolve(self) -> Any:
        """Return the socket address. Errors: OSError."""
        with self.lock:
            now = time.monotonic()
            if self.answer is None or now >= self.until:
                found = socket.getaddrinfo(self.host, self.port, socket.AF_INET, socket.SOCK_STREAM)
                self.answer, self.until = found[0][4], now + self.ttl
            return self.answer


class Recorder:
    """Writes every request as it ends, and keeps the figures of the summary."""

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.file = open(path, "w", encoding="utf-8")  # noqa: SIM115 (open as long as the program runs)
        self.started = time.monotonic()
        self.figures: dict[str, Any] = {
            "requests": 0,
            "failed": 0,
            "acknowledged": 0,
            "bytes": 0,
            "connections": 0,
            "idle_closed": 0,
            "longest_wait_seconds": 0.0,
        }
        self.waits: list[float] = []
        self.errors: dict[str, int] = {}
        self.last_end: dict[int, float] = {}
        self.gaps: dict[int, float] = {}

    def add(self, record: dict[str, Any], slow: bool) -> None:
        """Count and write one request. The slow upload's wait is its purpose and stays out of the waits."""
        with self.lock:
            f = self.figures
            f["requests"] += 1
            f["connections"] += record["connected"]
            if record["error"] is None:
                f["acknowledged"] += 1
                f["bytes"] += record["size"]
            else:
                f["failed"] += 1
                self.errors[record["error"]] = self.errors.get(record["error"], 0) + 1
            client = record["client"]
            if not slow:
                self.waits.append(record["wait"])
                f["longest_wait_seconds"] = max(f["longest_wait_seconds"], record["wait"])
                if client in self.last_end:
                    gap = record["start"] - self.last_end[client]
                    self.gaps[client] = max(self.gaps.get(client, 0.0), gap)
                self.last_end[client] = record["end"]
            self.file.write(json.dumps(record) + "\n")
            self.file.flush()

    def summary(self) -> dict[str, Any]:
        """Return the figures so far."""
        with self.lock:
            waits = sorted(self.waits)
            return {
                **self.figures,
                "seconds": round(time.monotonic() - self.started, 3),
                "started": self.started,
                "ended": time.monotonic(),
                "median_wait_seconds": waits[len(waits) // 2] if waits else None,
                "longest_gap_seconds": max(self.gaps.values(), default=0.0),
                "longest_gap_by_client": {str(c): g for c, g in sorted(self.gaps.items())},
                "errors": self.errors,
            }


class Vendor(threading.Thread):
    """One client."""

    def __init__(self, number: int, shared: Shared) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.shared = shared
        self.connection: http.client.HTTPConnection | None = None
        self.address = ""
        self.random = random.Random(f"{shared.arguments.seed}/{number}")

    def run(self) -> None:
        """Submit until the time is over."""
        n = 0
        while not self.shared.over():
            size = int(math.exp(self.random.uniform(math.log(SMALLEST_BYTES), math.log(LARGEST_BYTES))))
            acknowledged = self.submit(n, self.shared.document(size))
            arguments = self.shared.arguments
            pause = arguments.pause_between if acknowledged else arguments.pause_after_failure
            if pause:
                self.shared.stop.wait(pause)
            n += 1
        self.drop()

    def submit(self, n: int, document: bytes, pieces: Iterator[bytes] | None = None) -> bool:
        """Submit one bid, once. True if it was acknowledged."""
        shared = self.shared
        record: dict[str, Any] = {"client": self.number, "n": n, "status": None, "receipt": None}
        record.update(site=None, sha256=hashlib.sha256(document).hexdigest(), size=len(document), error=None)
        record["connected"] = 0
        start = time.monotonic()
        try:
            connection = self.connect(record)
            target = f"/bid?tender=T{self.number % 7}&vendor={'slow' if pieces else f'vendor{self.number}'}"
            headers = {"Content-Length": str(len(document)), "Content-Type": "application/octet-stream"}
            connection.request("POST", target, body=pieces or document, headers=headers)
            response = connection.getresponse()
            body = response.read()
            record["status"] = response.status
            if response.will_close:
                self.drop()
            record["error"] = _judge(response.status, body, record)
        except (OSError, http.client.HTTPException) as error:
            self.drop()
            record["error"] = f"{type(error).__name__}: {error}"[:160]
        end = time.monotonic()
        record.update(start=start, end=end, wait=end - start, address=self.address)
        shared.recorder.add(record, slow=pieces is not None)
        return record["error"] is None

    def connect(self, record: dict[str, Any]) -> http.client.HTTPConnection:
        """Return a connection that the server has not closed. Errors: OSError."""
        if self.connection is not None:
            if _alive(self.connection.sock):
                return self.connection
            self.drop()
            with self.shared.recorder.lock:
                self.shared.recorder.figures["idle_closed"] += 1
        shared = self.shared
        address = shared.names.resolve()
        self.address = address[0]
        record["connected"] = 1
        timeout = shared.arguments.timeout
        channel = socket.create_connection(address, timeout=timeout)
        try:
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if shared.tls is not None:
                channel = shared.tls.wrap_socket(channel, server_hostname=shared.names.host)
        except OSError:
            channel.close()
            raise
        self.connection = http.client.HTTPConnection(shared.names.host, shared.names.port, timeout=timeout)
        self.connection.auto_open = 0  # never a silent second connection
        self.connection.sock = channel
        return self.connection

    def drop(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.close()
            self.connection = None


class SlowVendor(Vendor):
    """Submits a single bid that takes `--slow-upload` seconds to send."""

    def run(self) -> None:
        arguments = self.shared.arguments
        if not self.shared.stop.wait(arguments.slow_after):
            document = self.shared.document(SLOW_BYTES)
            self.submit(0, document, self._pieces(document, arguments.slow_upload))
        self.drop()

    def _pieces(self, document: bytes, seconds: float) -> Iterator[bytes]:
        steps = max(1, int(seconds / SLOW_STEP_SECONDS))
        step = -(-len(document) // steps)
        started = time.monotonic()
        for number, offset in enumerate(range(0, len(document), step)):
            yield document[offset : offset + step]
            due = started + (number + 1) * seconds * step / len(document)
            if self.shared.terminated.wait(max(0.0, min(due, started + seconds) - time.monotonic())):
                raise ConnectionAbortedError("broken off: the load was told to stop")


class Shared:
    """What the clients have in common."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        url = urlsplit(arguments.url)
        self.tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self.tls = ssl.create_default_context(cafile=arguments.cafile)
        self.names = Names(url.hostname or "", url.port or (443 if self.tls else 80), arguments.dns_ttl)
        self.recorder = Recorder(arguments.out)
        self.stop = threading.Event()
        self.terminated = threading.Event()
        self.until = time.monotonic() + arguments.seconds
        self._noise = os.urandom(LARGEST_BYTES)

    def over(self) -> bool:
        """True when no new request may begin."""
        return self.stop.is_set() or time.monotonic() >= self.until

    def document(self, size: int) -> bytes:
        """Return `size` bytes that no other document has: a unique head, then noise that costs nothing."""
        return os.urandom(32) + self._noise[: max(0, size - 32)]


def _alive(channel: Any) -> bool:
    """False if the server has closed an idle connection. Nothing may have arrived before the request."""
    if channel is None:
        return False
    timeout = channel.gettimeout()
    try:
        # Reading, not polling: a TLS session ticket makes the socket readable and means nothing.
        channel.settimeout(0.0)
        channel.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            channel.settimeout(timeout)
    return False


def _judge(status: int, body: bytes, record: dict[str, Any]) -> str | None:
    """Fill in the receipt. Return why this is not an acknowledgement, or None."""
    if status != 201:
        return f"status {status}"
    try:
        answer = json.loads(body)
        record.update(receipt=answer["receipt"], site=answer["site"])
        return None if answer["sha256"] == record["sha256"] else "the receipt is for another document"
    except (ValueError, KeyError, TypeError):
        return "the receipt is unreadable"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="https://spse.lomboktengah.test")
    parser.add_argument("--cafile")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds without an answer (default: %(default)s)"
    )
    parser.add_argument("--dns-ttl", type=float, default=5.0, help="seconds (default: %(default)s)")
    parser.add_argument("--slow-upload", type=float, default=0.0, help="seconds; adds one client")
    parser.add_argument("--slow-after", type=float, default=0.0, help="seconds before the slow upload begins")
    parser.add_argument("--pause-after-failure", type=float, default=0.1, help="seconds (default: %(default)s)")
    parser.add_argument("--pause-between", type=float, default=0.0, help="seconds (default: none)")
    parser.add_argument("--seed", default=str(time.time_ns()))
    parser.add_argument("--out", required=True)
    parser.add_argument("--summary", required=True)
    parser.add_argument("--pidfile")
    return parser.parse_args()


def main() -> int:
    """Run the load. Exit code 0 whatever the requests became: the summary tells."""
    arguments = _arguments()
    shared = Shared(arguments)

    def end(_number: int, _frame: Any) -> None:
        shared.stop.set()
        shared.terminated.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if arguments.pidfile:
        with open(arguments.pidfile, "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    vendors: list[Vendor] = [Vendor(number, shared) for number in range(arguments.clients)]
    if arguments.slow_upload:
        vendors.append(SlowVendor(arguments.clients, shared))
    for vendor in vendors:
        vendor.start()
    while any(vendor.is_alive() for vendor in vendors):
        due = time.monotonic() + 1.0
        for vendor in vendors:
            vendor.join(max(0.0, due - time.monotonic()))
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(shared.recorder.summary()), flush=True)
    temporary = arguments.summary + ".part"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(shared.recorder.summary(), file)
    os.replace(temporary, arguments.summary)
    if arguments.pidfile:
        with contextlib.suppress(OSError):
            os.unlink(arguments.pidfile)
    return 0


if __name__ == "__main__":
    sys.exit(main())

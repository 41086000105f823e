"""The stand-in's HTTP side: listening sockets, requests, documents that arrive in pieces."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

if __package__:
    from .spse_pool import UnavailableError, first_line
else:
    from spse_pool import UnavailableError, first_line  # type: ignore[import-not-found,no-redef]

LARGEST_DOCUMENT_BYTES = 800 * 1024 * 1024
PIECE_BYTES = 256 * 1024
IDLE_SECONDS = 300.0  # longer than the gateway's own, so that it is never this side that closes first
BODY_SECONDS = 60.0  # no byte for this long: the vendor is gone
DRAIN_BYTES = 1024 * 1024  # a refused document up to this size is read away, so that the connection lives on


class RefusedError(Exception):
    """A request that gets no receipt, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Upload:
    """One POST under way. `committing` is set once the document is complete on disk."""

    def __init__(self, vendor: str, tender: str, client: str) -> None:
        self.vendor, self.tender, self.client = vendor, tender, client
        self.started = time.monotonic()
        self.bytes = 0
        self.committing = False
        self.part = ""

    def describe(self, now: float) -> dict[str, Any]:
        """Return it as /health shows it."""
        return {
            "vendor": self.vendor,
            "tender": self.tender,
            "client": self.client,
            "seconds": round(now - self.started, 3),
            "bytes": self.bytes,
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; one thread a connection."""

    protocol_version = "HTTP/1.1"
    server_version = "lpse-dr-SPSE-stand-in/1"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: Listener

    def version_string(self) -> str:
        """The Server header: it says what this is."""
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the journal is for what goes wrong."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            self.answer(*self.server.service.report())
            return
        match = re.fullmatch(r"/receipt/([^/]+)", path)
        if not match:
            self.answer(404, {"error": "no such page"})
            return
        try:
            row = self.server.service.receipt(str(uuid.UUID(match[1])))
        except ValueError:
            self.answer(400, {"error": "a receipt is a UUID"})
        except UnavailableError as error:
            self.answer(503, {"error": str(error)})
        else:
            self.answer(200 if row else 404, row or {"error": "no bid has this receipt"})

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = Body(self)
        try:
            if url.path == "/bid":
                self.bid(query, body)
            elif url.path == "/lpse-dr/prove-write":
                self.prove(query, body)
            else:
                raise RefusedError(404, "no such page")
        except RefusedError as refusal:
            self.refuse(refusal.status, str(refusal), body)
        except UnavailableError as error:
            self.refuse(503, str(error), body)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the vendor went away; nobody is left to answer
        except OSError as error:
            sys.stderr.write(f"spse: bid not stored: {error}\n")
            self.refuse(507, f"the document could not be stored: {error.strerror}", body)

    def bid(self, query: dict[str, str], body: Body) -> None:
        """Take one bid."""
        tender, vendor = query.get("tender", ""), query.get("vendor", "")
        if not tender or not vendor or max(len(tender), len(vendor)) > 200:
            raise RefusedError(400, "tender and vendor are required, 1 to 200 characters each")
        body.check()
        service = self.server.service
        # The gateway names the vendor's address; it is shown and trusted for nothing.
        client = self.headers.get("X-Forwarded-For") or str(self.client_address[0])
        upload = Upload(vendor, tender, client)
        service.begin(upload)
        try:
            service.require_writable()
            self.connection.settimeout(BODY_SECONDS)
            self.answer(201, service.store(body, upload))
        finally:
            service.end(upload)
            with contextlib.suppress(OSError):
                self.connection.settimeout(IDLE_SECONDS)

    def prove(self, query: dict[str, str], body: Body) -> None:
        """Prove writes. Only on the control address: it holds back all bids meanwhile."""
        if not self.server.control:
            raise RefusedError(403, "only on the control address")
        try:
            seconds = min(60.0, max(0.0, float(query.get("seconds", "5"))))
        except ValueError:
            raise RefusedError(400, "seconds is a number") from None
        if not body.discard(DRAIN_BYTES):
            self.close_connection = True
        result = self.server.service.prove(seconds)
        self.answer(200 if result["proven"] == result["connections"] else 503, result)

    def handle_expect_100(self) -> bool:
        """Do not ask for the document yet: a refusal then costs no upload. Body asks when it is wanted."""
        return True

    def refuse(self, status: int, message: str, body: Body) -> None:
        """Answer without a receipt; read a small rest of the document away, or close the connection."""
        if not body.discard(DRAIN_BYTES):
            self.close_connection = True
        self.answer(status, {"error": message, "site": self.server.service.site})
        if self.close_connection:
            # Closing with unread bytes sends a reset, which could overtake the answer.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(1.0)
                deadline = time.monotonic() + 1.0
                while time.monotonic() < deadline and self.connection.recv(PIECE_BYTES):
                    pass

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Send JSON in one packet."""
        data = json.dumps(body).encode()
        if self.server.service.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


class Body:
    """The document of a request, as pieces. A short one raises: half a document never gets a receipt."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.chunked = "chunked" in (handler.headers.get("Transfer-Encoding") or "").lower()
        text = handler.headers.get("Content-Length")
        self.length = -1 if text is None else int(text) if text.isdecimal() else -2
        self.left = 0 if self.chunked else max(0, self.length)
        self.done = not self.chunked and self.length in (-1, 0)
        self.expects = (handler.headers.get("Expect") or "").lower() == "100-continue"

    def check(self) -> None:
        """Refuse what cannot be a document, before anything is read. Errors: RefusedError."""
        if self.chunked:
            return
        if self.length == -1:
            raise RefusedError(411, "Content-Length or chunked is required")
        if self.length <= 0:
            raise RefusedError(400, "an empty document, or a Content-Length that is no number")
        if self.length > LARGEST_DOCUMENT_BYTES:
            raise RefusedError(413, "a document has at most 800 MB")

    def __iter__(self) -> Iterator[bytes]:
        if self.expects:
            self.expects = False
            self.handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.handler.wfile.flush()
        if self.chunked:
            yield from self._chunks()
        else:
            yield from self._take(self.left)
        self.done = True

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        while True:
            line = self.handler.rfile.readline(1024)
            if not re.match(rb"[0-9a-fA-F]+\s*(;|\r?\n)", line):
                raise ConnectionError("a chunk has no size")
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            total += size
            if total > LARGEST_DOCUMENT_BYTES:
                raise RefusedError(413, "a document has at most 800 MB")
            yield from self._take(size)
            if self.handler.rfile.readline(3).strip():
                raise ConnectionError("a chunk does not end")
        while self.handler.rfile.readline(1024).strip():
            pass  # trailers
        if total == 0:
            self.done = True
            raise RefusedError(400, "an empty document")

    def _take(self, count: int) -> Iterator[bytes]:
        source: Any = self.handler.rfile
        while count:
            piece: bytes = source.read1(min(count, PIECE_BYTES))
            if not piece:
                raise ConnectionError("the document ended early")
            count -= len(piece)
            self.left = count
            yield piece

    def discard(self, limit: int) -> bool:
        """Read the rest away if it is small. False: the connection cannot be used again."""
        if self.done:
            return True
        if self.chunked or self.expects or self.length < 0 or self.left > limit:
            return False
        try:
            for _ in self._take(self.left):
                pass
        except OSError:
            return False
        return True


class Listener(http.server.ThreadingHTTPServer):
    """A listening socket with an accept loop of its own: stopping waits for no polling interval."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], service: Any, control: bool) -> None:
        super().__init__(address, Handler)
        self.service = service
        self.control = control

    def server_bind(self) -> None:
        """Bind. The base class also asks the DNS for this host's name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event; anything else is one line."""
        del request
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            sys.stderr.write(f"spse: a request from {client_address[0]} failed: {first_line(error)}\n")

    def accept_forever(self) -> None:
        """Give every connection its thread."""
        while not self.service.stopping:
            try:
                request, client = self.socket.accept()
            except OSError:
                time.sleep(0.05)  # out of descriptors, for example
                continue
            self.process_request(request, client)

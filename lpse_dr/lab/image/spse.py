"""A stand-in for SPSE, the e-procurement application, for the lab. It is not SPSE.

It keeps the one promise that a switch-over must not break: a vendor who holds a receipt has a
document (a file) and a row (in PostgreSQL), both durable before the receipt was sent.

    POST /bid?tender=T&vendor=V   body = document, Content-Length or chunked, at most 800 MB:
                                  file `.part` -> fsync -> rename -> fsync folder -> row, committed -> 201
    GET  /receipt/UUID            the row as JSON, or 404
    GET  /health                  200 serving | 503 standby | 503 failed; answers from memory, never waits
    POST /lpse-dr/prove-write     only on the control address (loopback): a committed write through every
                                  pooled connection; ?seconds=5 is the deadline until which a database
                                  that is still read-only is asked again

Configuration is the environment (the unit reads /etc/spse/spse.env): SPSE_SITE, SPSE_LISTEN
(host:port), SPSE_DSN (libpq), SPSE_FILES, SPSE_POOL, SPSE_CONTROL, SPSE_STATE (the host's state.json,
from which `epoch` is shown), SPSE_GRACE_SECONDS (how long SIGTERM lets an upload finish).

Standard library and psycopg2 only; Python 3.11. Lies in /opt/spse with spse_http.py and spse_pool.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

if __package__:
    from .spse_http import Listener, RefusedError, Upload
    from .spse_pool import Health, Pool
else:  # started as a program: the files beside this one
    from spse_http import Listener, RefusedError, Upload  # type: ignore[import-not-found,no-redef]
    from spse_pool import Health, Pool  # type: ignore[import-not-found,no-redef]

COMMIT_SECONDS = 2.0  # what SIGTERM gives to a bid whose document is complete


class Service:
    """What all requests share: pool, health, the folder of documents, the list of uploads."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.site = environ["SPSE_SITE"]
        self.files = environ.get("SPSE_FILES", "/home/file/file_prod")
        self.grace = float(environ.get("SPSE_GRACE_SECONDS", "0.2"))
        self.pool = Pool(environ["SPSE_DSN"], int(environ.get("SPSE_POOL", "8")))
        state = environ.get("SPSE_STATE", "/var/lib/lpse-dr/state.json")
        self.health = Health(environ["SPSE_DSN"], self.pool, state)
        self.lock = threading.Condition()
        self.uploads: set[Upload] = set()
        self.stopping = False

    def report(self) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and body of /health, from memory."""
        status, body = self.health.report()
        with self.lock:
            uploads = list(self.uploads)
        now = time.monotonic()
        listed = [upload.describe(now) for upload in uploads]
        return status, {"site": self.site, **body, "in_flight": len(listed), "uploads": listed}

    def begin(self, upload: Upload) -> None:
        """Count a POST, unless the service is stopping."""
        with self.lock:
            if self.stopping:
                raise RefusedError(503, "the service is stopping")
            self.uploads.add(upload)

    def end(self, upload: Upload) -> None:
        """Forget a POST."""
        with self.lock:
            self.uploads.discard(upload)
            self.lock.notify_all()

    def require_writable(self) -> None:
        """Refuse before anything is written to disk when this site is not the active one.

        Health is up to 0.2 s old. Right after a promotion that would refuse bids for no reason, so
        a standby is asked once more through the pool.
        """
        state, detail = self.health.state()
        if state == "standby":
            with self.pool.use(2.0) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('transaction_read_only')")
                if cursor.fetchone()[0] != "off":
                    raise RefusedError(503, f"site {self.site} is the standby: its database is read-only")
        elif state != "serving":
            raise RefusedError(503, f"site {self.site} cannot take bids: {detail}")

    def store(self, document: Iterable[bytes], upload: Upload) -> dict[str, Any]:
        """Make one bid durable and return its receipt. A row follows its file, never the other way."""
        receipt = str(uuid.uuid4())
        relative = f"{datetime.now(UTC):%Y/%m/%d}/{receipt}.bid"
        path = os.path.join(self.files, relative)
        folder = os.path.dirname(path)
        make_folder(folder, self.files)
        digest = hashlib.sha256()
        upload.part = path + ".part"
        try:
            with open(upload.part, "xb", buffering=0) as file:
                for piece in document:
                    digest.update(piece)
                    write_all(file, piece)
                    upload.bytes += len(piece)
                os.fsync(file.fileno())
            upload.committing = True
            os.rename(upload.part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(upload.part)
            raise
        sync_folder(folder)
        # From here on the file stays, whatever becomes of the row: a document without a row is
        # harmless, and after a broken connection nobody here knows whether the row exists.
        sha256 = digest.hexdigest()
        with self.pool.use(10.0) as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO bid (id, tender, vendor, path, size, sha256, submitted_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp())",
                (receipt, upload.tender, upload.vendor, relative, upload.bytes, sha256),
            )
        return {"receipt": receipt, "sha256": sha256, "size": upload.bytes, "site": self.site}

    def receipt(self, text: str) -> dict[str, Any] | None:
        """Return the row of a receipt, or None."""
        with self.pool.use(5.0) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT row_to_json(bid)::text FROM bid WHERE id = %s", (text,))
            row = cursor.fetchone()
        return json.loads(row[0]) if row else None

    def prove(self, seconds: float) -> dict[str, Any]:
        """Prove a write on every pooled connection; then health says serving at once."""
        result = self.pool.prove(seconds)
        if result["proven"] == result["connections"]:
            self.health.note_writable()
        return result

    def stop(self) -> None:
        """Let uploads finish: `grace` seconds for all, COMMIT_SECONDS for those that only lack their row."""
        started = time.monotonic()
        with self.lock:
            self.stopping = True
            while self.uploads:
                committing = any(upload.committing for upload in self.uploads)
                left = started + (COMMIT_SECONDS if committing else self.grace) - time.monotonic()
                if left <= 0:
                    break
                self.lock.wait(min(left, 0.02))
            for upload in self.uploads:
                if not upload.committing and upload.part:
                    with contextlib.suppress(OSError):
                        os.unlink(upload.part)


def write_all(file: Any, piece: bytes) -> None:
    """Write without a buffer; a raw file may take less than it was given."""
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


def sync_folder(folder: str) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: str, root: str) -> None:
    """Make a day's folder and its parents, durably. The root itself must exist: it may be a mount."""
    if folder == root or os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    make_folder(parent, root)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    sync_folder(parent)


def remove_stale(root: str, before: float) -> int:
    """Remove `.part` files older than `before` (Unix time): their uploads died with an earlier process."""
    removed = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                if name.endswith(".part") and os.stat(path).st_mtime < before:
                    os.unlink(path)
                    removed += 1
    return removed


def address(text: str) -> tuple[str, int]:
    """Return host and port of "host:port"."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def notify(message: str) -> None:
    """Tell systemd (Type=notify); without systemd nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + path[1:] if path.startswith("@") else path)
            channel.send(message.encode())


def listen(service: Service) -> list[Listener]:
    """Open the public and the control address. Errors: KeyError, ValueError, OSError."""
    control = address(os.environ.get("SPSE_CONTROL", "127.0.0.1:9010"))
    if control[0] != "127.0.0.1":
        raise ValueError("SPSE_CONTROL must be on 127.0.0.1: whoever reaches it can hold back all bids")
    public = address(os.environ.get("SPSE_LISTEN", "127.0.0.1:9009"))
    return [Listener(public, service, False), Listener(control, service, True)]


def main() -> int:
    """Serve until SIGTERM. Exit code 1: it could not start; the reason is on stderr."""
    # Blocked here, before any thread exists: every thread inherits it, and sigwait below sees the
    # signal at once and in one place.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    started = time.time()
    try:
        service = Service(dict(os.environ))
        listeners = listen(service)
    except (KeyError, ValueError, OSError) as error:
        sys.stderr.write(f"spse: cannot start: {error!r}\n")
        return 1
    threading.stack_size(512 * 1024)
    targets = [listener.accept_forever for listener in listeners]
    targets += [service.pool.maintain, service.health.watch]
    for target in targets:
        threading.Thread(target=target, daemon=True).start()
    threading.Thread(target=remove_stale, args=(service.files, started), daemon=True).start()
    notify("READY=1")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    notify("STOPPING=1")
    service.stop()
    # Idle keep-alive connections and the pool end with the process; nothing is left to flush.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

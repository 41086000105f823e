"""What a run writes while it goes on: its events, and the socket on which the conductor reports.

The conductor waits for ``ok`` before it goes past the point of no return, so that the record is on
disk before the act.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from ..errors import JournalError
from ..journal import Journal, now
from .events import translate
from .verdict import Facts

Event = dict[str, Any]


class Recorder:
    """The one writer of RUNDIR/events.jsonl. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.facts = Facts()
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._drain, name="events", daemon=True)
        self._thread.start()

    def enqueue(self, event: Event) -> bool:
        """Take an event of ansible-runner and return at once: this runs inside its read loop.

        False tells ansible-runner not to keep a file of its own for each event.
        """
        self._queue.put(event)
        return False

    def emit(self, event: Event) -> None:
        """Write one event now."""
        event = {"at": event.get("at") or now(), **{key: value for key, value in event.items() if key != "at"}}
        line = (json.dumps(event, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace")
        with self._lock:
            self.facts.add(event)
            while line:
                line = line[os.write(self._handle, line) :]

    def _drain(self) -> None:
        while (event := self._queue.get()) is not None:
            for ours in translate(event):
                # A full disk loses the show, never the run.
                with contextlib.suppress(OSError):
                    self.emit(ours)

    def finish(self) -> Facts:
        """Write what is still queued and return what was learned."""
        self._queue.put(None)
        self._thread.join()
        return self.facts


class RecordServer:
    """Answers the conductor on a Unix socket: one JSON line in, ``ok`` out once it is recorded."""

    def __init__(self, path: Path, recorder: Recorder, journal: Journal | None, run: str) -> None:
        self._recorder = recorder
        self._journal = journal
        self._run = run
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(8)
        threading.Thread(target=self._accept, name="record", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
            for line in stream:
                stream.write(self._answer(line))
                stream.flush()

    def _answer(self, line: bytes) -> bytes:
        try:
            event = json.loads(line)
            if event.get("kind") == "fired":
                if self._journal is not None:
                    self._journal.append("run.fired", {"run": self._run, **event})
                # The journal has it; the show may fail.
                with contextlib.suppress(OSError):
                    self._recorder.emit(event)
            elif event.get("kind") == "power":
                if self._journal is not None:
                    self._journal.append("run.power", {"run": self._run, **event})
                self._recorder.emit(event)
            elif event.get("kind") in ("progress", "phase", "told"):
                self._recorder.emit(event)
            else:
                return b"error unknown kind\n"
        except (ValueError, AttributeError, OSError, JournalError) as error:
            return f"error {' '.join(str(error).split())}\n".encode()
        return b"ok\n"

    def close(self) -> None:
        """Stop answering."""
        self._socket.close()

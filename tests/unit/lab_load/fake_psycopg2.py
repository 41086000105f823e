"""Stands in for psycopg2 in the programs' own processes. A file says how the database behaves at the moment.

The file named by FAKE_DATABASE holds one word: primary, standby, dead (refuses and drops connections),
starting, or frozen (answers nothing until the word changes).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROWS: dict[str, str] = {}


class Error(Exception):
    """As psycopg2.Error."""


class OperationalError(Error):
    """As psycopg2.OperationalError."""


class ReadOnlySqlTransaction(Error):  # noqa: N818 (psycopg2's name)
    """As psycopg2.errors.ReadOnlySqlTransaction."""


errors = SimpleNamespace(ReadOnlySqlTransaction=ReadOnlySqlTransaction)
extensions = SimpleNamespace(POLL_OK=0, POLL_READ=1, set_wait_callback=lambda callback: None)

# `import psycopg2.errors` finds them here, although this is a single file.
sys.modules[f"{__name__}.errors"] = errors  # type: ignore[assignment]
sys.modules[f"{__name__}.extensions"] = extensions  # type: ignore[assignment]


def mode() -> str:
    """Return the word, after waiting for as long as it says frozen."""
    while True:
        word = Path(os.environ["FAKE_DATABASE"]).read_text().strip()
        if word != "frozen":
            return word
        time.sleep(0.01)


def connect(dsn: str, **options: Any) -> Connection:
    """Open a connection, or fail as libpq does."""
    word = mode()
    if word == "dead":
        raise OperationalError("connection to server failed: Connection refused\n\tIs the server running?")
    if word == "starting":
        raise OperationalError("FATAL:  the database system is starting up")
    return Connection()


class Connection:
    """An open connection. Its socket pair is never readable: nobody ends it from the other side."""

    def __init__(self) -> None:
        self.closed = 0
        self.autocommit = False
        self.pair = socket.socketpair()
        self.result: Any = None

    def fileno(self) -> int:
        return self.pair[0].fileno()

    def close(self) -> None:
        self.closed = 1
        for end in self.pair:
            end.close()

    def cursor(self) -> Connection:
        return self

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        word = mode()
        if word in ("dead", "starting"):
            raise OperationalError("terminating connection due to administrator command")
        if statement.startswith("INSERT"):
            if word == "standby":
                raise ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")
            if "INTO bid" in statement:
                ROWS[values[0]] = json.dumps({"id": values[0], "path": values[3]})
        elif "transaction_read_only" in statement:
            self.result = ("on" if word == "standby" else "off",)
        elif "FROM bid" in statement:
            self.result = (ROWS[values[0]],) if values[0] in ROWS else None

    def fetchone(self) -> Any:
        return self.result

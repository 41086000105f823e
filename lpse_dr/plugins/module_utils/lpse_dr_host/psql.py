"""One psql that stays open: a statement costs a fraction of a millisecond instead of a process and a log-in."""

from __future__ import annotations

import math
import os
import select
import subprocess
import time
from typing import Dict, List

from .base import VerbError

# Printed by psql itself after each statement; no statement's output looks like it.
MARK = "@lpse-dr@"


class SqlError(VerbError):
    """A statement that PostgreSQL refused, or a connection that ended (``connection_lost``)."""

    connection_lost = False


class Psql:
    """A running psql, fed statement by statement.

    Lost connections are not mended here: whoever asked decides whether asking again is safe.
    """

    def __init__(self, argv: List[str], environment: Dict[str, str]) -> None:
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, **environment},
                # A Ctrl-C at a terminal must not reach a psql that a verb still needs for its undo.
                start_new_session=True,
            )
        except OSError as error:
            raise VerbError(
                "command.missing", "psql to be startable", str(error), "apt-get install postgresql-client"
            ) from error
        self._statement_timeout = 0
        self._used_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Tell whether psql still runs; it ends by itself when its connection does."""
        return self._process.poll() is None

    def usable(self) -> bool:
        """Tell whether the connection still stands; one that was used a moment ago is not asked.

        psql notices a server that has gone only when it is given something to do.
        """
        if self.alive and time.monotonic() - self._used_at > 0.5:
            try:
                self.query("SELECT 1", 2.0)
            except VerbError:
                self.close()
        return self.alive

    def query(self, statement: str, timeout_seconds: float) -> str:
        """Perform one statement, committed on its own; return its rows as psql -At prints them.

        SqlError ``database.sql_failed`` when PostgreSQL refuses it, ``database.connection_lost`` when the
        server goes away, ``database.no_answer`` when the time is up: the session is ended then, because what
        it was asked may still be going on.
        """
        seconds = max(1, math.ceil(timeout_seconds))
        text = statement.rstrip(
            "; \n"
        ) + ";\n\\echo %s :ERROR :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE\n\\echo %s\n" % (MARK, MARK)
        if seconds != self._statement_timeout:
            text = "SET statement_timeout = '%ds';\n%s" % (seconds, text)
        self._send(text)
        answer = self._receive(statement, time.monotonic() + timeout_seconds + 0.5)
        self._statement_timeout = seconds
        self._used_at = time.monotonic()
        rows, _, verdict = answer.rpartition(MARK + " ")
        failed, state, message = [*verdict.strip().split(" ", 2), "", ""][:3]
        if failed != "false":
            raise self._error(
                "database.sql_failed", statement, message.strip() or verdict.strip(), {"sqlstate": state}
            )
        return rows[:-1] if rows.endswith("\n") else rows

    def close(self) -> None:
        """End psql and its connection."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        try:
            self._process.wait(0.3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, text: str) -> None:
        assert self._process.stdin is not None
        try:
            view = memoryview(text.encode("utf-8"))
            while view:
                view = view[self._process.stdin.write(view) or 0 :]
        except OSError:
            raise self._lost(text) from None

    def _receive(self, statement: str, deadline: float) -> str:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end = ("\n%s\n" % MARK).encode()
        data = b""
        while not data.endswith(end):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise self._error("database.no_answer", statement, "none in time; the session was ended", {})
            part = os.read(descriptor, 1 << 16)
            if not part:
                raise self._lost(statement)
            data += part
        return data[: -len(end)].decode("utf-8", "replace")

    def _lost(self, statement: str) -> SqlError:
        assert self._process.stderr is not None
        words = ""
        if not self._process.stderr.closed:
            ready, _, _ = select.select([self._process.stderr], [], [], 0.2)
            words = os.read(self._process.stderr.fileno(), 4096).decode("utf-8", "replace").strip() if ready else ""
        self.close()
        error = self._error("database.connection_lost", statement, one_line(words) or "the connection ended", {})
        error.connection_lost = True
        return error

    @staticmethod
    def _error(id: str, statement: str, found: str, data: Dict[str, str]) -> SqlError:
        first = statement.strip().splitlines()[0][:80]
        return SqlError(id, "PostgreSQL to perform: %s" % first, found, "lpse-dr status", data)


def one_line(words: str) -> str:
    """Return what psql said as one line: the last of its complaints names the cause."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    causes = [line for line in lines if "FATAL" in line or "ERROR" in line or "error:" in line]
    return (causes or lines or [""])[-1]


def literal(value: str) -> str:
    """Return a value as a SQL string; nothing in it can end the string early."""
    return "'" + value.replace("'", "''") + "'"

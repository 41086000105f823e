"""The write probe: says, every 10 ms, whether this database host takes a committed write.

Runs on a database host as the system user postgres: role postgres, peer authentication, local
socket. A superuser because its connections are the last that a full server refuses, and because
no password is needed. It survives every stop, start and promotion of PostgreSQL, and never waits
longer than --patience for an answer.

The log (--out) is one JSON line a piece, flushed at once. First a header {"site", "pid", ...}, then
    [n, start, end, start_unix, end_unix, outcome, detail]
start and end in nanoseconds of CLOCK_MONOTONIC (all containers of a machine share it), *_unix in
nanoseconds of CLOCK_REALTIME (what PostgreSQL's log is written in). Outcomes:
    ok        the INSERT was committed and acknowledged
    readonly  the server refused it: it is in recovery, or fenced
    refused   there is no server, or it is starting up or shutting down
    error     anything else, a time-out among it: says nothing about whether the host is writable

Ends at SIGTERM or after --seconds. Needs python3-psycopg2.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions

REFUSED = (
    "Connection refused",
    "No such file or directory",
    "is starting up",
    "is shutting down",
    "not yet accepting connections",
    "not accepting connections",
)
INSERT = "INSERT INTO probe (at, site, n) VALUES (clock_timestamp(), %s, %s)"


class PatienceError(Exception):
    """The server did not answer in time: frozen, or stuck in a commit."""


class Probe:
    """One connection, and one attempt at a time. The patience covers connecting and writing together.

    It is longer than a disk pauses: a commit that came late is still known to have come, and counts as
    writable from its first moment; one given up too early says nothing and leaves the auditor blind.
    """

    def __init__(self, dsn: str, site: str, patience: float) -> None:
        self.dsn = dsn
        self.site = site
        self.patience = patience
        self.deadline = 0.0
        self.connection: Any = None
        # psycopg2 calls this wherever libpq would block: a server that is stopped by a signal sends
        # no error and no statement time-out, only silence.
        psycopg2.extensions.set_wait_callback(self._wait)

    def _wait(self, connection: Any) -> None:
        while True:
            state = connection.poll()
            if state == psycopg2.extensions.POLL_OK:
                return
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise PatienceError("no answer")
            number = connection.fileno()
            if state == psycopg2.extensions.POLL_READ:
                select.select([number], [], [], left)
            else:
                select.select([], [number], [], left)

    def attempt(self, number: int) -> tuple[str, str]:
        """Try one committed write. Return the outcome and, unless ok, why."""
        self.deadline = time.monotonic() + self.patience
        try:
            if self.connection is None:
                milliseconds = int(self.patience * 1000)
                self.connection = psycopg2.connect(
                    self.dsn,
                    application_name="lpse-dr probe",
                    options=f"-c statement_timeout={milliseconds} -c synchronous_commit=on"
                    # A standby would log one ERROR every 10 ms; FATAL and worse stay logged.
                    " -c log_min_messages=fatal",
                )
                self.connection.autocommit = True
            with self.connection.cursor() as cursor:
                cursor.execute(INSERT, (self.site, number))
        except psycopg2.errors.ReadOnlySqlTransaction:
            return "readonly", ""
        except (psycopg2.Error, PatienceError, OSError) as error:
            self.close()
            text = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return ("refused" if any(words in text for words in REFUSED) else "error"), text[:120]
        return "ok", ""

    def close(self) -> None:
        """Drop the connection; the next attempt opens another."""
        if self.connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self.connection.close()
            self.connection = None


def run(probe: Probe, out: Any, interval: float, until: float) -> None:
    """Attempt after attempt on a grid of `interval` seconds; a late one is not made up for."""
    number = 0
    tick = time.monotonic()
    while not STOP and tick < until:
        start, start_unix = time.monotonic_ns(), time.time_ns()
        outcome, detail = probe.attempt(number)
        line = [number, start, time.monotonic_ns(), start_unix, time.time_ns(), outcome]
        out.write(json.dumps([*line, detail] if detail else line) + "\n")
        out.flush()
        number += 1
        now = time.monotonic()
        tick = max(tick + interval, now - (now - tick) % interval)
        time.sleep(max(0.0, tick - now))
    probe.close()


STOP: list[int] = []


def main() -> int:
    """Probe until told to stop. Exit code 2: the arguments are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", required=True)
    parser.add_argument("--dsn", default="host=/var/run/postgresql dbname=lpse_dr user=postgres")
    parser.add_argument("--out", required=True)
    parser.add_argument("--pidfile", required=True)
    parser.add_argument("--interval", type=float, default=0.010, help="seconds (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="end by itself after (default: %(default)s)")
    arguments = parser.parse_args()
    os.environ["LC_ALL"] = "C"  # libpq's own messages are matched by their English words
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: STOP.append(received))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with open(arguments.out, "w", encoding="utf-8") as out:
        header = {
            "site": arguments.site,
            "pid": os.getpid(),
            "interval": arguments.interval,
            "patience": arguments.patience,
        }
        out.write(json.dumps(header) + "\n")
        out.flush()
        with open(arguments.pidfile, "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        try:
            run(
                Probe(arguments.dsn, arguments.site, arguments.patience),
                out,
                arguments.interval,
                time.monotonic() + arguments.seconds,
            )
        finally:
            with contextlib.suppress(OSError):
                os.unlink(arguments.pidfile)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The stand-in's way to its database: a pool of fixed size, and the health that is read from memory.

Nothing in here waits for a dead database in a thread that answers clients: connections are opened
and re-opened by one background thread, the state is asked by another.
"""

from __future__ import annotations

import contextlib
import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2

# Keep-alives and tcp_user_timeout: a database host that vanishes sends no goodbye.
_NETWORK = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
STATEMENT_SECONDS = 20  # below the vendors' time-out of 30 s
LONGEST_BACKOFF_SECONDS = 0.5
CHECK_SECONDS = 0.2
STALE_SECONDS = 2.0
PROVE = (
    "INSERT INTO lpse_dr_prove (connection, at) VALUES (%s, clock_timestamp())"
    " ON CONFLICT (connection) DO UPDATE SET at = excluded.at"
)


class UnavailableError(Exception):
    """The database did not take the statement; the text says why."""


def connect(dsn: str, name: str, statement_seconds: float) -> Any:
    """Open one connection in autocommit: one statement is one transaction and one round trip.

    It also means that an idle connection holds no transaction, which a standby's replay could
    collide with.
    """
    options = f"-c statement_timeout={int(statement_seconds * 1000)} -c idle_in_transaction_session_timeout=20000"
    connection = psycopg2.connect(dsn, application_name=name, options=options, **_NETWORK)
    connection.autocommit = True
    return connection


def close(connection: Any) -> None:
    """Close a connection that may already be broken."""
    if connection is not None:
        with contextlib.suppress(psycopg2.Error):
            connection.close()


def first_line(error: BaseException) -> str:
    """Return an error as one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Slot:
    """One place in the pool. `busy` also while it is being opened; only its holder touches the connection."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.connection: Any = None
        self.busy = False


class Pool:
    """A fixed number of connections, opened at the start and re-opened in the background."""

    def __init__(self, dsn: str, size: int) -> None:
        if size < 1:
            raise ValueError("SPSE_POOL must be at least 1")
        self.dsn = dsn
        self.slots = [Slot(number) for number in range(size)]
        self.lock = threading.Condition()
        self.proving = threading.Lock()
        self.exclusive = False
        self.detail = "no connection was opened yet"

    def open_count(self) -> int:
        """Return how many connections are open."""
        return sum(slot.connection is not None for slot in self.slots)

    @contextlib.contextmanager
    def use(self, seconds: float) -> Iterator[Any]:
        """Lend an open connection; database errors leave as UnavailableError, broken connections are dropped."""
        slot = self._take(lambda s: s.connection is not None, seconds)
        try:
            yield slot.connection
        except psycopg2.Error as error:
            if slot.connection.closed or isinstance(error, psycopg2.OperationalError):
                close(slot.connection)
                slot.connection = None
            raise UnavailableError(f"the database did not take it: {first_line(error)}") from error
        finally:
            self._give_back([slot])

    def _take(self, fits: Callable[[Slot], bool], seconds: float) -> Slot:
        deadline = time.monotonic() + seconds
        with self.lock:
            while True:
                if not self.exclusive:
                    for slot in self.slots:
                        if not slot.busy and fits(slot):
                            slot.busy = True
                            return slot
                left = deadline - time.monotonic()
                if left <= 0:
                    raise UnavailableError(f"no free database connection within {seconds:g} s: {self.detail}")
                self.lock.wait(left)

    def _give_back(self, slots: list[Slot]) -> None:
        with self.lock:
            for slot in slots:
                slot.busy = False
            self.lock.notify_all()

    def _open(self, slot: Slot) -> None:
        """Open a slot that this thread holds. Errors: psycopg2.Error."""
        try:
            slot.connection = connect(self.dsn, "spse", STATEMENT_SECONDS)
            self.detail = ""
        except psycopg2.Error as error:
            self.detail = first_line(error)
            raise

    def maintain(self) -> None:
        """Keep every slot open, for ever. An idle connection that is readable was ended by the server."""
        backoff = 0.05
        while True:
            if self._maintain_once():
                backoff = 0.05
                wait = 0.1
            else:
                wait = backoff
                backoff = min(LONGEST_BACKOFF_SECONDS, backoff * 2)
            time.sleep(wait)

    def _maintain_once(self) -> bool:
        for slot in self.slots:
            with self.lock:
                if slot.busy or self.exclusive:
                    continue
                slot.busy = True
            try:
                if slot.connection is not None and _ended(slot.connection):
                    close(slot.connection)
                    slot.connection = None
                if slot.connection is None:
                    self._open(slot)
            except psycopg2.Error:
                return False
            finally:
                self._give_back([slot])
        return True

    def prove(self, seconds: float) -> dict[str, Any]:
        """Commit a write through every connection of the pool; open those that are not.

        The first one is asked until the database takes it or `seconds` are over, then the others,
        all at once. Result: {connections, proven, seconds, detail when not all are proven}.
        """
        started = time.monotonic()
        deadline = started + seconds
        with self.proving:
            taken = self._take_all(deadline)
            try:
                proven = self._prove_all(taken, deadline)
            finally:
                with self.lock:
                    self.exclusive = False
                self._give_back(taken)
        result: dict[str, Any] = {
            "connections": len(self.slots),
            "proven": proven,
            "seconds": round(time.monotonic() - started, 4),
        }
        if proven < len(self.slots):
            busy = len(self.slots) - len(taken)
            result["detail"] = f"{busy} connections stayed in use" if busy else self.detail
        return result

    def _take_all(self, deadline: float) -> list[Slot]:
        """Hold back everybody else and take the slots as they come free; those in use at the deadline are left."""
        with self.lock:
            self.exclusive = True
            while any(slot.busy for slot in self.slots):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self.lock.wait(left)
            taken = [slot for slot in self.slots if not slot.busy]
            for slot in taken:
                slot.busy = True
            if not taken:
                self.exclusive = False
            return taken

    def _prove_all(self, slots: list[Slot], deadline: float) -> int:
        if not slots or not self._prove_slot(slots[0], deadline):
            return 0
        proven = [slots[0].number]

        def one(slot: Slot) -> None:
            if self._prove_slot(slot, deadline):
                proven.append(slot.number)

        threads = [threading.Thread(target=one, args=(slot,)) for slot in slots[1:]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(proven)

    def _prove_slot(self, slot: Slot, deadline: float) -> bool:
        while True:
            try:
                if slot.connection is None:
                    self._open(slot)
                with slot.connection.cursor() as cursor:
                    cursor.execute(PROVE, (slot.number,))
                return True
            except psycopg2.Error as error:
                self.detail = first_line(error)
                if slot.connection is not None and (
                    slot.connection.closed or isinstance(error, psycopg2.OperationalError)
                ):
                    close(slot.connection)
                    slot.connection = None
            if time.monotonic() + 0.02 >= deadline:
                return False
            time.sleep(0.02)


def _ended(connection: Any) -> bool:
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Health:
    """What /health says, refreshed every 0.2 s on a connection of its own; older than 2 s it says failed."""

    def __init__(self, dsn: str, pool: Pool, state_path: str) -> None:
        self.dsn = dsn
        self.pool = pool
        self.state_path = state_path
        self.lock = threading.Lock()
        self.writable: bool | None = None
        self.error = "the database was not asked yet"
        self.at = time.monotonic()
        self.epoch: int | None = None

    def state(self) -> tuple[str, str]:
        """Return serving, standby or failed, and what is wrong."""
        with self.lock:
            writable, error, age = self.writable, self.error, time.monotonic() - self.at
        if age > STALE_SECONDS:
            return "failed", f"the database has not answered for {age:.1f} s"
        if writable is None:
            return "failed", error
        if self.pool.open_count() == 0:
            return "failed", f"no pooled connection is open: {self.pool.detail}"
        return ("serving" if writable else "standby"), ""

    def report(self) -> tuple[int, dict[str, Any]]:
        """Return HTTP status and body."""
        state, detail = self.state()
        body: dict[str, Any] = {
            "state": state,
            "epoch": self.epoch,
            "age_seconds": round(time.monotonic() - self.at, 3),
            "pool": {"size": len(self.pool.slots), "open": self.pool.open_count()},
        }
        if detail:
            body["detail"] = detail
        return (200 if state == "serving" else 503), body

    def note_writable(self) -> None:
        """The pool has just proven writes: say so at once, not at the next check."""
        self._note(True, "", time.monotonic())

    def _note(self, writable: bool | None, error: str, started: float) -> None:
        with self.lock:
            if started >= self.at:  # an answer that was asked for before the last news is old
                self.writable, self.error, self.at = writable, error, time.monotonic()

    def watch(self) -> None:
        """Ask the database for ever. It may hang here; then the age tells."""
        connection: Any = None
        while True:
            started = time.monotonic()
            self._read_epoch()
            try:
                if connection is None:
                    connection = connect(self.dsn, "spse health", 1.0)
                with connection.cursor() as cursor:
                    # "on" for every transaction of a server in recovery, and for a fenced primary.
                    cursor.execute("SELECT current_setting('transaction_read_only')")
                    writable = cursor.fetchone()[0] == "off"
                self._note(writable, "", started)
            except psycopg2.Error as error:
                close(connection)
                connection = None
                self._note(None, first_line(error), started)
            time.sleep(max(0.02, CHECK_SECONDS - (time.monotonic() - started)))

    def _read_epoch(self) -> None:
        try:
            with open(self.state_path, encoding="utf-8") as file:
                epoch = json.load(file).get("epoch") or {}
            self.epoch = epoch.get("number")
        except (OSError, ValueError, AttributeError):
            self.epoch = None

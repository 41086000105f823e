"""The record of what was done: append-only, chained by hashes, one folder per incident.

``STATE/incidents/ID/journal.jsonl`` holds one canonical JSON object a line. Each carries the hash of
the one before, so an edited line breaks the chain from there on. A line is on disk before the act
that it announces. A chain alone shows neither a rewrite of the whole file nor a cut tail: verify()
says so.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import JournalError
from .i18n import _

START = "0" * 64
_RESERVE_BYTES = 256 * 1024


def now() -> str:
    """Return the present as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def canonical(value: Any) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain_hash(prev: str, body: str) -> str:
    """Return sha256(prev + body) in hex."""
    return hashlib.sha256((prev + body).encode()).hexdigest()


def user_name() -> str:
    """Return the person's login; behind sudo the one who typed it, not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def who() -> dict[str, str]:
    """Return who acts, as recorded with every event."""
    return {"user": user_name(), "name": "", "role": "", "host": socket.gethostname()}


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Verification:
    """What the chain proves. `bad_line` counts from 1; `torn_bytes` are half a line, left by a crash."""

    events: int
    head: str
    bad_line: int | None = None
    reason: str = ""
    torn_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Tell whether every complete line fits the one before it."""
        return self.bad_line is None


def _check_line(raw: bytes, number: int, prev: str) -> tuple[str, str]:
    """Return (hash, "") of a good line, or ("", reason)."""
    try:
        event = json.loads(raw)
        claimed = event.pop("hash")
        body = canonical(event)
        text = raw.decode()
    except (ValueError, KeyError, AttributeError, TypeError):
        return "", "not a journal event"
    if event.get("prev") != prev:
        return "", "does not follow the line before it"
    if event.get("n") != number:
        return "", "has the wrong number"
    if claimed != chain_hash(prev, body):
        return "", "was changed after it was written"
    if text != canonical({**event, "hash": claimed}):
        return "", "is not written the way the journal writes"
    return str(claimed), ""


class Journal:
    """One incident's journal. Every append takes the lock, so any number of writers may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"

    def append(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """Write one event and return it once it is on disk; JournalError when it is not, so do not act."""
        try:
            return self._append(kind, data)
        except OSError as error:
            raise JournalError(
                _("The journal cannot be written, so nothing is done."),
                detail=f"{self.path}: {error.strerror or error}",
                hint=_("Make room or repair the file system, then type the command again."),
            ) from error

    def _append(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        with self._locked() as handle:
            number, prev = self._set_torn_aside(handle)
            body: dict[str, Any] = {
                "n": number,
                "at": now(),
                "by": who(),
                "kind": kind,
                "data": data,
                "prev": prev,
            }
            event = {**body, "hash": chain_hash(prev, canonical(body))}
            self._write(handle, (canonical(event) + "\n").encode())
        return event

    @contextmanager
    def _locked(self) -> Iterator[int]:
        fresh = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if fresh:
                self._reserve()
                sync_folder(self.folder)
            yield handle
        finally:
            os.close(handle)

    def _reserve(self) -> None:
        """Take disk space now that is given back when the disk is full in the middle of an incident."""
        with (self.folder / "reserve").open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, _RESERVE_BYTES)

    def _write(self, handle: int, line: bytes) -> None:
        size = os.fstat(handle).st_size
        try:
            self._write_all(handle, line)
        except OSError:
            # Most likely a full disk: drop the half line, free the reserve, try once more.
            os.ftruncate(handle, size)
            (self.folder / "reserve").unlink(missing_ok=True)
            try:
                self._write_all(handle, line)
            except OSError:
                os.ftruncate(handle, size)
                raise

    @staticmethod
    def _write_all(handle: int, line: bytes) -> None:
        while line:
            line = line[os.write(handle, line) :]
        os.fsync(handle)

    def _set_torn_aside(self, handle: int) -> tuple[int, str]:
        """Return (next number, previous hash). Half a last line is moved into a file of its own."""
        content = self.path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            aside = self.folder / f"journal.torn-{now().replace(':', '')}"
            aside.write_bytes(torn)
            os.ftruncate(handle, len(whole) + len(newline))
        if not whole:
            return 1, START
        last = whole.rpartition(b"\n")[2]
        try:
            event = json.loads(last)
            return int(event["n"]) + 1, str(event["hash"])
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(
                _("The last line of the journal cannot be read."),
                detail=str(self.path),
                hint=f"lpse-dr journal verify {self.folder.name}",
            ) from error

    def events(self) -> list[dict[str, Any]]:
        """Return the events that can be read, oldest first; verify() tells whether to believe them."""
        found = []
        for raw in self._lines()[0]:
            try:
                event = json.loads(raw)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(event)
        return found

    def _lines(self) -> tuple[list[bytes], bytes]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return [], b""
        except OSError as error:
            raise JournalError(_("The journal cannot be read."), detail=f"{self.path}: {error}") from error
        lines = content.split(b"\n")
        return lines[:-1], lines[-1]

    def verify(self) -> Verification:
        """Check every line; name the first that does not fit. A half last line is reported, not condemned."""
        lines, torn = self._lines()
        prev = START
        for number, raw in enumerate(lines, start=1):
            new, reason = _check_line(raw, number, prev)
            if reason:
                return Verification(number - 1, prev, number, reason, len(torn))
            prev = new
        return Verification(len(lines), prev, torn_bytes=len(torn))


# --- the folder of records ----------------------------------------------------------------------


def incidents(state: Path) -> list[Journal]:
    """Return every incident's journal, oldest first (ids begin with their time)."""
    root = state / "incidents"
    found = root.iterdir() if root.is_dir() else iter(())
    return [Journal(folder) for folder in sorted(found) if (folder / "journal.jsonl").is_file()]


def open_incident(state: Path) -> Journal | None:
    """Return the newest incident that is not closed. Nothing is added to one whose chain is broken."""
    for journal in reversed(incidents(state)):
        events = journal.events()
        if events and events[-1].get("kind") != "incident.closed" and journal.verify().ok:
            return journal
    return None


def open_maintenance(state: Path, reason: str) -> tuple[Journal, bool]:
    """Return the open record, or a new maintenance record (pemeliharaan), and whether it is new."""
    present = open_incident(state)
    if present is not None:
        return present, False
    root = state / "incidents"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for attempt in range(1, 100):
        folder = root / (f"{stamp}-pemeliharaan" + (f"-{attempt}" if attempt > 1 else ""))
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o750)
            folder.mkdir(mode=0o750)
        except FileExistsError:
            continue
        except OSError as error:
            raise JournalError(
                _("No record can be opened, so nothing is done."),
                detail=f"{folder}: {error.strerror or error}",
            ) from error
        sync_folder(root)
        journal = Journal(folder)
        journal.append("incident.opened", {"type": "maintenance", "id": folder.name, "reason": reason})
        return journal, True
    raise JournalError(_("No record can be opened, so nothing is done."), detail=str(root))

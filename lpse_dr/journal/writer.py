"""One incident's journal: ``STATE/incidents/ID/journal.jsonl``, one canonical JSON object a line.

A line is on disk before the act that it announces. Every append takes the file's lock, so any number of
people and runs may share it, and what an act depends on is looked at under the same lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import JournalError
from ..i18n import _
from .chain import START, Verification, canonical, chain_hash, now, verify_lines

_RESERVE_BYTES = 256 * 1024
Event = dict[str, Any]


def user_name() -> str:
    """Return the person's login; behind sudo the one who typed it, not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def who(name: str = "", role: str = "") -> dict[str, str]:
    """Return who acts, as recorded with every event: the login, and the person's name and role where known."""
    return {"user": user_name(), "name": name, "role": role, "host": socket.gethostname()}


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_reserve(*folders: Path) -> bool:
    """Give back the space that was taken beforehand. Tell whether there was any."""
    freed = False
    for folder in folders:
        with contextlib.suppress(OSError):
            (folder / "reserve").unlink()
            freed = True
    return freed


def take_reserve(folder: Path) -> None:
    """Take disk space now that is given back when the disk is full in the middle of an incident.

    Where there is none left the journal goes on without; the next append tries again.
    """
    path = folder / "reserve"
    if path.exists():
        return
    try:
        with path.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, _RESERVE_BYTES)
    except OSError:
        free_reserve(folder)


class Journal:
    """One incident's journal. Every append takes the lock, so any number of writers may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"

    def append(
        self,
        kind: str,
        data: dict[str, Any],
        *,
        by: dict[str, str] | None = None,
        check: Callable[[list[Event]], object] | None = None,
    ) -> Event:
        """Write one event and return it once it is on disk; JournalError when it is not, so do not act.

        `check` sees all events under the lock and raises where the new one must not follow them: of two people
        who decide at the same moment, the second is judged by what the first has done.
        """
        try:
            return self._append(kind, data, by or who(), check)
        except OSError as error:
            raise JournalError(
                _("The journal cannot be written, so nothing is done."),
                detail=f"{self.path}: {error.strerror or error}",
                hint=_("Make room or repair the file system, then type the command again."),
            ) from error

    def _append(
        self, kind: str, data: dict[str, Any], by: dict[str, str], check: Callable[[list[Event]], object] | None
    ) -> Event:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        with self._locked() as handle:
            last = self._set_torn_aside(handle)
            if check is not None:
                check(self.events())
            at = now()
            before = str(last.get("at", ""))
            if at < before:
                # The clock went backwards: said in the record, which keeps the order in which things were written.
                last = self._write_event(handle, last, at, who(), "clock.backwards", {"before": before, "after": at})
            return self._write_event(handle, last, at, by, kind, data)

    def _write_event(
        self, handle: int, last: Event, at: str, by: dict[str, str], kind: str, data: dict[str, Any]
    ) -> Event:
        number, prev = int(last.get("n", 0)) + 1, str(last.get("hash", START))
        body: Event = {"n": number, "at": at, "by": by, "kind": kind, "data": data, "prev": prev}
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
                sync_folder(self.folder)
            yield handle
            take_reserve(self.folder)
        finally:
            os.close(handle)

    def _write(self, handle: int, line: bytes) -> None:
        size = os.fstat(handle).st_size
        try:
            self._write_all(handle, line)
        except OSError:
            # Most likely a full disk: drop the half line, free what was reserved here and for new records, try once more.
            os.ftruncate(handle, size)
            free_reserve(self.folder, self.folder.parent)
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

    def _set_torn_aside(self, handle: int) -> Event:
        """Return the last whole event, {} where there is none. Half a last line is moved into a file of its own."""
        content = self.path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            try:
                self._keep_torn(torn)
            except OSError:
                free_reserve(self.folder, self.folder.parent)
                # On a disk that is still full the half line is lost; it announced nothing that was done.
                with contextlib.suppress(OSError):
                    self._keep_torn(torn)
            os.ftruncate(handle, len(whole) + len(newline))
        if not whole:
            return {}
        try:
            event = json.loads(whole.rpartition(b"\n")[2])
            return {"n": int(event["n"]), "hash": str(event["hash"]), "at": str(event.get("at", ""))}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JournalError(
                _("The last line of the journal cannot be read."),
                detail=str(self.path),
                hint=f"lpse-dr journal verify {self.folder.name}",
            ) from error

    def _keep_torn(self, torn: bytes) -> None:
        aside = self.folder / f"journal.torn-{now().replace(':', '')}"
        with aside.open("wb") as stream:
            stream.write(torn)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(self.folder)

    def events(self) -> list[Event]:
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
        return verify_lines(*self._lines())

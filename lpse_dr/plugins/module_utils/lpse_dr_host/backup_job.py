"""Work that lasts longer than a connection: a process of its own on this host, which says how far it is.

Whoever asks again finds it at work, or what it came to. A host that was restarted meanwhile says that it was cut off.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
import traceback
from typing import Any, Callable, Dict, Optional

from .backup_place import own_folder
from .base import Context, VerbError, write_atomic

LONGEST_WAIT_SECONDS = 4.0
Work = Callable[["Progress"], Dict[str, Any]]


class Progress:
    """How far a job is, in bytes; written for whoever asks, a few times a second at most."""

    def __init__(self, path: str, subject: str) -> None:
        self._path = path
        self._written = 0.0
        self._phase_began = time.time()
        self.said: Dict[str, Any] = {"subject": subject, "phase": "", "done_bytes": 0, "total_bytes": 0}

    def phase(self, name: str, total_bytes: int = 0) -> None:
        """Begin another part of the work."""
        self._phase_began = time.time()
        self.said.update(phase=name, done_bytes=0, total_bytes=total_bytes)
        self._write()

    def add(self, count: int) -> None:
        """Say that so many bytes more are done."""
        self.said["done_bytes"] += count
        if time.monotonic() - self._written > 0.3:
            self._write()

    def _write(self) -> None:
        done, total = self.said["done_bytes"], self.said["total_bytes"]
        spent = time.time() - self._phase_began
        left = round(spent * (total - done) / done, 1) if done and total > done and spent > 1 else None
        write_atomic(self._path, json.dumps({**self.said, "eta_seconds": left, "seconds": round(spent, 1)}), 0o600)
        self._written = time.monotonic()


def start(ctx: Context, name: str, subject: str, work: Work) -> bool:
    """Start ``work`` unless it is going on already; tell whether this call began it.

    One job at a time on a vault: VerbError ``backup.busy`` names another one.
    """
    folder = own_folder("jobs")
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            going_on = os.pread(lock, 200, 0).decode("utf-8", "replace").strip()
            if going_on == name:
                return False
            raise VerbError(
                "backup.busy",
                "no other work on the vault",
                going_on or "unknown",
                "lpse-dr backup list",
                {"job": going_on},
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, name.encode(), 0)
        for ending in ("result", "progress"):
            path = os.path.join(folder, "%s.%s" % (name, ending))
            if os.path.exists(path):
                os.unlink(path)
        sys.stdout.flush()
        if os.fork() == 0:
            _child(folder, name, subject, work, lock)
        return True
    finally:
        os.close(lock)  # fmt: skip


def _child(folder: str, name: str, subject: str, work: Work, lock: int) -> None:
    """Leave the connection behind, work, write what it came to, end. Holds the lock by an inherited descriptor."""
    try:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # What comes out of a set is nobody's on this host but of who is given it.
        os.umask(0o077)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        # The agent's answers travel by a descriptor beside these; the caller must see it end with the agent.
        for number in range(3, 256):
            if number != lock:
                try:
                    os.close(number)
                except OSError:
                    continue
        try:
            result: Dict[str, Any] = {
                "ok": True,
                "result": work(Progress(os.path.join(folder, name + ".progress"), subject)),
            }
        except VerbError as error:
            result = {"ok": False, "error": error.as_dict()}
        except Exception:  # noqa: BLE001 - whatever it was, who asks must learn that it has ended
            found = traceback.format_exc().strip().splitlines()
            result = {
                "ok": False,
                "error": {
                    "id": "verb.bug",
                    "expected": name,
                    "found": " | ".join(found[-3:]),
                    "todo": "",
                    "data": {},
                },
            }
        write_atomic(os.path.join(folder, name + ".result"), json.dumps(result), 0o600)
    finally:
        os._exit(0)  # fmt: skip


def ask(ctx: Context, name: str) -> Dict[str, Any]:
    """Return {done, progress, result}, after a moment's waiting where it is not done.

    VerbError as the job raised it; ``backup.cut_off`` where it ended without a word.
    """
    folder = own_folder("jobs")
    deadline = time.monotonic() + min(LONGEST_WAIT_SECONDS, max(0.0, ctx.remaining() - 1))
    while True:
        running = at_work() == name
        said = _read(os.path.join(folder, name + ".result"))
        if said is not None:
            break
        if not running:
            raise VerbError(
                "backup.cut_off", "the work to go on", "it has ended without a result", "type the same command again"
            )
        if time.monotonic() > deadline:
            return {"done": False, "progress": _read(os.path.join(folder, name + ".progress")) or {}}
        time.sleep(0.05)
    if not said["ok"]:
        error = said["error"]
        raise VerbError(error["id"], error["expected"], error["found"], error["todo"], error["data"])
    return {"done": True, "result": said["result"], "progress": {}}  # fmt: skip


def at_work() -> Optional[str]:
    """Return the name of the job that is going on, None where there is none."""
    try:
        with open(os.path.join(own_folder("jobs"), "lock"), "r+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return lock.read().strip()
    except FileNotFoundError:
        return None
    return None


def _read(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as stream:
            found: Dict[str, Any] = json.load(stream)
    except (FileNotFoundError, ValueError):
        return None
    return found

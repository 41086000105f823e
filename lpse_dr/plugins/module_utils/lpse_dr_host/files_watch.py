"""Which documents changed since the last question, told by the kernel, with a proof that none is left out."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import threading
import time
import uuid
from typing import Dict, List, Optional, Set

from .base import VerbError

# What makes a name hold new content: written and closed, renamed to, linked. MODIFY is left out: a file
# that is still open is no document yet, and closing it is an event of its own.
CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE = 0x008, 0x040, 0x080, 0x100
UNMOUNT, OVERFLOW, IGNORED, ISDIR = 0x2000, 0x4000, 0x8000, 0x40000000
ONLYDIR, DONT_FOLLOW, EXCL_UNLINK = 0x01000000, 0x02000000, 0x04000000
MASK = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | ONLYDIR | DONT_FOLLOW | EXCL_UNLINK
HEAD = struct.Struct("iIII")


class Watch:
    """A running watch over a tree; ``close`` ends it.

    A thread reads without pause, so that the kernel's queue stays short and a new folder is watched at
    once. A new folder is looked through after its watch stands: what was put there before the watch is
    found by the look, what comes later by the watch. The kernel keeps one order for all events, so that
    a file written last proves, when it is seen, that all earlier ones have been.
    """

    def __init__(self, root: str, own: str) -> None:
        self._root = os.fsencode(root)
        self._own = os.fsencode(own)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = int(self._libc.inotify_init1(os.O_CLOEXEC))
        if self._descriptor < 0:
            raise _refused("inotify_init1")
        self._folders: Dict[int, bytes] = {}
        self._paths: Set[bytes] = set()
        self._directories: Set[bytes] = set()
        self._seen: Set[bytes] = set()
        self._news = threading.Condition()
        self._error: Optional[str] = None
        self._stopping = False
        self._stop_read, self._stop_write = os.pipe()
        try:
            # The tool's own folder alone, not what lies below it: versions are none of anybody's business.
            self._add(self._own)
            self._add_tree(self._root, report=False)
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _add(self, folder: bytes) -> bool:
        """Watch one folder; False when it is gone or no folder."""
        number = int(self._libc.inotify_add_watch(self._descriptor, folder, MASK))
        if number < 0:
            if ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise _refused(os.fsdecode(folder))
        self._folders[number] = folder
        return True

    def _add_tree(self, folder: bytes, report: bool) -> None:
        """Watch a folder and all below it; with ``report`` what lies there counts as changed."""
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            if not self._add(current):
                continue
            try:
                entries = list(os.scandir(current))
            except OSError:
                continue  # gone again; whatever was in it is gone with it
            for entry in entries:
                if entry.path == self._own:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    if report:
                        self._directories.add(entry.path)
                elif report:
                    self._paths.add(entry.path)

    def _read(self) -> None:
        """Read events until closed. Whatever ends this thread ends the watch, and the next question says so."""
        import select

        try:
            while not self._stopping:
                ready, _, _ = select.select([self._descriptor, self._stop_read], [], [])
                if self._stop_read in ready:
                    return
                data = os.read(self._descriptor, 1 << 18)
                with self._news:
                    self._take(data)
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001 - told to whoever asks next
            with self._news:
                self._error = self._error or repr(error)
                self._news.notify_all()

    def _take(self, data: bytes) -> None:
        offset = 0
        while offset < len(data):
            number, mask, _, length = HEAD.unpack_from(data, offset)
            name = data[offset + HEAD.size : offset + HEAD.size + length].rstrip(b"\0")
            offset += HEAD.size + length
            if mask & (OVERFLOW | UNMOUNT):
                self._error = "the kernel's queue overflowed" if mask & OVERFLOW else "the folder was unmounted"
                continue
            folder = self._folders.get(number)
            if mask & IGNORED:
                self._folders.pop(number, None)
                if folder == self._root:
                    self._error = "the folder itself is gone"
                continue
            if folder is None or not name:
                continue
            path = os.path.join(folder, name)
            if folder == self._own:
                self._seen.add(name)
            elif path != self._own:
                self._note(path, mask)

    def _note(self, path: bytes, mask: int) -> None:
        if mask & MOVED_FROM:
            return
        if mask & ISDIR:
            self._directories.add(path)
            self._add_tree(path, report=True)
        else:
            self._paths.add(path)

    def await_barrier(self, seconds: float) -> None:
        """Write a file and wait until its event arrives; all earlier ones have been read then."""
        name = b"barrier-" + uuid.uuid4().hex.encode()
        path = os.path.join(self._own, name)
        deadline = time.monotonic() + seconds
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
        try:
            with self._news:
                while name not in self._seen:
                    self.check()
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._news.wait(left):
                        raise VerbError("files.watch_lost", "the watch to see its own mark", "it did not in time")
                self._seen.clear()
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def check(self) -> None:
        """Raise VerbError ``files.watch_lost`` when something may have been missed."""
        if self._error or not self._thread.is_alive():
            raise VerbError(
                "files.watch_lost",
                "a watch that has seen every change",
                self._error or "its thread has ended",
                "start again: a new watch and a new pass over all documents",
            )

    def take(self) -> "tuple[List[str], List[str]]":
        """Return (paths, folders) that changed since the last call and still exist, relative to the root."""
        with self._news:
            self.check()
            paths, self._paths = self._paths, set()
            folders, self._directories = self._directories, set()
        prefix = len(self._root.rstrip(b"/")) + 1
        return (
            sorted(os.fsdecode(path[prefix:]) for path in paths if _is_file(path)),
            sorted(os.fsdecode(path[prefix:]) for path in folders if os.path.isdir(path)),
        )

    def count(self) -> int:
        """Return how many folders are watched."""
        return len(self._folders)

    def close(self) -> None:
        """End the watch."""
        self._stopping = True
        for descriptor in (self._stop_write,):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        thread = getattr(self, "_thread", None)
        if thread is not None:
            thread.join(1)
        for descriptor in (self._descriptor, self._stop_read):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _is_file(path: bytes) -> bool:
    """Tell whether there is something to copy: a file or a link, not a folder, not a name that is gone."""
    return os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path))


def _refused(what: str) -> VerbError:
    number = ctypes.get_errno()
    cure = "raise fs.inotify.max_user_watches" if number == errno.ENOSPC else ""
    return VerbError("files.watch_failed", "every folder to be watched", "%s: %s" % (what, os.strerror(number)), cure)

"""End what copies documents at this moment, see that nothing does, and say by one hash which documents are here."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import time
from typing import Any, Dict, List

from .base import Context, VerbError, run
from .files_place import HALT_FLAG, LOCK, OWN_FOLDER, excluded, root_of
from .replication import fact, note

# After so long a copy that was asked to end is made to.
PATIENCE_SECONDS = 1.0


def copying(ctx: Context) -> List[int]:
    """Return the processes on this host that fetch from the other side, or hold a connection for it."""
    peer = "%s@%s" % (ctx.config["files_peer_user"], ctx.config["files_peer_address"])
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != os.getpid():
                with open("/proc/%s/cmdline" % name, encoding="utf-8", errors="replace") as stream:
                    words = stream.read().split("\0")
                if os.path.basename(words[0]) in ("rsync", "ssh") and any(peer in word for word in words):
                    found.append(int(name))
        except OSError:
            continue
    return found


def end_copying(ctx: Context) -> bool:
    """End every copy that is under way, whoever began it; tell whether there was one.

    A pull holds the lock from its beginning to its end, and looks for a halt inside of it: once the lock was free with
    the halt written down, none can follow.
    """
    began, ended = time.monotonic(), False
    with open(LOCK, "w") as lock:
        while True:
            pids = copying(ctx)
            for pid in pids:
                late = time.monotonic() - began > PATIENCE_SECONDS
                try:
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                    ended = True
                except ProcessLookupError:
                    continue
            if not pids and _free(lock.fileno()):
                return ended
            if ctx.remaining() <= 0:
                raise VerbError(
                    "files.still_copying",
                    "no copying of documents",
                    "process %s goes on" % ", ".join(str(pid) for pid in pids) if pids else "a pull holds %s" % LOCK,
                    "lpse-dr files status",
                )
            time.sleep(0.02)


def _free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def assert_still(ctx: Context, seconds: float) -> None:
    """Watch for ``seconds`` that nothing copies; VerbError says what does."""
    ends = time.monotonic() + seconds
    found: List[int] = []
    while not found and time.monotonic() < ends:
        found = copying(ctx)
        time.sleep(0.05)
    if found or not os.path.exists(HALT_FLAG):
        raise VerbError(
            "files.still_copying",
            "no copying of documents, and none that could begin",
            "process %d" % found[0] if found else "%s is missing" % HALT_FLAG,
            "lpse-dr replication halt",
        )
    timer = str(ctx.config["files_timer"])
    shown = run(["systemctl", "is-active", timer], 3.0, check=False).stdout.strip()
    if shown == "active":
        raise VerbError("files.still_copying", "a timer at rest", "%s is active" % timer, "lpse-dr replication halt")


def manifest(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {sha256, files, bytes} over name, size and time of every document here, in order of their names.

    Contents are not read: it says which documents a halted side had, in seconds instead of hours. The first one is kept
    with the fact of the halt; ``as_halted`` says whether the documents are still the same.
    """
    root = root_of(ctx)
    began, digest, count, size = time.monotonic(), hashlib.sha256(), 0, 0
    for path, stat in _documents(ctx, root, ""):
        digest.update(b"%s\0%d\0%d\n" % (os.fsencode(path), stat.st_size, stat.st_mtime_ns))
        count, size = count + 1, size + stat.st_size
    found = {"sha256": digest.hexdigest(), "files": count, "bytes": size}
    kept = fact().get("manifest")
    if kept is None:
        note({"manifest": found})
    return {
        **(kept or found),
        "changed": False,
        "as_halted": (kept or found) == found,
        "seconds": round(time.monotonic() - began, 3),
    }


def _documents(ctx: Context, root: str, below: str) -> Any:
    """Yield (path, stat) of every document, folder by folder, sorted by the bytes of their names."""
    with os.scandir(os.path.join(root, below)) as listed:
        entries = sorted(listed, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = os.path.join(below, entry.name)
        if not below and entry.name == OWN_FOLDER:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _documents(ctx, root, path)
        elif entry.is_file(follow_symlinks=False) and not excluded(ctx, path):
            yield path, entry.stat(follow_symlinks=False)

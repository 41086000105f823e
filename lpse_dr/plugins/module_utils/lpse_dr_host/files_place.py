"""Where bid documents lie, what this site may do with them, and the small files beside them."""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import hashlib
import json
import os
import posixpath
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Optional

from .base import Context, VerbError, now_iso, read_state, write_atomic
from .health import read_health

# Beside the documents, inside their folder, so that the stream's key (which sees nothing but that folder)
# reaches it. Nothing in it is a document; only site.json and the markers travel.
OWN_FOLDER = ".lpse-dr"
RECORD = "/var/lib/lpse-dr/files.json"
LOCK = "/var/lib/lpse-dr/files.lock"
HALT_FLAG = "/etc/lpse-dr/files-halted"
NO_RECORD: Dict[str, Any] = {"last_sync": None, "conflicts": []}


def root_of(ctx: Context) -> str:
    """Return the folder of documents. VerbError ``files.root_missing``: an unmounted folder looks like no documents."""
    root: str = ctx.config["files_root"].rstrip("/") or "/"
    if not os.path.isdir(root):
        raise VerbError("files.root_missing", "the folder %s" % root, "nothing there", "mount it or create it")
    return root


def own_folder(root: str, *names: str) -> str:
    """Return a folder below ``.lpse-dr``, made if need be, readable by the documents' group and nobody else."""
    path = root
    for name in (OWN_FOLDER, *names):
        path = os.path.join(path, name)
        if not os.path.isdir(path):
            os.makedirs(path, mode=0o750, exist_ok=True)
            give_to_group(path, root, 0o750)
    return path


def give_to_group(path: str, root: str, mode: int) -> None:
    """Let the documents' group read ``path``: the account that serves the stream is a member of it."""
    os.chmod(path, mode)
    with contextlib.suppress(PermissionError):
        os.chown(path, -1, os.stat(root).st_gid)


def excluded(ctx: Context, path: str) -> bool:
    """Tell whether ``path`` (relative) is no document: unfinished, or the tool's own."""
    if path.split("/", 1)[0] == OWN_FOLDER:
        return True
    name = posixpath.basename(path)
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in ctx.config.get("files_exclude") or [])


def safe_paths(ctx: Context, paths: List[str]) -> List[str]:
    """Return document paths, each once, in order. VerbError ``files.path_outside`` for one that leaves the root."""
    found: Dict[str, None] = {}
    for path in paths:
        plain = posixpath.normpath(path)
        if not path or path.startswith("/") or plain.split("/", 1)[0] in ("..", ".") or "\0" in path:
            raise VerbError("files.path_outside", "paths inside %s" % ctx.config["files_root"], repr(path))
        if not excluded(ctx, plain):
            found[plain] = None
    return list(found)


def hash_file(path: str, durable: bool = False) -> Optional[str]:
    """Return the SHA-256 of a file, None where there is no regular file; ``durable`` also writes it to disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        digest = hashlib.sha256()
        try:
            while True:
                piece = stream.read(1 << 20)
                if not piece:
                    break
                digest.update(piece)
        except IsADirectoryError:
            return None
        if durable:
            os.fsync(stream.fileno())
    return digest.hexdigest()


def hash_all(root: str, paths: List[str], durable: bool = False) -> Dict[str, Optional[str]]:
    """Return {path: SHA-256 or None}. Side by side: hashing and flushing both leave the interpreter's lock, and
    documents that are flushed together share the turns of the disk's journal."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(paths, pool.map(lambda path: hash_file(os.path.join(root, path), durable), paths)))


def flush_all(paths: List[str]) -> None:
    """Write regular files to disk, side by side; what is no regular file is passed over."""

    def flush(path: str) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(flush, paths))


def read_record() -> Dict[str, Any]:
    """Return what the last pull left behind; a damaged record counts as none, which no guard lets pass."""
    try:
        with open(RECORD, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return dict(NO_RECORD, conflicts=[])
    return {**NO_RECORD, **found} if isinstance(found, dict) else dict(NO_RECORD, conflicts=[])


def write_record(record: Dict[str, Any]) -> None:
    """Keep what a pull did."""
    write_atomic(RECORD, json.dumps(record, sort_keys=True) + "\n")


@contextlib.contextmanager
def only_one(ctx: Context, wait: bool = True) -> Iterator[None]:
    """Let one pull run at a time on this host: the far side's rrsync serves one at a time, too."""
    os.makedirs(os.path.dirname(LOCK), mode=0o755, exist_ok=True)
    with open(LOCK, "w") as lock:

        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

        if not (ctx.wait_for(taken) if wait else taken()):
            raise VerbError("files.busy", "no other pull at work", "another one holds %s" % LOCK, "wait for it")
        yield


def publish(ctx: Context) -> bool:
    """Write for the peer which site this is and which epoch it knows; return whether that was news."""
    root = root_of(ctx)
    epoch = read_state()["epoch"]
    known = {"number": epoch["number"], "site": epoch["site"]} if epoch else None
    text = json.dumps({"site": ctx.site, "epoch": known}, sort_keys=True) + "\n"
    path = os.path.join(own_folder(root), "site.json")
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as stream:
        if stream.read() == text:
            return False
    write_atomic(path, text, 0o640)
    give_to_group(path, root, 0o640)
    return True


def assert_standby(ctx: Context) -> Dict[str, Any]:
    """Refuse to pull into a site that is, or may be, the active one; return the epoch this host knows.

    Judged by the epoch first, which is cheap, then by the application, which asks its database whether it
    is in recovery. Where the application is kept cold, only one that does not run at all is no contradiction.
    """
    epoch = read_state()["epoch"]
    if not epoch:
        raise VerbError("files.epoch_unknown", "an epoch known to this host", "none", "lpse-dr status")
    if epoch["site"] == ctx.site:
        raise VerbError("files.not_standby", "the standby site", "%s is the active one" % ctx.site, "lpse-dr status")
    health = read_health(ctx.config["application_health_url"], min(1.0, max(0.1, ctx.remaining())))["health"]
    cold = ctx.config.get("application_warm") is False and health == "unreachable"
    if health != "standby" and not cold:
        raise VerbError(
            "files.not_standby", "an application that says standby", "it says %s" % health, "lpse-dr status"
        )
    found: Dict[str, Any] = epoch
    return found


def assert_current_peer(peer: Optional[Dict[str, Any]], own: Dict[str, Any]) -> None:
    """Refuse to pull from a peer that is not the active site of an epoch at least as new as the known one."""
    theirs = (peer or {}).get("epoch") or {}
    number = theirs.get("number")
    if not isinstance(number, int) or number < own["number"] or theirs.get("site") != (peer or {}).get("site"):
        raise VerbError(
            "files.peer_stale",
            "a peer that is active by epoch %d or a newer one" % own["number"],
            "it publishes %s" % json.dumps(peer, sort_keys=True),
            "lpse-dr status",
        )
    if number == own["number"] and theirs.get("site") != own["site"]:
        raise VerbError(
            "files.peer_stale",
            "one site per epoch",
            "epoch %d of %s and of %s" % (number, own["site"], theirs["site"]),
        )


def purge(ctx: Context) -> int:
    """Remove kept versions older than the configured days, and old markers; return how many folders and files went.

    Only what the tool itself has put beside the documents; a document is never removed.
    """
    root = root_of(ctx)
    removed = 0
    oldest = time.time() - 86400 * float(ctx.config.get("files_keep_versions_days") or 30)
    still_open = {item.get("kept", "").split("/")[2] for item in read_record()["conflicts"] if item.get("kept")}
    versions = os.path.join(root, OWN_FOLDER, "versions")
    for stamp in _names(versions):
        folder = os.path.join(versions, stamp)
        # A version of a conflict that nobody has settled is kept, however old it is.
        if stamp not in still_open and os.lstat(folder).st_mtime < oldest:
            _remove_tree(folder)
            removed += 1
    markers = os.path.join(root, OWN_FOLDER, "markers")
    for name in _names(markers):
        with contextlib.suppress(OSError):
            if os.lstat(os.path.join(markers, name)).st_mtime < time.time() - 86400:
                os.unlink(os.path.join(markers, name))
                removed += 1
    return removed


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _remove_tree(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def age_note() -> str:
    """Return the time as a folder's name: sorts by age, holds nothing that needs quoting."""
    return now_iso().replace(":", "").replace(".", "-")

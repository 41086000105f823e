"""Take a set: the database first, the documents after it, so that every row of the dump can have its document.

The vault fetches, with accounts that can only read: nobody in production can reach what it keeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from typing import Any, Dict, Iterator, List

from .backup_job import Progress
from .backup_place import ARCHIVE, DOCUMENTS, DUMP, MANIFEST, PARTS, folder_of, hash_stream, remember
from .base import Context, VerbError, now_iso, sync_folder
from .files_place import OWN_FOLDER, assert_current_peer, excluded

STILL_SECONDS = 300
# Of a tree in use some documents vanish while they are listed; rsync says so with 24, and the rows decide what is missing.
_GOOD_RSYNC = (0, 24)


def take(ctx: Context, args: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Take set ``args['set']``; return its manifest with ``manifest_sha256``."""
    folder, name = folder_of(ctx), str(args["set"])
    unfinished = os.path.join(folder, "." + name + ".part")
    for old in os.listdir(folder):
        # Only one job works here at a time: what another one left is a part of no set.
        if old.startswith(".") and old.endswith(".part"):
            shutil.rmtree(os.path.join(folder, old))
    os.mkdir(unfinished, 0o700)
    try:
        manifest = _fill(ctx, args, unfinished, progress)
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()
        _write(os.path.join(unfinished, MANIFEST), text.encode())
        sync_folder(unfinished)
        remember({"set": name, "manifest_sha256": digest, "at": now_iso()})
        os.rename(unfinished, os.path.join(folder, name))
        sync_folder(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(unfinished)
        raise
    return {**manifest, "manifest_sha256": digest}


def _fill(ctx: Context, args: Dict[str, Any], unfinished: str, progress: Progress) -> Dict[str, Any]:
    source = args["source"]
    taken_at = now_iso()
    progress.phase("dump")
    _dump(ctx, source, os.path.join(unfinished, DUMP), progress)
    files_at = now_iso()
    progress.phase("fetch")
    _fetch(ctx, source, args["epoch"])
    documents = list(_documents(ctx, str(ctx.config["backup_staging_folder"])))
    progress.phase("archive", sum(size for _path, size in documents))
    count, size = _archive(ctx, documents, unfinished, progress)
    progress.phase("hash", sum(os.path.getsize(os.path.join(unfinished, part)) for part in PARTS))
    parts = []
    for part in PARTS:
        with open(os.path.join(unfinished, part), "rb") as stream:
            os.fsync(stream.fileno())
            digest = hash_stream(stream, progress.add)
            parts.append({"name": part, "bytes": stream.tell(), "sha256": digest})
    return {
        "schema": 1,
        "set": args["set"],
        "taken_at": taken_at,
        "files_at": files_at,
        "ended_at": now_iso(),
        "source": {"site": args["site"], "database": source["database_address"], "files": source["files_address"]},
        "database": ctx.config["backup_database"],
        "epoch": args["epoch"],
        "medium": ctx.config["backup_medium"],
        "label": args.get("label") or "",
        "keeper": ctx.config["backup_keeper"],
        "documents": {"count": count, "bytes": size},
        "parts": parts,
    }


def _dump(ctx: Context, source: Dict[str, Any], path: str, progress: Progress) -> None:
    config = ctx.config
    words = {
        "host": source["database_address"], "port": source["database_port"], "user": config["backup_database_user"],
        "dbname": config["backup_database"], "passfile": config["backup_passfile"], "connect_timeout": 10,
        "sslmode": "verify-full", "sslrootcert": config["backup_ca_file"],
    }  # fmt: skip
    conninfo = " ".join(
        "%s='%s'" % (key, str(value).replace("\\", "\\\\").replace("'", "\\'")) for key, value in words.items()
    )
    argv = [
        os.path.join(config["backup_postgresql_bin"], "pg_dump"),
        "-Fc",
        "--no-password",
        "--lock-wait-timeout=60s",
        "-d",
        conninfo,
        "-f",
        path,
    ]
    _watched(argv, "pg_dump", (0,), lambda: progress.add(os.path.getsize(path) - progress.said["done_bytes"]) if os.path.exists(path) else None)  # fmt: skip


def _fetch(ctx: Context, source: Dict[str, Any], epoch: Dict[str, Any]) -> None:
    """Bring the copy beside the sets up to date: only what is new travels, however many sets there are.

    The folder must say of itself that it is the active site's: an unmounted one would look like no documents at all.
    """
    config = ctx.config
    staging = str(config["backup_staging_folder"])
    os.makedirs(staging, mode=0o700, exist_ok=True)
    ssh = ["ssh", "-T", "-oBatchMode=yes", "-oConnectTimeout=10", "-oStrictHostKeyChecking=yes", "-oIdentitiesOnly=yes",
           "-oServerAliveInterval=5", "-oServerAliveCountMax=3", "-oUserKnownHostsFile=%s" % config["backup_files_known_hosts"],
           "-oGlobalKnownHostsFile=/dev/null", "-i", config["backup_files_key"]]  # fmt: skip
    far = "%s@%s:./" % (config["backup_files_user"], source["files_address"])
    rsync = ["rsync", "-rt", "--no-links", "--timeout=%d" % STILL_SECONDS, "-e", shlex.join(ssh)]
    with tempfile.TemporaryDirectory() as folder:
        _watched([*rsync, "%s%s/site.json" % (far, OWN_FOLDER), folder + "/"], "rsync", (0,), lambda: None)
        with open(os.path.join(folder, "site.json"), encoding="utf-8") as stream:
            assert_current_peer(json.load(stream), epoch)
    # Contents decide nothing here (the archive is hashed); times and sizes do, as at the standby site.
    argv = [*rsync, "--delete", "--delete-excluded", "--exclude=/%s" % OWN_FOLDER, far, staging + "/"]
    _watched(argv, "rsync", _GOOD_RSYNC, lambda: None)


def _watched(argv: List[str], title: str, good: Any, look: Any) -> None:
    """Run a command to its end, however long; VerbError ``backup.source_failed`` in its own last words."""
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise VerbError(
            "command.missing", "%s to be startable" % title, str(error), "install it on this host"
        ) from error
    words = b""
    while True:
        try:
            words = process.communicate(timeout=0.5)[1]
            break
        except subprocess.TimeoutExpired:
            look()
    if process.returncode not in good:
        lines = words.decode("utf-8", "replace").strip().splitlines() or ["exit %d" % process.returncode]
        raise VerbError(
            "backup.source_failed", "%s to end well" % title, lines[-1], "lpse-dr status", {"program": title}
        )


def _documents(ctx: Context, root: str, below: str = "") -> Iterator[Any]:
    """Yield (path, bytes) of every document, sorted by the bytes of their names."""
    with os.scandir(os.path.join(root, below)) as listed:
        entries = sorted(listed, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = os.path.join(below, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _documents(ctx, root, path)
        elif entry.is_file(follow_symlinks=False) and not excluded(ctx, path):
            yield path, entry.stat(follow_symlinks=False).st_size


class _Hashing:
    """A file that is hashed while something else reads it."""

    def __init__(self, stream: Any, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._stream.read(size)
        self.digest.update(piece)
        self._progress.add(len(piece))
        return piece


def _archive(ctx: Context, documents: List[Any], unfinished: str, progress: Progress) -> Any:
    """Write the archive, and beside it a line a document: path, size, time and hash."""
    root, total = str(ctx.config["backup_staging_folder"]), 0
    names, packed = os.path.join(unfinished, DOCUMENTS), os.path.join(unfinished, ARCHIVE)
    pax = tarfile.PAX_FORMAT
    with open(names, "w", encoding="ascii") as listed, tarfile.open(packed, "w", format=pax) as archive:
        for path, _size in documents:
            with open(os.path.join(root, path), "rb") as stream:
                found = os.fstat(stream.fileno())
                member = tarfile.TarInfo(path)
                member.size, member.mtime, member.mode = found.st_size, int(found.st_mtime), 0o640
                hashing = _Hashing(stream, progress)
                archive.addfile(member, hashing)
            total += member.size
            line = {"path": path, "bytes": member.size, "at": member.mtime, "sha256": hashing.digest.hexdigest()}
            listed.write(json.dumps(line) + "\n")
        listed.flush()
        os.fsync(listed.fileno())
    return len(documents), total


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())

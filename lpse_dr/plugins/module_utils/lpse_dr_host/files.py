"""Verbs about bid documents. The standby site pulls from the active one; nothing is ever deleted or overwritten."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import Any, Dict

from . import base, files_place, host
from .base import Context, Verb, VerbError, read_state, run, sync_folder, write_atomic
from .files_halt import end_copying, manifest
from .files_place import HALT_FLAG, hash_all, only_one, own_folder, root_of, safe_paths
from .files_stream import Stream
from .files_sync import assert_not_halted, pull_everything
from .files_watch import Watch
from .replication_path import paths_to

STREAM, WATCH = "files.stream", "files.watch"


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the host's reading with ``files``."""
    reading = host.status(ctx, args)["reading"]
    reading["files"] = read_files(ctx, args)
    return {"changed": False, "reading": reading}


def read_files(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return folder, disk, timer, last pull, conflicts, and whether the peer lets this host in; never raises.

    ``peer_seconds`` bounds the question to the peer. With 0, where the peer is known to be gone or suspect, and while
    replication is halted, it is left alone.
    """
    root = ctx.config.get("files_root") or ""
    record = files_place.read_record()
    reading: Dict[str, Any] = {
        "root": root,
        "exists": os.path.isdir(root),
        "disk": None,
        "timer": read_timer(ctx),
        "last_sync": record["last_sync"],
        "conflicts": record["conflicts"],
        "peer_ok": None,
        "peer_error": None,
        "peer": None,
        "paths": paths_to([str(ctx.config.get("files_peer_address") or "/")], 22),
    }
    with contextlib.suppress(OSError):
        disk = os.statvfs(root)
        reading["disk"] = {"free_bytes": disk.f_bavail * disk.f_frsize, "total_bytes": disk.f_blocks * disk.f_frsize}
    patience = int(args.get("peer_seconds", 2))
    if patience == 0 or read_state()["halted"] is not None:
        return dict(reading, peer_error="not asked")
    try:
        stream = Stream(ctx, patience)
        try:
            reading["peer"] = stream.read_site(min(3.0, ctx.remaining()))
        finally:
            stream.close()
        reading["peer_ok"] = reading["peer"] is not None
        reading["peer_error"] = None if reading["peer_ok"] else "it does not publish which site it is"
    except (VerbError, OSError, KeyError) as error:
        found = error.found if isinstance(error, VerbError) else repr(error)
        reading.update(peer_ok=False, peer_error=found)
    return reading


def read_timer(ctx: Context) -> Any:
    """Return active | inactive | masked (which a halt is, too), None when systemd does not say."""
    if os.path.exists(HALT_FLAG):
        return "masked"
    try:
        shown = run(["systemctl", "show", "-p", "ActiveState,LoadState", ctx.config["files_timer"]], 3.0).stdout
    except (VerbError, KeyError):
        return None
    if "LoadState=masked" in shown:
        return "masked"
    return "active" if "ActiveState=active" in shown else "inactive"


def open_stream(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Connect to the peer, see that it may be pulled from, and keep the connection for what follows."""
    stream = ctx.memory.get(STREAM)
    if isinstance(stream, Stream) and stream.alive():
        return {"changed": False}
    assert_not_halted(ctx)
    own = files_place.assert_standby(ctx)
    stream = Stream(ctx)
    try:
        files_place.assert_current_peer(stream.read_site(ctx.remaining()), own)
        stream.prepare(root_of(ctx))
    except BaseException:
        stream.close()
        raise
    ctx.memory[STREAM] = stream
    return {"changed": False}


@contextlib.contextmanager
def _stream(ctx: Context) -> Any:
    """Yield the open connection, or one for this verb alone."""
    kept = ctx.memory.get(STREAM)
    if isinstance(kept, Stream) and kept.alive():
        yield kept
        return
    stream = Stream(ctx)
    try:
        yield stream
    finally:
        stream.close()


def sync(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Pull the whole tree; {files, bytes, seconds, conflicts}. A document that differs is kept beside, as an alarm."""
    assert_not_halted(ctx)
    with _stream(ctx) as stream:
        return pull_everything(ctx, stream)


def watch(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Begin to note what changes on this side. A running watch goes on, so that nothing is lost by asking twice."""
    watching = ctx.memory.get(WATCH)
    if isinstance(watching, Watch):
        watching.check()
        return {"changed": False, "folders": watching.count()}
    root = root_of(ctx)
    own = own_folder(root)
    watching = Watch(root, own)
    ctx.memory[WATCH] = watching
    return {"changed": False, "folders": watching.count()}


def changed(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {paths, directories} since the last call; with ``barrier`` it is certain that none is missing.

    Complete only for what has stopped changing: ask with ``barrier`` after the application has stopped.
    """
    watching = ctx.memory.get(WATCH)
    if not isinstance(watching, Watch):
        raise VerbError("files.watch_lost", "a running watch", "none was started over this connection", "files.watch")
    if args.get("barrier"):
        watching.await_barrier(min(5.0, ctx.remaining()))
    paths, folders = watching.take()
    return {"changed": False, "paths": safe_paths(ctx, paths), "directories": safe_paths(ctx, folders)}


def pull(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Fetch the named documents; {files, bytes, sha256, missing}. They are on disk when this returns.

    ``last`` says that no further pull is near, so that nothing is made ready for one.
    ``missing`` are names that the peer no longer has; whether one of them should be there is what
    ``confirm`` proves with the peer's own hashes.
    """
    paths = safe_paths(ctx, args["paths"])
    if not paths:
        return {"changed": False, "files": 0, "bytes": 0, "seconds": 0.0, "sha256": {}, "missing": []}
    started = time.monotonic()
    root = root_of(ctx)
    if (read_state()["epoch"] or {}).get("site") in (None, ctx.site):
        raise VerbError("files.not_standby", "the standby site", "this site is not known to be one", "lpse-dr status")
    assert_not_halted(ctx)
    with _stream(ctx) as stream, only_one(ctx):
        # Again: who halts it waits for this lock, and then counts on it.
        assert_not_halted(ctx)
        stream.fetch(root, paths, ctx.remaining())
    found = hash_all(root, paths, durable=True)
    hashes = {path: value for path, value in found.items() if value is not None}
    size = sum(os.path.getsize(os.path.join(root, path)) for path in hashes)
    for folder in {os.path.dirname(os.path.join(root, path)) for path in hashes}:
        sync_folder(folder)
    kept = ctx.memory.get(STREAM)
    if isinstance(kept, Stream) and kept.alive() and not args.get("last"):
        kept.prepare(root)
    missing = [path for path in paths if path not in hashes and not os.path.islink(os.path.join(root, path))]
    return {
        "changed": bool(hashes),
        "files": len(hashes),
        "bytes": size,
        "seconds": round(time.monotonic() - started, 3),
        "sha256": hashes,
        "missing": missing,
    }


def hashes(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {sha256: {path: hex}} of the named documents that exist here."""
    root = root_of(ctx)
    found = hash_all(root, safe_paths(ctx, args["paths"]))
    return {"changed": False, "sha256": {path: value for path, value in found.items() if value is not None}}


def confirm(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Prove that this side holds the same content. VerbError ``files.hash_differs`` names what it does not."""
    root = root_of(ctx)
    wanted: Dict[str, str] = args["sha256"]
    found = hash_all(root, list(wanted))
    wrong = [
        {"path": path, "expected": value, "found": found[path]}
        for path, value in wanted.items()
        if found[path] != value
    ]
    if wrong:
        names = ", ".join(str(item["path"]) for item in wrong[:3])
        raise VerbError(
            "files.hash_differs",
            "%d documents to be equal on both sides" % len(wanted),
            "%d not: %s" % (len(wrong), names),
            "lpse-dr files status",
            {"documents": wrong[:100], "count": len(wrong), "paths": names},
        )
    return {"changed": False, "files": len(wanted)}


def publish(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Write for the peer which site this is and which epoch it knows."""
    return {"changed": files_place.publish(ctx)}


def halt_timer(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Stop copying until somebody resumes it, over restarts too; a pull that is under way is ended."""
    already = os.path.exists(HALT_FLAG)
    if not already:
        os.makedirs(os.path.dirname(HALT_FLAG), exist_ok=True)
        write_atomic(HALT_FLAG, "%s\n" % json.dumps({"at": time.time(), "operation": ctx.operation}))
    timer: str = ctx.config["files_timer"]
    ended = end_copying(ctx)
    run(["systemctl", "stop", timer, re.sub(r"\.timer$", ".service", timer)], min(20.0, ctx.remaining()))
    return {"changed": not already, "ended": ended}


def resume_timer(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let copying go on. Which side pulls is decided at each turn by epoch and application, not here.

    While replication is halted, only as a part of its being resumed.
    """
    if not args.get("resuming"):
        base.assert_not_halted(ctx)
    before = read_timer(ctx)
    if before == "active":
        return {"changed": False}
    with contextlib.suppress(FileNotFoundError):
        os.unlink(HALT_FLAG)
        sync_folder(os.path.dirname(HALT_FLAG))
    run(["systemctl", "start", ctx.config["files_timer"]], min(20.0, ctx.remaining()))
    return {"changed": True}


def _marker(root: str, args: Dict[str, Any]) -> str:
    name = str(args["id"])
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", name):
        raise VerbError("files.marker_name", "letters, digits and - as a marker's name", repr(name))
    return os.path.join(root, files_place.OWN_FOLDER, "markers", name)


def write_marker(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Put a small file into the stream; its arrival at the other side is waited for by ``await_marker``."""
    root = root_of(ctx)
    own_folder(root, "markers")
    path = _marker(root, args)
    write_atomic(path, json.dumps({"at": time.time(), "site": ctx.site}) + "\n", 0o640)
    files_place.give_to_group(path, root, 0o640)
    return {"changed": True}


def await_marker(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait until a marker has arrived; {seconds} since it was written, by both sides' clocks."""
    path = _marker(root_of(ctx), args)

    def arrived() -> Any:
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
            return json.load(stream)
        return None

    found = ctx.wait_for(arrived, 0.05)
    if not found:
        raise VerbError("files.marker_late", "the marker to arrive in time", "it has not", "lpse-dr files status")
    return {"changed": False, "seconds": round(max(0.0, time.time() - found["at"]), 3), "site": found.get("site")}


VERBS: Dict[str, Verb] = {
    "status": status,
    "sync": sync,
    "open": open_stream,
    "watch": watch,
    "changed": changed,
    "pull": pull,
    "hashes": hashes,
    "confirm": confirm,
    "publish": publish,
    "halt_timer": halt_timer,
    "manifest": manifest,
    "resume_timer": resume_timer,
    "write_marker": write_marker,
    "await_marker": await_marker,
}

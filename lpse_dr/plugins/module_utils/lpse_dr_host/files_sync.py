"""The pass over the whole tree: what is missing is fetched, what differs is an alarm, nothing is overwritten."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List

from . import base
from .base import Context, VerbError, now_iso, sync_folder
from .files_place import (
    HALT_FLAG,
    OWN_FOLDER,
    age_note,
    assert_current_peer,
    assert_standby,
    excluded,
    flush_all,
    hash_file,
    only_one,
    own_folder,
    read_record,
    root_of,
    write_record,
)
from .files_stream import Item, Stream


def pull_everything(ctx: Context, stream: Stream, wait: bool = True) -> Dict[str, Any]:
    """Bring this site's documents up to the peer's; return {files, bytes, seconds, conflicts}.

    Refused where this site is not the standby, where the peer is not current, and while a person has
    halted copying. What was done, or why not, is recorded for ``files.status``.
    """
    root = root_of(ctx)
    started, at = time.monotonic(), now_iso()
    with only_one(ctx, wait):
        record = read_record()
        note: Dict[str, Any] = {"at": at, "ok": False, "source": stream.peer, "files": 0, "bytes": 0}
        # A refusal on this side is no pull, and leaves the record of the last one as it is.
        assert_not_halted(ctx)
        own = assert_standby(ctx)
        try:
            assert_current_peer(stream.read_site(ctx.remaining()), own)
            items = stream.compare(root, ctx.remaining())
            new = [item for item in items if _is_new(ctx, item)]
            if new:
                stream.fetch(root, [item.path for item in new], ctx.remaining())
                _make_durable(root, new)
            record["conflicts"] = _judge(
                ctx, stream, root, [i for i in items if _differs(ctx, i)], record["conflicts"]
            )
            files = [item for item in new if item.code[1] == "f"]
            note.update(ok=True, files=len(files), bytes=sum(item.size for item in files), error=None)
        except VerbError as error:
            note.update(error="%s: %s" % (error.id, error.found), seconds=round(time.monotonic() - started, 3))
            write_record(dict(record, last_sync=note))
            raise
        note["seconds"] = round(time.monotonic() - started, 3)
        write_record(dict(record, last_sync=note))
    return {
        "changed": bool(new),
        "files": note["files"],
        "bytes": note["bytes"],
        "seconds": note["seconds"],
        "conflicts": record["conflicts"],
    }


def assert_not_halted(ctx: Context) -> None:
    """Refuse to copy while a person has halted it; what he wants to keep away may be in the next file."""
    base.assert_not_halted(ctx)
    if os.path.exists(HALT_FLAG):
        raise VerbError("files.halted", "copying not to be halted", "%s exists" % HALT_FLAG, "lpse-dr files resume")


def _is_new(ctx: Context, item: Item) -> bool:
    return item.code[2:] == "+++++++++" and not (excluded(ctx, item.path) and not _is_marker(item.path))


def _is_marker(path: str) -> bool:
    return path.startswith("%s/markers/" % OWN_FOLDER)


def _differs(ctx: Context, item: Item) -> bool:
    """Tell whether a document's content may differ: another size or time, or another kind of thing."""
    code = item.code
    if code.startswith("*"):
        # rsync would have to remove a folder, or could not place a name: a document here is in the way.
        return not excluded(ctx, item.path)
    changed_kind = code[0] == "c" and code[1] == "L" and "+" not in code
    changed_file = code[1] == "f" and code[0] == ">" and "+" not in code
    return (changed_file or changed_kind) and not excluded(ctx, item.path)


def _make_durable(root: str, items: List[Item]) -> None:
    """Write what arrived, and the names of it, to disk: after this call it may be relied on."""
    paths = [os.path.join(root, item.path) for item in items]
    flush_all(paths)
    for folder in {os.path.dirname(path) for path in paths}:
        if os.path.isdir(folder):
            sync_folder(folder)


def _judge(
    ctx: Context, stream: Stream, root: str, items: List[Item], known: List[Dict[str, Any]]
) -> List[Dict[str, Any]]:
    """Return the conflicts that stand: documents of one name with two contents, the peer's kept beside.

    A conflict that was seen before is fetched again only when the peer's document has changed since.
    One that no longer differs, because somebody settled it, is dropped from the list.
    """
    before = {item["path"]: item for item in known}
    standing = [before[i.path] for i in items if _seen(before.get(i.path), i)]
    fresh = [i for i in items if not _seen(before.get(i.path), i)]
    if not fresh:
        return standing
    stamp = age_note()
    kept = own_folder(root, "versions", stamp)
    os.chmod(kept, 0o700)
    stream.fetch(kept, [item.path for item in fresh], ctx.remaining())
    for item in fresh:
        theirs, ours = os.path.join(kept, item.path), os.path.join(root, item.path)
        hashes = hash_file(theirs, durable=True), hash_file(ours)
        if hashes[0] is not None and hashes[0] == hashes[1]:
            # Only the time of the file differed. It is set, so that the next pass has nothing to ask.
            stat = os.stat(theirs)
            os.utime(ours, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            os.unlink(theirs)
            continue
        standing.append(
            {
                "path": item.path,
                "at": now_iso(),
                "kept": "%s/versions/%s/%s" % (OWN_FOLDER, stamp, item.path),
                "sha256": {"here": hashes[1], "peer": hashes[0]},
                "peer": {"size": item.size, "changed_at": item.changed_at},
            }
        )
    return sorted(standing, key=lambda conflict: str(conflict["path"]))


def _seen(conflict: Any, item: Item) -> bool:
    return bool(conflict) and conflict.get("peer") == {"size": item.size, "changed_at": item.changed_at}

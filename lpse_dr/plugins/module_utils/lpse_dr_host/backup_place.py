"""Where sets of backups lie, what a set consists of, and what this host itself remembers of each.

A set is a folder with exactly four plain files. It is written under a name that no set has, and renamed when all of it is on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from typing import Any, Dict, Iterator, List, Optional

from .base import Context, VerbError, sync_folder

DUMP, ARCHIVE, DOCUMENTS, MANIFEST = "database.dump", "files.tar", "documents.jsonl", "manifest.json"
PARTS = (DUMP, ARCHIVE, DOCUMENTS)
SET_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9-]{1,30}")
SHA256 = re.compile(r"[0-9a-f]{64}")
OWN_FOLDER = "/var/lib/lpse-dr/backup"
MOST_MANIFEST_BYTES = 1 << 20
PIECE = 1 << 20


def folder_of(ctx: Context) -> str:
    """Return the folder of sets. VerbError ``backup.medium_missing``: an unmounted medium looks like no backups."""
    folder = str(ctx.config["backup_folder"]).rstrip("/")
    if not os.path.isdir(folder):
        raise VerbError(
            "backup.medium_missing",
            "the folder %s" % folder,
            "nothing there",
            "Have its keeper load the medium, then lpse-dr backup list",
        )
    return folder  # fmt: skip


def names(ctx: Context) -> List[str]:
    """Return the names of all sets, newest first. What is half written has no such name."""
    folder = folder_of(ctx)
    try:
        with os.scandir(folder) as listed:
            found = [entry.name for entry in listed if SET_NAME.fullmatch(entry.name)]
    except OSError as error:
        raise VerbError(
            "backup.medium_missing", "%s to be readable" % folder, str(error), "lpse-dr backup list"
        ) from error
    return sorted(found, reverse=True)  # fmt: skip


def path_of(ctx: Context, name: str) -> str:
    """Return the folder of a set. VerbError ``backup.set_unknown`` for a name that is none, or that nothing bears."""
    path = os.path.join(folder_of(ctx), name)
    if not SET_NAME.fullmatch(name) or not os.path.lexists(path):
        raise VerbError("backup.set_unknown", "the name of a set", repr(name), "lpse-dr backup list")
    return path


class SetError(Exception):
    """What is wrong with a set, by a stable id: damage, not a failure of this program."""

    def __init__(self, id: str, found: str) -> None:
        super().__init__("%s: %s" % (id, found))
        self.id = id
        self.found = found


def open_plain(path: str) -> int:
    """Open a plain file of a set for reading, never what a link leads to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SetError("part_missing", "%s: %s" % (os.path.basename(path), error.strerror)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SetError("not_plain", "%s is no plain file" % os.path.basename(path))
    return descriptor


def read_manifest(path: str) -> Dict[str, Any]:
    """Return a set's manifest, with ``manifest_sha256``, the hash of its bytes. SetError where it cannot be one."""
    if os.path.islink(path) or not os.path.isdir(path):
        raise SetError("not_plain", "the set is no folder")
    with os.fdopen(open_plain(os.path.join(path, MANIFEST)), "rb") as stream:
        data = stream.read(MOST_MANIFEST_BYTES + 1)
    if len(data) > MOST_MANIFEST_BYTES:
        raise SetError("manifest_unreadable", "the manifest is larger than %d bytes" % MOST_MANIFEST_BYTES)
    try:
        manifest = json.loads(data.decode("utf-8"))
        _check(manifest, os.path.basename(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetError("manifest_unreadable", "the manifest: %s" % (error or type(error).__name__)) from error
    manifest["manifest_sha256"] = hashlib.sha256(data).hexdigest()
    return dict(manifest)


def _check(manifest: Any, name: str) -> None:
    """Refuse what is no manifest of this set: it decides which files are opened, and how much of them is read."""
    if manifest["schema"] != 1 or manifest["set"] != name:
        raise ValueError("it is of another set, or of another version: %r" % manifest["set"])
    parts = {part["name"]: part for part in manifest["parts"]}
    if set(parts) != set(PARTS) or len(parts) != len(manifest["parts"]):
        raise ValueError("it names other files: %s" % ", ".join(sorted(map(repr, parts))))
    for part in parts.values():
        if not isinstance(part["bytes"], int) or part["bytes"] < 0 or not SHA256.fullmatch(part["sha256"]):
            raise ValueError("no size and hash of %s" % part["name"])
    if not re.fullmatch(r"[0-9T:.-]+Z", manifest["taken_at"]) or not isinstance(manifest["epoch"], dict):
        raise ValueError("no time or no epoch")


def strangers(path: str) -> List[str]:
    """Return what lies in a set's folder and does not belong there."""
    return sorted(set(os.listdir(path)) - {*PARTS, MANIFEST})


def hash_stream(stream: Any, seen: Any = None) -> str:
    """Return the SHA-256 of what is left of a stream; ``seen`` is told how many bytes have gone by."""
    digest = hashlib.sha256()
    while True:
        piece = stream.read(PIECE)
        if not piece:
            return digest.hexdigest()
        digest.update(piece)
        if seen is not None:
            seen(len(piece))


def own_folder(*more: str) -> str:
    """Return a folder of this host's own notes, made if need be; nobody but root reads it."""
    path = OWN_FOLDER
    os.makedirs(path, mode=0o700, exist_ok=True)
    for name in more:
        path = os.path.join(path, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def recorded() -> Dict[str, str]:
    """Return {set: hash of its manifest} as this host wrote it down when it took each."""
    found: Dict[str, str] = {}
    for line in _lines(os.path.join(OWN_FOLDER, "record.jsonl")):
        found[str(line.get("set"))] = str(line.get("manifest_sha256"))
    return found


def remember(entry: Dict[str, Any]) -> None:
    """Append to what this host remembers, outside the medium, before the set gets its name."""
    path = os.path.join(own_folder(), "record.jsonl")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (json.dumps(entry, sort_keys=True) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(os.path.dirname(path))


def verdict_of(name: str, manifest_sha256: Optional[str]) -> Optional[Dict[str, Any]]:
    """Return what the last inspection of exactly this set found, None where there was none."""
    for found in _lines(os.path.join(OWN_FOLDER, "verdicts", name + ".json")):
        if found.get("manifest_sha256") == manifest_sha256:
            return found
    return None


def _lines(path: str) -> Iterator[Dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.readlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            # A line that a power cut tore proves nothing for anybody.
            continue
        if isinstance(found, dict):
            yield found


def provenance(name: str, manifest_sha256: str, journal: Dict[str, str]) -> Dict[str, Any]:
    """Return {proof, found}: proof is journal | vault | none | forged. A record that says otherwise outweighs one that agrees."""
    said = {"journal": journal.get(name), "vault": recorded().get(name)}
    for who, sha256 in said.items():
        if sha256 not in (None, manifest_sha256):
            return {
                "proof": "forged",
                "found": "manifest %s, in the %s's record %s" % (manifest_sha256[:16], who, str(sha256)[:16]),
            }
    for who, sha256 in said.items():
        if sha256 is not None:
            return {"proof": who, "found": manifest_sha256}
    return {"proof": "none", "found": "no record of manifest %s" % manifest_sha256[:16]}  # fmt: skip

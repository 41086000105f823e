"""Take a set away from its medium, into the quarantine: as much as its manifest says, and nothing else."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict

from .backup_job import Progress
from .backup_place import PIECE, SetError, open_plain
from .base import VerbError


def copy_parts(path: str, manifest: Dict[str, Any], target: str, progress: Progress) -> None:
    """Copy a set away from its medium, as much as its manifest says and not a byte more, and compare hashes. SetError."""
    room = os.statvfs(target)
    free, needed = room.f_bavail * room.f_frsize, sum(part["bytes"] for part in manifest["parts"])
    if free < needed * 1.1:
        raise VerbError(
            "backup.no_room",
            "%d bytes free in %s" % (int(needed * 1.1), target),
            "%d bytes" % free,
            "set backup_quarantine_folder to a larger disk",
        )
    for part in manifest["parts"]:
        digest, left = hashlib.sha256(), part["bytes"]
        here, there = os.path.join(path, part["name"]), os.path.join(target, part["name"])
        with os.fdopen(open_plain(here), "rb") as source, open(there, "wb") as copy:
            while left:
                piece = source.read(min(PIECE, left))
                if not piece:
                    raise SetError("part_differs", "%s: -%d B" % (part["name"], left))
                digest.update(piece)
                copy.write(piece)
                left -= len(piece)
                progress.add(len(piece))
            if source.read(1):
                raise SetError("part_differs", "%s: +" % part["name"])
        if digest.hexdigest() != part["sha256"]:
            raise SetError("part_differs", "%s: SHA-256" % part["name"])  # fmt: skip

"""What a guard reads of a cluster without asking its server, and one permitted start for writing."""

from __future__ import annotations

import os
import re
import struct
import time
from typing import Any, Dict, Optional, Tuple

from .base import VerbError

Epoch = Tuple[int, Optional[str]]
# As pg_control counts them; the words are pg_controldata's.
CONTROL_STATES = (
    "starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production",
)  # fmt: skip


def read_control(data: str) -> bytes:
    """Return what PostgreSQL keeps in pg_control; every change of state changes it."""
    with open(os.path.join(data, "global", "pg_control"), "rb") as stream:
        return stream.read(512)


def control_state(data: str) -> str:
    """Return the cluster state of pg_control. Read several times a second, hence without a program.

    The first fields are the same since PostgreSQL 8.1; a file that does not look so is unreadable, not guessed.
    """
    head = read_control(data)
    if len(head) >= 20:
        version, _, state = struct.unpack_from("=III", head, 8)
        if 1100 <= version < 3000 and state < len(CONTROL_STATES):
            return CONTROL_STATES[state]
    raise VerbError("database.control_unreadable", "pg_control of a known form", "%d bytes" % len(head))


def promoted(data: str, state: Dict[str, Any]) -> bool:
    """Tell whether the cluster has begun a timeline above that on which its promotion was decided.

    Its history file is on disk before the first write; the control file may still name the old timeline.
    """
    before = ((state.get("fired") or {}).get("control") or {}).get("timeline")
    if not isinstance(before, int):
        return False
    names = [name[:8] for name in os.listdir(os.path.join(data, "pg_wal")) if name.endswith(".history")]
    return any(int(name, 16) > before for name in names if re.match("^[0-9A-F]{8}$", name))


class Opening:
    """One permitted start for writing: for which epoch, on whose word, until when (``time.monotonic()``).

    ``control`` is pg_control as it was when the unit was let start; None before that.
    """

    def __init__(self, epoch: Epoch, via: str, ends: float) -> None:
        self.epoch = epoch
        self.via = via
        self.ends = ends
        self.began = time.monotonic()
        self.control: Optional[bytes] = None

    def spent(self, data: str) -> bool:
        """Tell whether the start that it permitted has already opened the database, and ended again before anybody looked."""
        if self.control is None or read_control(data) == self.control:
            return False
        return control_state(data) in ("in production", "shutting down", "shut down")

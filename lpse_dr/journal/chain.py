"""The chain: each line carries the hash of the one before, so that an edit breaks it from there on.

It proves that no line before its head was changed alone. It proves neither that the whole file was not
written anew nor that its end was not cut off: a signature or a copy of the head elsewhere does that.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..i18n import N_

START = "0" * 64

# The reasons stay English in the record; `cli/` translates them.
NOT_AN_EVENT = N_("is not a journal event")
CHANGED = N_("was changed after it was written")
SPELLING = N_("is not written the way the journal writes")
REWRITTEN = N_("does not follow the line before it: one of the two was rewritten")
REMOVED = N_("follows a line that was removed")
INSERTED = N_("was inserted, stands twice, or follows a line that was inserted")
REORDERED = N_("stands out of order")
NUMBER = N_("has the wrong number")


def now() -> str:
    """Return the present as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def canonical(value: Any) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain_hash(prev: str, body: str) -> str:
    """Return sha256(prev + body) in hex."""
    return hashlib.sha256((prev + body).encode()).hexdigest()


@dataclass(frozen=True)
class Verification:
    """What the chain proves. `bad_line` counts from 1; `torn_bytes` are half a line, left by a crash."""

    events: int
    head: str
    bad_line: int | None = None
    reason: str = ""
    torn_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Tell whether every complete line fits the one before it."""
        return self.bad_line is None


def _number(raw: bytes) -> int | None:
    try:
        found = json.loads(raw)["n"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _check_line(lines: list[bytes], number: int, prev: str) -> tuple[str, str]:
    """Return (hash, "") of a good line, or ("", reason)."""
    raw = lines[number - 1]
    try:
        event = json.loads(raw)
        claimed = event.pop("hash")
        body = canonical(event)
        text = raw.decode()
    except (ValueError, KeyError, AttributeError, TypeError):
        return "", NOT_AN_EVENT
    if event.get("prev") != prev:
        return "", _misplaced(lines, number)
    if event.get("n") != number:
        return "", NUMBER
    if claimed != chain_hash(prev, body):
        return "", CHANGED
    if text != canonical({**event, "hash": claimed}):
        return "", SPELLING
    return str(claimed), ""


def _misplaced(lines: list[bytes], number: int) -> str:
    """Say what its number and those behind it tell of a line that does not follow the one before it."""
    own = _number(lines[number - 1])
    if own is None:
        return NOT_AN_EVENT
    if own == number:
        return REWRITTEN
    if own < number:
        return INSERTED
    return REORDERED if any(_number(raw) == number for raw in lines[number:]) else REMOVED


def verify_lines(lines: list[bytes], torn: bytes) -> Verification:
    """Check every line; name the first that does not fit. A half last line is reported, not condemned."""
    prev = START
    for number in range(1, len(lines) + 1):
        new, reason = _check_line(lines, number, prev)
        if reason:
            return Verification(number - 1, prev, number, reason, len(torn))
        prev = new
    return Verification(len(lines), prev, torn_bytes=len(torn))

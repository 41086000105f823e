"""What the vendors recorded: one line a request, as `image/load.py` wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import LpseDrError


class RecordError(LpseDrError):
    """The record of a load is missing or unreadable, so nothing can be proven from it."""

    error_id = "lab.record"


@dataclass(frozen=True)
class Bid:
    """One request. `start` and `end` are seconds of CLOCK_MONOTONIC; `error` is None if it was acknowledged."""

    client: int
    start: float
    end: float
    wait: float
    status: int | None
    receipt: str | None
    sha256: str
    size: int
    site: str | None
    error: str | None


def read_bids(path: Path) -> list[Bid]:
    """Return every request of a load. A torn last line (the generator was killed) is left out. RecordError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError as error:
        raise RecordError(f"The record of the load cannot be read: {path}", detail=str(error)) from error
    bids = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            bid = Bid(**{name: record[name] for name in Bid.__dataclass_fields__})
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"Line {number} of {path} is unreadable.", detail=line[:120]) from error
        if bid.error is None and not bid.receipt:
            raise RecordError(f"Line {number} of {path} is acknowledged and has no receipt.", detail=line[:120])
        bids.append(bid)
    return bids

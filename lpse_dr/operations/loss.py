"""What a failover now would cost, as far as readings tell. Pure; what is not known is None, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .sites import Overview, Site

# As many moments a database tells; that many found means "or more".
MOST_RECENT = 1000


@dataclass(frozen=True)
class Loss:
    """If `site` dies now: `wal_bytes` not yet received, `documents` not yet copied (`or_more` of them)."""

    site: str
    wal_bytes: int | None
    documents: int | None
    or_more: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the figures as the envelope carries them."""
        return {
            "site": self.site,
            "wal_bytes": self.wal_bytes,
            "documents": self.documents,
            "documents_or_more": self.or_more,
        }


def _position(text: Any) -> int | None:
    try:
        high, low = str(text).split("/")
        return (int(high, 16) << 32) + int(low, 16)
    except ValueError:
        return None


def moment(value: Any) -> float | None:
    """Return unix time of a reading's moment, in either of its two spellings."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _wal(active: Site, standby: Site) -> int | None:
    database = active.database or {}
    now = _position((database.get("lsn") or {}).get("current"))
    behind = [
        now - had
        for item in database.get("senders") or []
        if item.get("application_name") == standby.name
        and now is not None
        and (had := _position(item.get("flush_lsn"))) is not None
    ]
    return max(0, *behind) if behind else None


def pending(newest: Any, files: Iterable[Mapping[str, Any]]) -> tuple[int | None, bool]:
    """Return how many rows are newer than the last good copy of documents, and whether there may be more.

    A copy takes what was there when it began; what was submitted after that may be missing.
    """
    copied = [
        at
        for item in files
        if (last := item.get("last_sync")) and last.get("ok") and (at := moment(last.get("at"))) is not None
    ]
    if not isinstance(newest, list) or not copied:
        return None, False
    count = sum(1 for at in newest if isinstance(at, int | float) and at > min(copied))
    return count, count >= MOST_RECENT


def loss_now(view: Overview) -> Loss | None:
    """Return what the death of the active site would cost now; None where there is no single one with a standby."""
    if len(view.active) != 1 or len(view.sites) != 2:
        return None
    active = next(site for site in view.sites if site.name == view.active[0])
    standby = next(site for site in view.sites if site.name != active.name)
    newest = ((active.database or {}).get("documents") or {}).get("newest")
    count, more = pending(newest, standby.files)
    return Loss(active.name, _wal(active, standby), count, more)

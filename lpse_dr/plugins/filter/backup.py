"""Which sets may be clean, in the order in which they are looked into."""

from __future__ import annotations

import datetime
from typing import Any


def moment(text: Any) -> datetime.datetime | None:
    """Return a time of ISO 8601 with its zone, None for what is none."""
    try:
        found = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def order(sets: list[dict[str, Any]], infected_since: Any, margin_seconds: Any) -> dict[str, Any]:
    """Return {error, before, later, sets}: the sets from before the infection less the margin, newest first, each with the next older one.

    A set whose manifest cannot be read says by its name when it was taken, and is looked into as well. ``later`` counts those that
    are too new. The documents are fetched after the dump, so the end of the taking decides where it is known.
    """
    infected = moment(infected_since)
    if infected is None:
        return {"error": f"{infected_since!r} is no time with its zone", "before": "", "later": 0, "sets": []}
    if infected > datetime.datetime.now(datetime.UTC):
        return {"error": f"{infected_since} has not come yet", "before": "", "later": 0, "sets": []}
    before = infected - datetime.timedelta(seconds=float(margin_seconds))
    chosen = []
    ordered = sorted(sets, key=lambda item: str(item["set"]), reverse=True)
    for place, item in enumerate(ordered):
        if taken(item) < before:
            older = next((other["set"] for other in ordered[place + 1 :] if comparable(other)), None)
            chosen.append({"set": item["set"], "older": older})
    text = before.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"error": "", "before": text, "later": len(ordered) - len(chosen), "sets": chosen}


def comparable(item: dict[str, Any]) -> bool:
    """Tell whether another set can be compared with this one: it can be read, and is proven to be what was taken."""
    return not item.get("problem") and item.get("proof") in ("journal", "vault")


def taken(item: dict[str, Any]) -> datetime.datetime:
    """Return the latest moment from which a set can contain anything: by its manifest, never earlier than by its name."""
    try:
        named = datetime.datetime.strptime(str(item["set"])[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        # A name that is no time is never before anything.
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
    said = moment(item.get("ended_at") or item.get("taken_at"))
    return max(named, said) if said else named


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"lpse_dr_backup_order": order}

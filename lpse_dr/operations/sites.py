"""What the readings of the hosts say about the sites. Pure; an absent reading is never good news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Reading = Mapping[str, Any]

_NOUNS = ("database", "application", "files", "traffic", "dns")


@dataclass(frozen=True)
class Site:
    """One site as read from its hosts. `role`: active, standby, down, unread."""

    name: str
    role: str
    database: Mapping[str, Any] | None = None
    applications: tuple[Mapping[str, Any], ...] = ()
    files: tuple[Mapping[str, Any], ...] = ()
    traffic: tuple[Mapping[str, Any], ...] = ()
    dns: tuple[Mapping[str, Any], ...] = ()
    epoch: Mapping[str, Any] | None = None
    operation: Mapping[str, Any] | None = None
    fired: Mapping[str, Any] | None = None
    halted: Mapping[str, Any] | None = None
    unread: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the site as the JSON envelope carries it."""
        keys = ("running", "writable", "in_recovery", "timeline", "lag_bytes", "lag_seconds", "version_num", "error")
        return {
            "site": self.name,
            "role": self.role,
            "database": {key: self.database.get(key) for key in keys} if self.database is not None else None,
            "application": [item.get("health") for item in self.applications],
            "files": [item.get("last_sync") for item in self.files],
            "traffic": [{key: item.get(key) for key in ("state", "target", "epoch")} for item in self.traffic],
            "epoch": self.epoch,
            "operation": self.operation,
            "halted": self.halted,
            "unread_hosts": list(self.unread),
        }


@dataclass(frozen=True)
class Overview:
    """All sites together."""

    sites: tuple[Site, ...]
    readings: Mapping[str, Reading] = field(default_factory=dict)

    @property
    def active(self) -> tuple[str, ...]:
        """Sites whose database accepts writes; exactly one is right."""
        return tuple(site.name for site in self.sites if site.role == "active")

    @property
    def unread(self) -> tuple[str, ...]:
        """Sites of which nobody knows whether they accept writes."""
        return tuple(site.name for site in self.sites if site.role == "unread")

    @property
    def operation(self) -> Mapping[str, Any] | None:
        """The newest operation that hosts hold and that has not ended."""
        held = [site.operation for site in self.sites if site.operation and site.operation.get("open")]
        return max(held, key=lambda item: item.get("number") or 0) if held else None

    def others(self, site: str) -> tuple[str, ...]:
        """The sites apart from this one."""
        return tuple(item.name for item in self.sites if item.name != site)


def merge(readings: Iterable[Reading]) -> dict[str, dict[str, Any]]:
    """Return the readings by host; a later one replaces an earlier one noun by noun."""
    found: dict[str, dict[str, Any]] = {}
    for reading in readings:
        host = reading.get("host")
        if isinstance(host, str):
            found.setdefault(host, {}).update(reading)
    return found


def _role(database: Mapping[str, Any] | None) -> str:
    if database is None:
        return "unread"
    if not database.get("running"):
        return "down"
    if database.get("writable") is True:
        return "active"
    return "standby" if database.get("in_recovery") is True else "unread"


def _newest(states: Sequence[Mapping[str, Any]], key: str) -> Mapping[str, Any] | None:
    found = [state[key] for state in states if isinstance(state.get(key), dict)]
    return max(found, key=lambda item: item.get("number") or 0) if found else None


def _halted(states: Sequence[Mapping[str, Any]], site: str) -> Mapping[str, Any] | None:
    """Return the halt of replication to this site; the host that knows its point says most of it."""
    found = [state["halted"] for state in states if isinstance(state.get("halted"), dict)]
    own = [item for item in found if item.get("site") == site]
    return max(own, key=lambda item: "point" in item, default=None)


def overview(hosts_by_site: Mapping[str, Sequence[str]], readings: Mapping[str, Reading]) -> Overview:
    """Put the readings together by site. `hosts_by_site` lists the hosts that should have been read."""
    sites = []
    for name, hosts in hosts_by_site.items():
        present = [readings[host] for host in hosts if host in readings]
        parts: dict[str, list[Mapping[str, Any]]] = {noun: [] for noun in _NOUNS}
        for reading in present:
            for noun in _NOUNS:
                if isinstance(reading.get(noun), dict):
                    parts[noun].append({"host": reading.get("host"), **reading[noun]})
        states = [state for reading in present if isinstance(state := reading.get("state"), dict)]
        database = parts["database"][0] if parts["database"] else None
        sites.append(
            Site(
                name=name,
                role=_role(database),
                database=database,
                applications=tuple(parts["application"]),
                files=tuple(parts["files"]),
                traffic=tuple(parts["traffic"]),
                dns=tuple(parts["dns"]),
                epoch=_newest(states, "epoch"),
                operation=_newest(states, "operation"),
                fired=next((s["fired"] for s in states if isinstance(s.get("fired"), dict)), None),
                halted=_halted(states, name),
                unread=tuple(host for host in hosts if host not in readings),
            )
        )
    return Overview(tuple(sites), dict(readings))

"""Guards about what clients see: application, documents, gateways, name."""

from __future__ import annotations

import datetime
from typing import Any

from .base import guard, names, passes
from .model import NoReading, Outcome, View, as_number


@guard("application.source", "R", "source_applications")
def application_source(view: View, host: str) -> Outcome:
    """It serves; or it was stopped by this program, which an interrupted switch-over leaves so, and this one goes on."""
    health = view.text(host, "application.health")
    stopped = health != "serving" and view.flag(host, "application.sticky_stopped")
    return passes(health == "serving" or stopped, health=health)


@guard("application.target", "RC", "target_applications")
def application_target(view: View, host: str) -> Outcome:
    """Warm and healthy against the read-only database; where the office keeps it cold, the hold includes its start."""
    if view.known(host, "config.application_warm") is False:
        return passes(True, health=view.text(host, "application.health"))
    health, running = view.text(host, "application.health"), view.flag(host, "application.unit_active")
    return passes(health == "standby" and running, health=health)


@guard("files.root", "RC", "applications")
def files_root(view: View, host: str) -> Outcome:
    """A folder that is not mounted looks like one without documents."""
    there = view.flag(host, "files.exists")
    return passes(there, root=view.known(host, "files.root"), exists="yes" if there else "missing")


@guard("files.peer", "RC", "target_applications")
def files_peer(view: View, host: str) -> Outcome:
    """The last documents are fetched while clients wait; that is no time to find the key refused."""
    reached = view.flag(host, "files.peer_ok")
    return passes(reached, reached="yes" if reached else str(view.known(host, "files.peer_error") or "no"))


@guard("files.conflicts", "R", "target_applications")
def files_conflicts(view: View, host: str) -> Outcome:
    """A document that differs between the sites is a case for a person."""
    found = [str(item.get("path")) for item in view.items(host, "files.conflicts")]
    return passes(not found, count=len(found), paths=names(found[:3]))


def _age(view: View, host: str) -> float:
    """Seconds since the last copy began to count, by the host's own clock. ISO 8601 or unix time."""
    at: Any = view.get(host, "files.last_sync.at")
    if isinstance(at, str):
        try:
            moment = datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
        except ValueError:
            raise NoReading(host, "files.last_sync.at") from None
        if moment.tzinfo is None:
            raise NoReading(host, "files.last_sync.at")
        at = moment.timestamp()
    age = view.number(host, "clock") - as_number(at, host, "files.last_sync.at")
    # A copy from the future says that one of the two clocks is wrong; rounding may make it a moment.
    if age < -1:
        raise NoReading(host, "files.last_sync.at")
    return max(0.0, round(age, 1))


@guard("files.last_sync", "R", "target_applications")
def files_last_sync(view: View, host: str) -> Outcome:
    """The last copy ended well and is not old: the first pass of the switch-over will be short."""
    limit = view.limit("files_sync_age_seconds")
    good, age = view.flag(host, "files.last_sync.ok"), _age(view, host)
    return passes(
        good and age <= limit,
        limit_seconds=limit,
        result="ok" if good else str(view.known(host, "files.last_sync.error") or "failed"),
        age_seconds=age,
    )


@guard("files.timer", "R", "applications")
def files_timer(view: View, host: str) -> Outcome:
    """Copying was halted by a person, perhaps because the source is infected: that must be lifted first, and by a person."""
    found, pulls = view.text(host, "files.timer"), host in view.hosts("application", view.to_site)
    return passes(
        found == "active" or (found == "inactive" and not pulls),
        wanted="active" if pulls else "not masked",
        timer=found,
    )


@guard("files.disk", "RC", "target_applications")
def files_disk(view: View, host: str) -> Outcome:
    """Bids arrive here from now on."""
    limit, free = view.limit("disk_free_bytes"), view.number(host, "files.disk.free_bytes")
    return passes(free >= limit, limit_bytes=limit, free_bytes=free)


@guard("gateway.running", "RCF", "gateways")
def gateway_running(view: View, host: str) -> Outcome:
    """The front door is up."""
    running = view.flag(host, "traffic.running")
    return passes(running, running="yes" if running else "no")


@guard("gateway.consistent", "RCF", "gateways")
def gateway_consistent(view: View, host: str) -> Outcome:
    """An open gateway leads to the active site. One that holds clients back is explained by an interrupted operation."""
    state = view.text(host, "traffic.state")
    if state in ("hold", "maintenance"):
        fine, target = view.stage != "ready" or view.interrupted(host), view.known(host, "traffic.target") or "none"
    else:
        target = view.text(host, "traffic.target")
        allowed = [view.from_site, view.to_site] if view.stage == "finish" else [view.from_site]
        fine = state == "open" and target in allowed
    return passes(
        fine,
        wanted="open to %s" % view.from_site if view.stage != "finish" else "open or hold",
        state=state,
        target=target,
    )


def _named(view: View) -> bool:
    """Only an office that says so has no name to move."""
    return view.facts.get("nameserver") is not False


@guard("dns.answers", "RCF", "gateways")
def dns_answers(view: View, host: str) -> Outcome:
    """The name server answers, and with the site that is active."""
    if not _named(view):
        return passes(True, site="none", found_site="none")
    found = view.text(host, "dns.site")
    allowed = [view.from_site, view.to_site] if view.stage == "finish" else [view.from_site]
    return passes(
        found in allowed, site=view.from_site if view.stage != "finish" else "one of both", found_site=found
    )


@guard("dns.update", "RCF", "target_gateways")
def dns_update(view: View, host: str) -> Outcome:
    """The name server takes an update from where it will be sent."""
    if not _named(view):
        return passes(True, accepted="none", error="none")
    accepted = view.flag(host, "dns.update_ok")
    return passes(accepted, accepted="yes" if accepted else "no", error=str(view.known(host, "dns.error") or "none"))

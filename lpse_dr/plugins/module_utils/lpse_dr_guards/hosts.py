"""Guards about the hosts themselves: do they answer, who holds them, which epoch do they know."""

from __future__ import annotations

import datetime
import re
from typing import Any, Dict, Optional, Tuple

from .base import guard, names, passes
from .model import STATE_KEYS, NoReading, Outcome, View, as_number
from .stage import mode

ALL = "RCFDB"


def trouble(view: View, host: str) -> Tuple[Optional[str], str]:
    """Return (which guard it concerns, what was said) for a host without a reading; (None, "") for one that was read."""
    words = (view.facts.get("unreachable") or {}).get(host)
    failed = (view.facts.get("failed") or {}).get(host)
    reason = str(words or failed or "")
    low = reason.lower()
    if words is None and failed is None:
        read = isinstance((view.facts.get("readings") or {}).get(host), dict)
        return (None, "") if read else ("host.read", "no reading")
    if "host key verification failed" in low or "identification has changed" in low or "host key" in low:
        return "host.key", _key_trouble(reason)
    reason = one_line(reason)
    if "sudo" in low or "password is required" in low or "become" in low:
        return "host.sudo", reason
    return ("host.reachable" if words is not None else "host.read"), reason or "no reading"


def one_line(reason: str) -> str:
    """Return what Ansible said, without what it says of everything."""
    words = " ".join(reason.split())
    return re.sub(
        r"^(Task failed: |Failed to connect to the host via ssh: |Data could not be sent to remote host \S+ )+",
        "",
        words,
    )


def _key_trouble(reason: str) -> str:
    """The key that was shown, for a comparison; not OpenSSH's advice to forget the one that is known."""
    shown = re.search(r"SHA256:[A-Za-z0-9+/=]+", reason)
    last = ([line.strip() for line in reason.splitlines() if line.strip()] or [reason])[-1]
    return "another key was shown: %s" % shown.group() if shown else one_line(last)


def _answered(guard_id: str, view: View, host: str) -> Outcome:
    concerned, reason = trouble(view, host)
    return passes(concerned != guard_id, answer=reason if concerned == guard_id else "answered")


for _guard_id in ("host.reachable", "host.key", "host.sudo", "host.read"):
    guard(_guard_id, ALL, "all")(lambda view, host, guard_id=_guard_id: _answered(guard_id, view, host))  # type: ignore[misc]


@guard("host.site", ALL, "all")
def site(view: View, host: str) -> Outcome:
    """The machine that answered belongs to the site it was asked as."""
    found = view.text(host, "site")
    return passes(found == view.site_of(host), site=view.site_of(host), found_site=found)


@guard("host.clock", "RC", "all")
def clock(view: View, host: str) -> Outcome:
    """The clock can have been right at some moment of its reading, which lies between now - read_seconds and now."""
    limit = view.limit("clock_skew_seconds")
    spans = view.facts.get("read_seconds")
    span = as_number(spans.get(host) if isinstance(spans, dict) else spans, "jump", "read_seconds")
    ahead = view.number(host, "clock") - as_number(view.facts.get("now"), "jump", "now")
    # It was read at now - span .. now, so that its true skew lies between ahead and ahead + span.
    skew = ahead if ahead > 0 else min(0.0, ahead + span)
    return passes(abs(skew) <= limit, limit_seconds=limit, skew_seconds=round(skew, 1), read_seconds=round(span, 1))


@guard("host.state", ALL, "all")
def state(view: View, host: str) -> Outcome:
    """The state file was read and has its parts."""
    found = view.get(host, "state")
    if not isinstance(found, dict):
        raise NoReading(host, "state")
    for key in STATE_KEYS:
        view.state(host, key)
    return passes(True, keys=names(sorted(found)))


@guard("operation.free", "RCFB", "all")
def operation(view: View, host: str) -> Outcome:
    """No living run holds this host. Its lease is judged by the host's own clock."""
    held = view.state(host, "operation")
    if held is None:
        return passes(True, number=0, run="none", holder="none", condition="none")
    still_open = held.get("open")
    if not isinstance(still_open, bool):
        raise NoReading(host, "state.operation.open")
    if not still_open:
        condition = "closed"
    elif view.facts.get("holder_alive") is False:
        condition = "holder gone"
    elif as_number(held.get("expires"), host, "state.operation.expires") <= view.number(host, "clock"):
        condition = "expired"
    else:
        condition = "open"
    # Without its number nobody could say which one comes next.
    number = as_number(held.get("number"), host, "state.operation.number")
    values: Dict[str, Any] = {
        "number": number,
        "run": held.get("run"),
        "holder": held.get("holder"),
        "condition": condition,
    }
    if condition == "open":
        values["until"] = datetime.datetime.fromtimestamp(float(held["expires"]), datetime.timezone.utc).strftime(
            "%H:%M:%SZ"
        )
    return passes(condition != "open", **values)


@guard("replication.halted", ALL, "all")
def halted(view: View, host: str) -> Outcome:
    """A person keeps everything new from this side, perhaps a virus: nothing that would bring it there, or use it."""
    found = view.state(host, "halted")
    values = {key: (found or {}).get(key) or "none" for key in ("at", "by", "reason")}
    return passes(found is None, site=view.site_of(host), **values)


def _modes(view: View) -> Dict[str, str]:
    return {"from_mode": mode(view, view.source), "to_mode": mode(view, view.target)}


@guard("site.not_split", ALL, "pair")
def not_split(view: View, host: str) -> Outcome:
    """Never two writable sites. One that was not read may be writable, and is refused by site.clear."""
    modes = _modes(view)
    return passes(list(modes.values()).count("writable") < 2, **modes)


@guard("site.not_both_read_only", "B", "pair")
def not_both_read_only(view: View, host: str) -> Outcome:
    """In stage blocked nothing explains two sites that only read."""
    modes = _modes(view)
    return passes(not set(modes.values()) <= {"standby", "stopped_standby", "read_only"}, **modes)


@guard("epoch.agree", ALL, "pair")
def agree(view: View, host: str) -> Outcome:
    """One number never belongs to two sites."""
    known = [view.epoch(name) for name in view.all_hosts]
    newest = max(number for number, _ in known)
    sites = sorted({str(owner) for number, owner in known if number == newest and owner})
    return passes(len(sites) < 2, number=newest, sites=names(sites))


@guard("epoch.newest", "RCF", "all")
def newest_epoch(view: View, host: str) -> Outcome:
    """No host knows a newer epoch than the database that is, or was, active."""
    if view.stage == "finish":
        number = max(view.epoch(view.target)[0], view.epoch_target if explained_by_target(view) else 0)
    else:
        number = view.epoch(view.source)[0]
    found, owner = view.epoch(host)
    return passes(found <= number, number=number, found_number=found, found_site=owner or "none")


def explained_by_target(view: View) -> bool:
    """Tell whether the target itself recorded the epoch that is being finished."""
    return view.epoch_target in (view.epoch(view.target, "prepared")[0], view.epoch(view.target, "fired")[0])


@guard("epoch.active", "RCFD", "pair")
def active_epoch(view: View, host: str) -> Outcome:
    """The newest epoch belongs to the site that is active, or to the one that has just been promoted."""
    late = view.stage in ("finish", "done")
    wanted = view.to_site if late else view.from_site
    number, owner = max((view.epoch(name) for name in view.all_hosts), key=lambda known: known[0])
    allowed = {wanted, None} | ({view.from_site} if late and explained_by_target(view) else set())
    return passes(owner in allowed, site=wanted, number=number, found_site=owner or "none")


@guard("site.clear", "B", "pair")
def clear(view: View, host: str) -> Outcome:
    """Always the last word in stage blocked: nobody can say what would happen."""
    return passes(False, **_modes(view))

"""Where a switch-over stands, read from the hosts. No file on the jump host takes part in this."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .model import NoReading, Open, View

READY, CONTINUE, FINISH, DONE, BLOCKED = "ready", "continue", "finish", "done", "blocked"


def mode(view: View, host: str) -> str:
    """Return what a database host is, judged by its own reading.

    ``writable`` | ``standby`` | ``stopped`` (cleanly, as a primary) | ``stopped_standby`` | ``crashed`` (down, and not by
    a clean stop) | ``read_only`` (up, neither writable nor in recovery) | ``unknown``.
    """
    try:
        if view.flag(host, "database.running"):
            pair = (view.flag(host, "database.in_recovery"), view.flag(host, "database.writable"))
            return {(False, True): "writable", (True, False): "standby", (False, False): "read_only"}.get(
                pair, "unknown"
            )
        # A server that does not answer may still be writing; only one that has no process surely is not.
        if view.flag(host, "database.writable"):
            return "unknown"
        control = view.text(host, "database.control.state")
    except NoReading:
        return "unknown"
    return {"shut down": "stopped", "shut down in recovery": "stopped_standby"}.get(control, "crashed")


def planned(view: View) -> int:
    """Return the epoch that the target was promised by a switch-over that has begun, 0 where there is none.

    What was prepared or fired for an epoch that is not above the newest committed one is a leftover, no promise.
    """
    for key in ("fired", "prepared"):
        try:
            number, site = view.epoch(view.target, key)
        except NoReading:
            continue
        if site == view.to_site and number > view.newest_epoch()[0]:
            return number
    return 0


def source_end(view: View) -> int:
    """Return the last position that the source ever wrote. NoReading where that is not certain."""
    if mode(view, view.source) == "standby":
        return view.lsn(view.source, "database.lsn.replay")
    return view.lsn(view.source, "database.control.checkpoint_lsn")


def may_continue(view: View) -> bool:
    """Tell whether nobody is writable because a planned stop was cut short, with nothing missing at the target."""
    source = mode(view, view.source)
    try:
        if not view.flag(view.source, "database.standby_signal"):
            return False
        if source == "standby" and not planned(view):
            return False
        # What was received is replayed sooner or later; the guard below waits for that, the stage does not.
        had = max(
            view.lsn(view.target, "database.lsn." + key)
            for key in ("replay", "receive")
            if view.known(view.target, "database.lsn." + key)
        )
        return source_end(view) <= had
    except (NoReading, ValueError):
        return False


def explained(view: View) -> bool:
    """Tell whether an epoch says why the target is writable: one of its own, or one it was about to get."""
    number, owner = view.newest_epoch()
    return number == 0 or owner == view.to_site or planned(view) > 0


def decide(view: View) -> str:
    """Return the stage.

    | source                          | target   | further                                             | stage    |
    |---------------------------------|----------|-----------------------------------------------------|----------|
    | writable (fenced or not)        | standby  |                                                     | ready    |
    | stopped + standby.signal        | standby  | target has the final checkpoint                     | continue |
    | standby + standby.signal        | standby  | epoch prepared/fired for target, target has all     | continue |
    | standby, stopped, crashed, ...  | writable | epoch is the target's or prepared/fired for it;     | finish   |
    |                                 |          | something is open                                   |          |
    | standby                         | writable | the same, nothing is open                           | done     |
    | writable                        | writable | a split                                             | blocked  |
    | any                             | writable | newest epoch belongs to the source, nothing planned | blocked  |
    | writable                        | other    | the standby is broken                               | blocked  |
    | stopped, no standby.signal      | standby  | stopped by somebody else: it may start writable     | blocked  |
    | stopped + standby.signal        | standby  | the target lacks its end                            | blocked  |
    | standby                         | standby  | nothing planned                                     | blocked  |
    | crashed                         | standby  | nobody knows what the source still had              | blocked  |
    | unknown                         | any      | it may be writable                                  | blocked  |
    | any                             | unknown  |                                                     | blocked  |

    A kill after lock, arm, hold, application stop or fence leaves *ready* (a running primary ignores standby.signal);
    after the source's stop or "fired": *continue*; after promote, release, name, restart or slot drop: *finish*;
    after unlock: *done*. With the sites exchanged, *finish* is also how a run that has not fired is called off.
    """
    source, target = mode(view, view.source), mode(view, view.target)
    if "unknown" in (source, target):
        return BLOCKED
    if target == "writable":
        if source in ("writable", "read_only") or not explained(view):
            return BLOCKED
        return FINISH if left_open(view) else DONE
    if target != "standby":
        return BLOCKED
    if source == "writable":
        return READY
    if source in ("stopped", "standby") and may_continue(view):
        return CONTINUE
    return BLOCKED


def left_open(view: View) -> List[Open]:
    """Return what is not yet as it must be once ``to_site`` is the active site. What was not read counts as open."""
    found: List[Open] = []

    def need(open_id: str, host: str, path: str, wanted: object) -> None:
        value = view.known(host, path)
        if type(value) is not type(wanted) or value != wanted:
            found.append(Open(open_id, host, "no reading" if value is None else str(value)))

    need("database.standby", view.source, "database.in_recovery", True)
    need("database.standby_signal", view.source, "database.standby_signal", True)
    need("database.streaming", view.source, "database.receiver.status", "streaming")
    need("database.streaming", view.source, "database.timeline", view.known(view.target, "database.timeline") or 0)
    new, old = view.slot_of(view.from_site, view.target), view.slot_of(view.to_site, view.source)
    if (_slots(view, view.target) or {}).get(new) is not True:
        found.append(Open("database.slot", view.target, new))
    there = _slots(view, view.source)
    if there is None or old in there:
        found.append(Open("database.old_slot", view.source, old))
    for host in (view.target, view.source):
        saved = view.known(host, "state.saved")
        if not isinstance(saved, dict) or "database_arm" in saved:
            found.append(Open("database.disarm", host, "armed"))
    for host in view.hosts("gateway"):
        need("gateway.release", host, "traffic.state", "open")
        need("gateway.release", host, "traffic.target", view.to_site)
        if view.facts.get("nameserver") is not False:
            need("dns.point", host, "dns.site", view.to_site)
    for host in view.hosts("application", view.to_site):
        need("application.serving", host, "application.health", "serving")
    for host in view.hosts("application", view.from_site):
        if view.known(host, "config.application_warm") is not False:
            need("application.standby", host, "application.health", "standby")
        need("files.timer", host, "files.timer", "active")
    return found + _open_states(view)


def _slots(view: View, host: str) -> Optional[Dict[str, Any]]:
    """Return {name: active}, None where the slots were not read."""
    try:
        return {str(slot.get("slot_name")): slot.get("active") for slot in view.items(host, "database.slots")}
    except NoReading:
        return None


def _open_states(view: View) -> List[Open]:
    """Return the hosts whose state file still speaks of something unfinished."""
    found: List[Open] = []
    for host in view.all_hosts:
        try:
            if view.epoch(host) != (view.epoch_target, view.to_site):
                found.append(Open("epoch.commit", host, "%s of %s" % view.epoch(host)))
            for key in ("prepared", "fired"):
                if view.state(host, key) is not None:
                    found.append(Open("epoch." + key, host, "%s of %s" % view.epoch(host, key)))
            operation = view.state(host, "operation")
            if operation is not None and operation.get("open") is not False:
                found.append(Open("operation.close", host, str(operation.get("run"))))
        except NoReading as missing:
            found.append(Open("epoch.commit", host, "no reading: %s" % missing.path))
    return found

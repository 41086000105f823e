"""Guards: what must be true before a switch-over changes anything. Pure functions over readings, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from . import databases, failover, hosts, services, standby  # noqa: F401 - they register their guards
from .base import REGISTRY, SCOPES, ask, names, result
from .model import Evaluation, GuardResult, Open, Outcome, View
from .stage import BLOCKED, DONE, FINISH, decide, left_open, mode, planned
from .texts import GUARDS, sentences

__all__ = ["GUARDS", "Evaluation", "GuardResult", "Open", "evaluate", "sentences"]


def evaluate(facts: Dict[str, Any]) -> Evaluation:
    """Say where a switch-over stands and which guards speak against going on. Never raises for bad readings.

    ``facts``: from, to (site names, or None with purpose ``status``), purpose, now (unix time of this machine),
    read_seconds (how long ago the readings may have been taken; a number, or one by host), sites, readings,
    unreachable and failed ({host: reason}), limits, nameserver, holder_alive (see ``model`` and ``stage``).

    With purpose ``status`` and no sites named, the direction is read from the hosts: ``stage`` then tells whether the
    active site is all in place (*done*), what is open (*finish*) or who is next (*continue*).
    """
    first, second = facts.get("from"), facts.get("to")
    if facts.get("purpose") == "status" and not (first and second):
        first, second = _direction(facts)
    wrong = _order(facts, first, second)
    if any(not guard.ok for guard in wrong):
        return Evaluation(BLOCKED, wrong, [], first, second, 0, None, 0, 0)
    assert first is not None and second is not None
    view = View(_single(facts), first, second)
    number, owner = view.newest_epoch()
    view.epoch_target = _finishing_epoch(view, number, owner)
    if facts.get("purpose") == "failover":
        return _failover(view, wrong)
    if facts.get("purpose") in ("failback", "seed"):
        return _standby(view, wrong)
    view.stage = decide(view)
    if view.stage not in (FINISH, DONE):
        view.epoch_target = number + 1
    guards = list(wrong)
    for guard_id in GUARDS:  # in the order of the table: root causes before what follows from them
        entry = REGISTRY.get(guard_id)
        if entry is not None and view.stage in entry.stages:
            guards += [ask(entry, view, host) for host in SCOPES[entry.scope](view)]
    guards = _without_echoes(guards)
    left = left_open(view) if view.stage == FINISH else []
    return Evaluation(
        view.stage, guards, left, first, second, number, owner, view.epoch_target, _next_operation(view)
    )


def _failover(view: View, wrong: List[GuardResult]) -> Evaluation:
    """Judge a move away from a site that need not answer; see ``failover``."""
    number, owner = view.newest_epoch()
    view.stage = failover.decide(view)
    if view.stage not in (FINISH, DONE):
        view.epoch_target = number + 1
    guards = _without_echoes(wrong + failover.guards_of(view))
    left = failover.left_open(view) if view.stage == FINISH else []
    return Evaluation(
        view.stage, guards, left, view.from_site, view.to_site, number, owner, view.epoch_target,
        _next_operation(view), failover.loss_of(view),
    )  # fmt: skip


def _standby(view: View, wrong: List[GuardResult]) -> Evaluation:
    """Judge the making of a standby: ``from`` is the active site, ``to`` the one that is to follow it; see ``standby``."""
    number, owner = view.newest_epoch()
    view.stage = standby.decide(view)
    guards = _without_echoes(wrong + standby.guards_of(view))
    return Evaluation(
        view.stage, guards, [], view.from_site, view.to_site, number, owner, number, _next_operation(view),
        standby.plan_of(view),
    )  # fmt: skip


FIRST = ("host.reachable", "host.key", "host.sudo", "host.read")


def _without_echoes(guards: List[GuardResult]) -> List[GuardResult]:
    """Leave out what only repeats that a host gave no reading: it is refused once, with its cause."""
    silent = {guard.host for guard in guards if guard.guard_id in FIRST and not guard.ok}
    return [
        guard
        for guard in guards
        if guard.guard_id in FIRST
        or not (guard.host in silent or (not guard.ok and guard.data.get("missing_host") in silent))
    ]


def _order(facts: Dict[str, Any], first: Optional[str], second: Optional[str]) -> List[GuardResult]:
    """Judge the order and the inventory; readings of unclear sites are not worth judging."""
    sites: Dict[str, Any] = facts.get("sites") or {}
    known = sorted(sites)
    common = {"from_site": first or "none", "to_site": second or "none"}
    both = first in sites and second in sites
    example = {"sites": names(known), "first": names(known[:1]), "second": names(known[1:2])}
    found = [
        result("site.known", "", Outcome(both, example), common),
        result("site.differ", "", Outcome(first != second, {}), common),
    ]
    if not both or first == second:
        return found
    members: List[List[str]] = []
    for site in (str(first), str(second)):
        groups = {group: _members(sites[site], group) for group in ("database", "application", "gateway")}
        members.append([host for listed in groups.values() for host in listed])
        for group, listed in groups.items():
            fits = len(listed) == 1 if group == "database" else bool(listed)
            found.append(
                result("inventory." + group, "", Outcome(fits, {"site": site, "hosts": names(listed)}), common)
            )
    twice = sorted(set(members[0]) & set(members[1]))
    found.append(result("inventory.one_site", "", Outcome(not twice, {"hosts": names(twice)}), common))
    return found


def _members(site: Any, group: str) -> List[str]:
    listed = site.get(group) if isinstance(site, dict) else None
    return [listed] if isinstance(listed, str) and listed else list(listed or [])


def _direction(facts: Dict[str, Any]) -> Tuple[Optional[str], Optional[str]]:
    """Return (other, active) as far as the hosts tell: who is writable, else who is about to be, else who was."""
    sites = sorted(facts.get("sites") or {})
    if len(sites) != 2 or any(len(_members(facts["sites"][site], "database")) != 1 for site in sites):
        return None, None
    pairs = [(sites[1], sites[0]), (sites[0], sites[1])]
    views = [View(_single(facts), *pair) for pair in pairs]
    for view in views:
        if mode(view, view.target) == "writable":
            return view.from_site, view.to_site
    for view in views:
        if planned(view):
            return view.from_site, view.to_site
    owner = views[0].newest_epoch()[1]
    return pairs[0] if owner == pairs[0][1] else pairs[1]


def _single(facts: Dict[str, Any]) -> Dict[str, Any]:
    """The facts with each site's database as one name, whichever way it was given."""
    sites = {
        name: {**site, "database": (_members(site, "database") or [""])[0]} for name, site in facts["sites"].items()
    }
    return {**facts, "sites": sites}


def _finishing_epoch(view: View, number: int, owner: Optional[str]) -> int:
    """The epoch that a promoted target has, or was promised; it is not raised twice."""
    if owner == view.to_site:
        return number
    return planned(view) or number + 1


def _next_operation(view: View) -> int:
    """One above the highest number that any host has accepted."""
    numbers = [0]
    for host in view.all_hosts:
        found = view.known(host, "state.operation.number")
        if isinstance(found, int) and not isinstance(found, bool):
            numbers.append(found)
    return max(numbers) + 1

"""Guards of a failover: the site that is given up need not answer, so everything is asked of the one that takes over."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from . import databases, hosts, services  # noqa: F401 - their checks are used again here
from .base import REGISTRY, SCOPES, Guard, ask, names, passes
from .model import GuardResult, NoReading, Open, Outcome, View, as_number
from .stage import explained, mode, planned

LIVING, SHIELDED, GONE, FINISH, DONE, BLOCKED = "living", "shielded", "gone", "finish", "done", "blocked"
ASKING = (LIVING, SHIELDED, GONE)
EVERY = (*ASKING, FINISH, DONE, BLOCKED)
# In this order one outranks the next: whoever sees the old site write is believed against all who see nothing.
RANK = ("writable", "alive", "standby", "open", "closed", "down", "silent")
STANDING = {
    "stopped": "down",
    "stopped_standby": "down",
    "crashed": "down",
    "standby": "standby",
    "writable": "writable",
}


class Sight(NamedTuple):
    """What one vantage point saw of one door of the old site."""

    vantage: str
    what: str
    answer: str
    detail: str


def given(view: View) -> Dict[str, Any]:
    """Return what the command added: statement, accept_age_seconds, power, powered, searches."""
    found = view.facts.get("failover")
    return found if isinstance(found, dict) else {}


def part(view: View, key: str) -> Dict[str, Any]:
    """Return one part of it by host; what is no table is none."""
    found = given(view).get(key)
    return found if isinstance(found, dict) else {}


def searched(view: View, host: str) -> List[Dict[str, Any]]:
    """Return what a host of the target saw; NoReading where it did not look."""
    found = part(view, "searches").get(host)
    if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
        raise NoReading(host, "search")
    for item in found:
        if item.get("answer") not in RANK:
            raise NoReading(host, "search.answer")
    return found


def sights(view: View) -> List[Sight]:
    """Return what every vantage point saw, the jump host first."""
    if isinstance((view.facts.get("readings") or {}).get(view.source), dict):
        state = mode(view, view.source)
        found = [Sight("jump", "database", STANDING.get(state, "alive"), state)]
    else:
        reason = {**_table(view.facts.get("unreachable")), **_table(view.facts.get("failed"))}.get(view.source)
        found = [Sight("jump", "ssh", "silent", hosts.one_line(str(reason or "no reading"))[:120])]
    for host in view.hosts("database", view.to_site) + view.hosts("gateway", view.to_site):
        try:
            for item in searched(view, host):
                # Of an office with three sites only; what does not say whom it saw may have seen this one.
                if item.get("site") not in [name for name in view.sites if name != view.from_site]:
                    found.append(
                        Sight(host, str(item.get("what")), str(item["answer"]), str(item.get("detail") or ""))
                    )
        except NoReading:
            found.append(Sight(host, "", "silent", "it did not look"))
    return found


def strongest(view: View) -> Sight:
    """Return the sight that counts: the one that is nearest to a site that writes."""
    return min(sights(view), key=lambda sight: RANK.index(sight.answer))


def powered(view: View) -> bool:
    """Tell whether the power fence has said that the old database's host is off."""
    done = part(view, "powered").get(view.source)
    return isinstance(done, dict) and done.get("ok") is True


def decide(view: View) -> str:
    """Return the stage.

    | old site, seen from everywhere                  | target   | further                          | stage    |
    |-------------------------------------------------|----------|----------------------------------|----------|
    | it answers over SSH, and writes or may write    | standby  | a planned switch-over is possible| living   |
    | SSH is dead, another vantage point sees it      | standby  | no power fence is configured     | living   |
    | SSH is dead, another vantage point sees it      | standby  | a power fence is                 | shielded |
    | nobody sees it write                            | standby  |                                  | gone     |
    | not writable                                    | writable | by its epoch; something is open  | finish   |
    | not writable                                    | writable | by its epoch; nothing is open    | done     |
    | writable                                        | writable | a split                          | blocked  |
    | any                                             | writable | no epoch says why                | blocked  |
    | any                                             | other    |                                  | blocked  |
    """
    target = mode(view, view.target)
    answered = isinstance((view.facts.get("readings") or {}).get(view.source), dict)
    if target == "writable":
        if answered and mode(view, view.source) in ("writable", "read_only", "unknown"):
            return BLOCKED
        if not explained(view):
            return BLOCKED
        return FINISH if left_open(view) else DONE
    if target != "standby":
        return BLOCKED
    if strongest(view).answer not in ("writable", "alive"):
        return GONE
    if answered or view.source not in part(view, "power") or powered(view):
        return LIVING
    return SHIELDED


def record(view: View, host: str) -> Optional[Dict[str, Any]]:
    """Return the host's record of a failover to the epoch in question; None where that came about by plan."""
    found = _table(view.get(host, "state")).get("failover")
    return found if isinstance(found, dict) and found.get("epoch") == view.epoch_target else None


def left_open(view: View) -> List[Open]:
    """Return what is not yet as it must be, of the target and of whatever of the old site answers."""
    found: List[Open] = []

    def need(open_id: str, host: str, path: str, wanted: object) -> None:
        value = view.known(host, path)
        if type(value) is not type(wanted) or value != wanted:
            found.append(Open(open_id, host, "no reading" if value is None else str(value)))

    readings = view.facts.get("readings") or {}
    for host in view.hosts("gateway"):
        if host in readings or host in view.hosts("gateway", view.to_site):
            need("gateway.release", host, "traffic.state", "open")
            need("gateway.release", host, "traffic.target", view.to_site)
    if view.facts.get("nameserver") is not False:
        for host in view.hosts("gateway", view.to_site):
            need("dns.point", host, "dns.site", view.to_site)
    for host in view.hosts("application", view.to_site):
        need("application.serving", host, "application.health", "serving")
    # Only what a failover began is finished here: of a planned move the old site is a standby, and stays one.
    if view.source in readings:
        need("database.fence", view.source, "database.standby_signal", True)
    return found + _open_records(view, readings)


def _open_records(view: View, readings: Dict[str, Any]) -> List[Open]:
    """Return the hosts whose state file still speaks of something unfinished."""
    found: List[Open] = []
    for host in view.all_hosts:
        if host not in readings and view.site_of(host) == view.from_site:
            continue
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
    try:
        if record(view, view.target) is not None:
            found += _open_lists(view)
    except NoReading:
        found.append(Open("documents.list", view.target, "no reading"))
    return found


def _open_lists(view: View) -> List[Open]:
    """Return what a failover owes besides: the numbers moved on, the documents listed."""
    found: List[Open] = []
    known = record(view, view.target) or {}
    if view.known(view.target, "config.database_sequences") and not known.get("sequences"):
        found.append(Open("sequences.advance", view.target, "none"))
    if view.known(view.target, "config.database_documents_query"):
        for host in view.hosts("application", view.to_site):
            if not (record(view, host) or {}).get("documents"):
                found.append(Open("documents.list", host, "none"))
    return found


# --- guards -----------------------------------------------------------------------------------------------------------

TARGET_SCOPES: Dict[str, Callable[[View], List[str]]] = {
    "pair": SCOPES["pair"],
    "target": SCOPES["target"],
    "target_applications": SCOPES["target_applications"],
    "target_gateways": SCOPES["target_gateways"],
    "target_hosts": lambda view: [host for host in view.all_hosts if view.site_of(host) == view.to_site],
    "answered": lambda view: [
        host
        for host in view.all_hosts
        if view.site_of(host) == view.to_site or isinstance((view.facts.get("readings") or {}).get(host), dict)
    ],
}


def primary_gone(view: View, host: str) -> Outcome:
    """Whoever still accepts writes is moved by plan, and loses nothing."""
    sight = strongest(view)
    return passes(
        view.stage in (GONE, SHIELDED),
        vantage=sight.vantage,
        what=sight.what,
        answer=sight.answer,
        detail=sight.detail,
    )


def looked(view: View, host: str) -> Outcome:
    """Each vantage point has looked; one that was not asked may be the only one that sees the old site."""
    return passes(True, count=len(searched(view, host)))


def target_standby(view: View, host: str) -> Outcome:
    """The one that takes over is a running standby."""
    found = mode(view, host)
    if found == "unknown":
        raise NoReading(host, "database.running")
    return passes(found == "standby" or (found == "writable" and explained(view)), mode=found)


def was_in_sync(view: View, host: str) -> Outcome:
    """It has received from the active site; a copy that never did may be from any day."""
    at = view.known(host, "database.received_at")
    replay = view.lsn(host, "database.lsn.replay")
    return passes(at is not None and replay > 0, received="yes" if at is not None else "never")


def age_of(view: View, host: str) -> float:
    """Return how long ago the target was last in contact with the old site: it received, or heard from it."""
    moments = [as_number(view.get(host, "database.received_at"), host, "database.received_at")]
    heard = view.known(host, "database.receiver.heard_at")
    if heard is not None:
        moments.append(as_number(heard, host, "database.receiver.heard_at"))
    return max(0.0, round(view.number(host, "clock") - max(moments), 1))


def age(view: View, host: str) -> Outcome:
    """What was written after the last contact is lost, and nobody can say how much that is."""
    accepted = given(view).get("accept_age_seconds")
    limit = (
        view.limit("failover_age_seconds")
        if accepted is None
        else as_number(accepted, "command", "accept_age_seconds")
    )
    found = age_of(view, host)
    return passes(found <= limit, limit_seconds=limit, age_seconds=found, age_minutes=int(found // 60) + 1)


def not_halted(view: View, host: str) -> Outcome:
    """A person has halted replication, perhaps because the source is infected: what he kept out must not be let in."""
    found = view.text(host, "files.timer")
    return passes(found != "masked", timer=found)


def epoch_known(view: View, host: str) -> Outcome:
    """The target knows who was active last, and it was the site that is given up."""
    number, owner = view.epoch(host)
    newest, newest_owner = view.newest_epoch()
    return passes(
        number > 0 and (number, owner) == (newest, newest_owner) and owner == view.from_site,
        number=number, found_site=owner or "none", newest=newest, newest_site=newest_owner or "none",
    )  # fmt: skip


def proof(view: View, host: str) -> Outcome:
    """Something proves that the old site is off, or a person has said why it is."""
    return passes(bool(proof_of(view)), proof=proof_of(view) or "none", power=_power_words(view))


def proof_of(view: View) -> str:
    """Return what the failover rests on: fence | power | statement; empty where on nothing.

    A power fence that is configured and not yet tried counts: it is tried before anything else, and asked about again.
    """
    # Its own host's word, when the stage has already said that nobody sees it write.
    if STANDING.get(mode(view, view.source)) in ("standby", "down"):
        return "fence"
    tried = view.source in part(view, "powered")
    if powered(view) or (view.source in part(view, "power") and not tried):
        return "power"
    return "statement" if str(given(view).get("statement") or "").strip() else ""


def _power_words(view: View) -> str:
    done = part(view, "powered").get(view.source)
    if isinstance(done, dict):
        return str(done.get("found"))
    return "configured" if view.source in part(view, "power") else "none"


def clear(view: View, host: str) -> Outcome:
    """The last word in stage blocked: nobody can say what would happen."""
    return passes(False, from_mode=mode(view, view.source), to_mode=mode(view, view.target))


def _again(guard_id: str) -> Callable[[View, str], Outcome]:
    return lambda view, host: REGISTRY[guard_id].check(view, host)


# In this order they are asked and shown: root causes first.
ORDER = [
    *(
        Guard(name, list(EVERY), "target_hosts", _again(name))
        for name in ("host.reachable", "host.key", "host.sudo", "host.read")
    ),
    Guard("host.site", list(EVERY), "answered", _again("host.site")),
    Guard("host.clock", list(ASKING), "target_hosts", _again("host.clock")),
    Guard("host.state", list(EVERY), "answered", _again("host.state")),
    Guard("operation.free", [*ASKING, FINISH, BLOCKED], "answered", _again("operation.free")),
    Guard("site.not_split", list(EVERY), "pair", _again("site.not_split")),
    Guard("failover.primary_gone", list(ASKING), "pair", primary_gone),
    Guard("failover.looked", list(ASKING), "target", looked),
    Guard("failover.gateway_looked", list(ASKING), "target_gateways", looked),
    Guard("failover.target_standby", [*ASKING, BLOCKED], "target", target_standby),
    Guard("failover.epoch", list(ASKING), "target", epoch_known),
    Guard("failover.in_sync", list(ASKING), "target", was_in_sync),
    Guard("failover.age", list(ASKING), "target", age),
    Guard("database.replay_not_paused", list(ASKING), "target", _again("database.replay_not_paused")),
    Guard("failover.not_halted", list(ASKING), "target_applications", not_halted),
    Guard("database.disk", list(ASKING), "target", _again("database.disk")),
    Guard("application.target", list(ASKING), "target_applications", _again("application.target")),
    Guard("files.root", list(ASKING), "target_applications", _again("files.root")),
    Guard("files.disk", list(ASKING), "target_applications", _again("files.disk")),
    Guard("gateway.running", [*ASKING, FINISH], "target_gateways", _again("gateway.running")),
    Guard("failover.proof", [SHIELDED, GONE], "pair", proof),
    Guard("failover.clear", [BLOCKED], "pair", clear),
]


def guards_of(view: View) -> List[GuardResult]:
    """Ask every guard of the stage about each of its hosts."""
    return [
        ask(entry, view, host)
        for entry in ORDER
        if view.stage in entry.stages
        for host in TARGET_SCOPES[entry.scope](view)
    ]


def _table(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def loss_of(view: View) -> Dict[str, Any]:
    """Return what is known of the loss, for people: positions, moments (unix time), and who saw what. Never raises."""
    known = {
        "receive_lsn": view.known(view.target, "database.lsn.receive")
        or view.known(view.target, "database.lsn.replay"),
        "received_at": view.known(view.target, "database.received_at"),
        "last_commit_at": view.known(view.target, "database.last_commit_at"),
        "read_at": view.known(view.target, "clock") or time.time(),
        "files": [
            {"host": host, **_table(view.known(host, "files.last_sync"))}
            for host in view.hosts("application", view.to_site)
        ],
    }
    return {
        **known,
        "stage": view.stage,
        "proof": proof_of(view),
        "sights": [dict(sight._asdict()) for sight in sights(view)],
    }


__all__ = ["decide", "guards_of", "left_open", "loss_of", "names", "planned"]

"""How a site is made the standby of the other one: which way, why, and what speaks against it. Pure functions over readings."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional

from . import databases, hosts, services  # noqa: F401 - their checks are used again here
from .base import REGISTRY, SCOPES, Guard, ask, passes
from .model import GuardResult, NoReading, Outcome, View, parse_lsn
from .stage import mode

FOLLOWS, PREPARE, BLOCKED = "follows", "prepare", "blocked"
EVERY = (FOLLOWS, PREPARE, BLOCKED)
NONE, REJOIN, REWIND, SEED = "none", "rejoin", "rewind", "seed"


class Way(NamedTuple):
    """How the standby is made, why so (an id and its values), whether there is something to salvage, and the bytes that travel."""

    way: str
    why: str
    salvage: bool
    data: Dict[str, Any]


def seeding(view: View) -> bool:
    """Tell whether a person has ordered a base backup, whatever would also do."""
    return view.facts.get("purpose") == "seed"


def figure(view: View, host: str, name: str) -> Any:
    """Return a figure of a side, None where it was not read."""
    return view.known(host, "database.standby." + name)


def decide(view: View) -> str:
    """Return the stage: ``follows`` (nothing to make), ``prepare``, ``blocked`` (not clear who is active, or the other may write)."""
    if mode(view, view.source) != "writable" or not silent(view):
        return BLOCKED
    return FOLLOWS if way_of(view).way == NONE else PREPARE


def silent(view: View) -> bool:
    """Tell whether the side that is to follow surely does not write: in recovery, or no server at all."""
    if mode(view, view.target) == "standby":
        return True
    return (
        view.known(view.target, "database.running") is False and view.known(view.target, "database.writable") is False
    )


def follows(view: View) -> bool:
    """Tell whether it is the standby already: it receives, on the active side's timeline."""
    same = view.known(view.target, "database.timeline") == view.known(view.source, "database.timeline")
    streams = view.known(view.target, "database.receiver.status") == "streaming"
    return mode(view, view.target) == "standby" and same and streams


def _lsn(text: Any) -> Optional[int]:
    try:
        return parse_lsn(text)
    except ValueError:
        return None


def timeline_of(view: View) -> Optional[int]:
    """Return the newest timeline that this side was on: its last checkpoint may be older than what it has followed since."""
    known = [view.known(view.target, "database.control." + name) for name in ("timeline", "min_recovery_timeline")]
    return max((number for number in known if isinstance(number, int)), default=None)


def fork_of(view: View) -> Optional[str]:
    """Return where the active side's history left the timeline that this side is on; its own position where it did not."""
    here = timeline_of(view)
    if here is not None and here == view.known(view.source, "database.timeline"):
        found = view.known(view.source, "database.lsn.current")
    else:
        history = view.known(view.source, "database.timeline_history") or []
        found = next((item.get("lsn") for item in history if item.get("timeline") == here), None)
    return found if _lsn(found) is not None else None


def way_of(view: View) -> Way:
    """Choose.

    | this side                                                         | way    |
    |-------------------------------------------------------------------|--------|
    | receives from the active side, on its timeline                    | none   |
    | a base backup is ordered                                          | seed   |
    | no data directory, or one that cannot be read                     | seed   |
    | the end of its log is known, and not past the fork                | rejoin |
    | its timeline is none of the active side's history                 | seed   |
    | a rewind was tried and failed, or cannot work                     | seed   |
    | a rewind moves fewer bytes than a base backup                     | rewind |
    | else                                                              | seed   |

    That it was shut down cleanly proves nothing: the last it wrote may be what never arrived.
    """
    exists = figure(view, view.target, "exists") is True
    if follows(view):
        return Way(NONE, "follows", False, {})
    moved: Dict[str, Any] = {"seed_bytes": figure(view, view.source, "data_bytes")}
    if seeding(view):
        return Way(SEED, "ordered", False, moved)
    if not exists or view.known(view.target, "database.control") is None:
        return Way(SEED, "no_data", False, moved)
    kept = figure(view, view.target, "record") or {}
    fork, end = fork_of(view), figure(view, view.target, "end_lsn")
    known = {
        **moved,
        "fork": fork or "unknown",
        "end": end or "unknown",
        "timeline": timeline_of(view),
    }
    if kept.get("phase") in ("ready", "swapped") and kept.get("way") in (REWIND, SEED):
        # What is already made is put into its place, whatever would be quicker now.
        return Way(kept["way"], "begun", bool(kept.get("salvaged")), known)
    if fork is None:
        return Way(SEED, "no_fork", True, known)
    fork_at, end_at = parse_lsn(fork), _lsn(end)
    if end_at is not None and end_at <= fork_at:
        return Way(REJOIN, "not_past", False, known)
    rewind = (figure(view, view.source, "wal_bytes") or 0) + max(0, (end_at or fork_at) - fork_at)
    known["rewind_bytes"] = rewind
    cannot = rewind_impossible(view, fork_at)
    if cannot:
        return Way(SEED, "no_rewind", True, {**known, "because": cannot})
    seed = known["seed_bytes"]
    if (isinstance(seed, (int, float)) and rewind < seed) or view.facts.get("way") == REWIND:
        return Way(REWIND, "fewer_bytes" if view.facts.get("way") != REWIND else "ordered", True, known)
    return Way(SEED, "fewer_bytes_seed", True, known)


def rewind_impossible(view: View, fork_at: int) -> str:
    """Return why pg_rewind cannot work, "" where nothing speaks against it."""
    if (figure(view, view.target, "record") or {}).get("rewind_failed"):
        return "it failed: %s" % figure(view, view.target, "record")["rewind_failed"]
    if figure(view, view.target, "hints") is not True:
        return "neither wal_log_hints nor checksums"
    if figure(view, view.target, "rewind_ok") is not True:
        return "no access: %s" % (figure(view, view.target, "rewind_error") or "not tried")
    # From the fork on it is the active side's log; what goes before, back to a common checkpoint, is this side's own.
    redo = _lsn(view.known(view.target, "database.control.redo_lsn"))
    own = min(fork_at, fork_at if redo is None else redo)
    for host, needed in ((view.source, fork_at), (view.target, own)):
        oldest = _lsn(figure(view, host, "oldest_wal_lsn"))
        if oldest is None or oldest > needed:
            return "%s no longer has the log since %X/%X" % (host, needed >> 32, needed & 0xFFFFFFFF)
    return ""


def active(view: View, host: str) -> Outcome:
    """The site that is to be followed accepts writes, and the newest epoch is its own."""
    number, owner = view.newest_epoch()
    found = mode(view, host)
    return passes(
        found == "writable" and owner in (None, view.from_site), mode=found, number=number, found_site=owner or "none"
    )


def not_writable(view: View, host: str) -> Outcome:
    """What is to become a standby does not write, surely."""
    return passes(silent(view), mode=mode(view, host))


def majors(view: View, host: str) -> Outcome:
    """Neither streaming nor a base backup crosses major versions."""
    here = int(view.number(host, "database.standby.major"))
    there = int(view.number(view.source, "database.version_num")) // 10000
    return passes(here == there, from_value=there, to_value=here)


def same_system(view: View, host: str) -> Outcome:
    """A data directory of another origin is somebody else's database. Where one is ordered, it is kept beside."""
    here = view.known(host, "database.control.system_identifier")
    there = view.text(view.source, "database.system_identifier")
    if seeding(view) or here is None:
        return passes(True, from_value=there, to_value=here or "none")
    return passes(str(here) == there, from_value=there, to_value=here)


def conninfo(view: View, host: str) -> Outcome:
    """It must know whom to follow, and by which slot, before anything is copied."""
    name = view.slot_of(view.to_site, host)
    to, slot = figure(view, host, "conninfo_host"), figure(view, host, "slot_name")
    return passes(bool(to) and slot == name, slot=name, conninfo_host=to or "none", found_slot=slot or "none")


def room(view: View, host: str) -> Outcome:
    """The old data directory stays, so the new one needs its own room; what an interrupted run left is thrown away."""
    way, limit = way_of(view), view.limit("disk_free_bytes")
    if way.way in (NONE, REJOIN):
        return passes(True, need_bytes=0, free_bytes=0)
    need = 0.0
    if way.way == SEED:
        need = view.number(view.source, "database.standby.data_bytes")
    if way.salvage:
        need = max(
            need, view.number(host, "database.standby.data_bytes") + view.number(host, "database.standby.wal_bytes")
        )
    free = view.number(host, "database.standby.free_bytes") + view.number(host, "database.standby.next_bytes")
    need = int(need * 1.05 + limit)
    return passes(free >= need, need_bytes=need, free_bytes=free)


def plain(view: View, host: str) -> Outcome:
    """A data directory that can change its name, and nothing of the database outside of it."""
    count = view.number(view.source, "database.standby.tablespaces")
    mounted = figure(view, host, "mount") is True
    return passes(count == 0 and not mounted, count=int(count), mount="yes" if mounted else "no")


def clean(view: View, host: str) -> Outcome:
    """Somebody keeps new data from a side, perhaps because the other one is infected: nothing of it is copied."""
    found = view.state(host, "halted")
    values = {key: (found or {}).get(key) or "none" for key in ("at", "by", "reason")}
    return passes(found is None, site=(found or {}).get("site") or view.site_of(host), **values)


def _again(guard_id: str) -> Callable[[View, str], Outcome]:
    return lambda view, host: REGISTRY[guard_id].check(view, host)


ORDER = [
    *(Guard(name, list(EVERY), "all", _again(name)) for name in ("host.reachable", "host.key", "host.sudo", "host.read")),
    *(Guard(name, list(EVERY), "all", _again(name)) for name in ("host.site", "host.state", "operation.free")),
    Guard("host.clock", [PREPARE], "all", _again("host.clock")),
    Guard("site.not_split", list(EVERY), "pair", _again("site.not_split")),
    Guard("epoch.agree", list(EVERY), "pair", _again("epoch.agree")),
    Guard("standby.clean", list(EVERY), "all", clean),
    Guard("standby.active", list(EVERY), "source", active),
    Guard("standby.not_writable", list(EVERY), "target", not_writable),
    Guard("standby.major", [PREPARE, BLOCKED], "target", majors),
    Guard("standby.same_system", list(EVERY), "target", same_system),
    Guard("standby.conninfo", [PREPARE], "target", conninfo),
    Guard("standby.plain", [PREPARE], "target", plain),
    Guard("standby.room", [PREPARE], "target", room),
    Guard("files.root", [PREPARE], "applications", _again("files.root")),
]  # fmt: skip


def guards_of(view: View) -> List[GuardResult]:
    """Ask every guard of the stage about each of its hosts."""
    return [
        ask(entry, view, host) for entry in ORDER if view.stage in entry.stages for host in SCOPES[entry.scope](view)
    ]


def plan_of(view: View) -> Dict[str, Any]:
    """Return the way and what it rests on, for people and for the playbook. Never raises."""
    try:
        way = way_of(view)
    except (NoReading, TypeError, ValueError, AttributeError) as error:
        return {"way": SEED, "why": "no_data", "salvage": False, "because": str(error), "stage": BLOCKED}
    failover = (view.known(view.source, "state") or {}).get("failover") or {}
    saved = (view.known(view.source, "state.saved") or {}).get("database_arm") or {}
    return {
        "way": way.way, "why": way.why, "salvage": way.salvage, **way.data, "stage": view.stage,
        "unknown_since": failover.get("received_at") or failover.get("at"),
        "armed": saved.get("settings"), "kept": figure(view, view.target, "kept") or [],
    }  # fmt: skip

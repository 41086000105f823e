"""Guards about the two databases: who is what, is the standby fit to take over, would anything be lost."""

from __future__ import annotations

from typing import Any, Dict, List

from .base import guard, names, passes
from .model import NoReading, Outcome, View, as_number, parse_lsn
from .stage import mode, source_end

SETTINGS = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)


@guard("database.source_writable", "R", "source")
def source_writable(view: View, host: str) -> Outcome:
    """The source is the one that accepts writes."""
    found = mode(view, host)
    if found == "unknown":
        raise NoReading(host, "database.writable")
    return passes(found == "writable", mode=found)


@guard("database.target_standby", "RCB", "target")
def target_standby(view: View, host: str) -> Outcome:
    """The target runs and is in recovery; in stage blocked this says that the standby of a living site is broken."""
    found = mode(view, host)
    if found == "unknown":
        raise NoReading(host, "database.running")
    # Where both accept writes, or nobody does, the guards about the sites say it better.
    elsewhere = view.stage == "blocked" and (found == "writable" or mode(view, view.source) != "writable")
    return passes(found == "standby" or elsewhere, mode=found)


@guard("database.source_stopped_clean", "C", "source")
def source_stopped_clean(view: View, host: str) -> Outcome:
    """The source has written its last record, or runs without being able to write one."""
    found = mode(view, host)
    control = view.text(host, "database.control.state")
    return passes(found in ("stopped", "standby"), mode=found, control=control)


@guard("database.source_fenced", "C", "source")
def source_fenced(view: View, host: str) -> Outcome:
    """Whatever starts the source, it comes up read-only."""
    fenced = view.flag(host, "database.standby_signal")
    return passes(fenced, signal="yes" if fenced else "missing")


@guard("database.target_has_all", "C", "target")
def target_has_all(view: View, host: str) -> Outcome:
    """The target has replayed the source's final checkpoint (a record at that place ends behind it), or all that it has."""
    end, replayed = source_end(view), view.lsn(host, "database.lsn.replay")
    path = "database.lsn.replay" if mode(view, view.source) == "standby" else "database.control.checkpoint_lsn"
    done = replayed >= end if path.endswith("replay") else replayed > end
    return passes(done, end=view.text(view.source, path), replay=view.text(host, "database.lsn.replay"))


def _is_standby(sender: Dict[str, Any], name: str) -> bool:
    return str(sender.get("application_name")) == name


@guard("database.streaming", "R", "target")
def streaming(view: View, host: str) -> Outcome:
    """Both ends say so: a receiver may still believe in a connection that its sender has given up."""
    receiver = view.text(host, "database.receiver.status")
    mine = [
        str(item.get("state"))
        for item in view.items(view.source, "database.senders")
        if _is_standby(item, view.to_site)
    ]
    return passes(receiver == "streaming" and mine == ["streaming"], receiver=receiver, sender=names(mine))


@guard("database.foreign_senders", "R", "source")
def foreign_senders(view: View, host: str) -> Outcome:
    """Whoever else reads the log would be left on the old site's timeline, and delays its stop."""
    others = [
        "%s (%s)" % (item.get("application_name"), item.get("client_addr"))
        for item in view.items(host, "database.senders")
        if not _is_standby(item, view.to_site)
    ]
    return passes(not others, senders=names(others))


def _behind(view: View) -> List[float]:
    """How many bytes the source itself says that its standby has yet to replay; one number for each sender of that name."""
    found = []
    for item in view.items(view.source, "database.senders"):
        if _is_standby(item, view.to_site):
            found.append(as_number(item.get("lag_bytes"), view.source, "database.senders.lag_bytes"))
    return found


@guard("database.replay_not_paused", "RC", "target")
def replay_not_paused(view: View, host: str) -> Outcome:
    """Somebody paused it for a reason, and a promotion would replay everything."""
    paused = view.flag(host, "database.replay_paused")
    return passes(not paused, paused="yes" if paused else "no")


@guard("database.lag_bytes", "R", "target")
def lag_bytes(view: View, host: str) -> Outcome:
    """Counted at both ends: what was received and not replayed, and what was written and not replayed."""
    limit, most = view.limit("lag_bytes"), max([view.number(host, "database.lag_bytes"), *_behind(view)])
    return passes(most <= limit, lag_bytes=most, limit_bytes=limit)


@guard("database.lag_seconds", "R", "target")
def lag_seconds(view: View, host: str) -> Outcome:
    """The age of what was replayed last, as the standby sees it.

    After a quiet hour a single record on its way makes that an hour; where the source says that its standby
    has replayed everything, there is no lag.
    """
    limit, found = view.limit("lag_seconds"), view.number(host, "database.lag_seconds")
    if found > limit and _behind(view) == [0]:
        found = 0
    return passes(found <= limit, lag_seconds=found, limit_seconds=limit)


@guard("database.slot", "R", "source")
def slot(view: View, host: str) -> Outcome:
    """The standby's own slot keeps the log for it, and it is the standby that uses it."""
    name = view.slot_of(view.to_site, host)
    mine = [item for item in view.items(host, "database.slots") if item.get("slot_name") == name]
    if not mine:
        return passes(False, slot=name, slot_state="missing")
    if not isinstance(mine[0].get("active"), bool) or not isinstance(mine[0].get("wal_status"), str):
        raise NoReading(host, "database.slots.active")
    lost = mine[0]["wal_status"] not in ("reserved", "extended")
    found = "lost" if lost else "active" if mine[0]["active"] else "inactive"
    return passes(found == "active", slot=name, slot_state=found)


@guard("database.archiver", "R", "source")
def archiver(view: View, host: str) -> Outcome:
    """A failing archiver makes a fast stop wait, and backups end before the last bids."""
    if view.text(host, "database.archiver.mode") == "off":
        return passes(True, archiver="off")
    failing = view.flag(host, "database.archiver.failing")
    return passes(not failing, archiver="failing" if failing else "working")


def _identifier(view: View, host: str) -> str:
    """The running server's word, else the control file's."""
    return view.text(
        host,
        "database.system_identifier"
        if view.known(host, "database.running") is True
        else "database.control.system_identifier",
    )


@guard("database.system_identifier", "RCF", "pair")
def system_identifier(view: View, host: str) -> Outcome:
    """Copies of one database carry one number."""
    pair = _identifier(view, view.source), _identifier(view, view.target)
    return passes(pair[0] == pair[1], from_value=pair[0], to_value=pair[1])


def _timeline(view: View, host: str) -> float:
    return view.number(
        host, "database.timeline" if view.known(host, "database.running") is True else "database.control.timeline"
    )


@guard("database.timeline", "RC", "pair")
def timeline(view: View, host: str) -> Outcome:
    """A standby that was left behind at an earlier promotion is no standby."""
    pair = _timeline(view, view.source), _timeline(view, view.target)
    return passes(pair[0] == pair[1], from_value=pair[0], to_value=pair[1])


@guard("database.no_divergence", "F", "source")
def no_divergence(view: View, host: str) -> Outcome:
    """After the promotion the old site holds nothing beyond the place where its timeline ended."""
    control = view.text(host, "database.control.state")
    if mode(view, host) == "crashed" and control != "in archive recovery":
        # It died while it could write; the control file does not say how far it had come.
        return passes(False, timeline="unknown", fork="unknown", position=control)
    here, there = _timeline(view, host), _timeline(view, view.target)
    running = view.known(host, "database.running") is True
    path = "database.lsn.replay" if running else "database.control.checkpoint_lsn"
    if here == there:
        return passes(True, timeline=here, fork="none", position=view.text(host, path))
    ends = [
        item.get("lsn")
        for item in view.items(view.target, "database.timeline_history")
        if item.get("timeline") == here
    ]
    if not ends:
        return passes(False, timeline=here, fork="missing", position=view.text(host, path))
    try:
        fork = parse_lsn(ends[0])
    except ValueError:
        raise NoReading(view.target, "database.timeline_history.lsn") from None
    return passes(view.lsn(host, path) <= fork, timeline=here, fork=ends[0], position=view.text(host, path))


def _major(view: View, host: str) -> int:
    return int(view.number(host, "database.version_num")) // 10000


@guard("database.major", "R", "pair")
def major(view: View, host: str) -> Outcome:
    """Streaming replication does not cross major versions."""
    pair = _major(view, view.source), _major(view, view.target)
    return passes(pair[0] == pair[1], from_value=pair[0], to_value=pair[1])


@guard("database.major_tested", "R", "databases")
def major_tested(view: View, host: str) -> Outcome:
    """An untried version is used only where the inventory says that this was accepted."""
    tested = view.get(host, "config.database_majors_tested")
    if not isinstance(tested, list):
        raise NoReading(host, "config.database_majors_tested")
    accepted = view.flag(host, "config.database_accept_untested") if _major(view, host) not in tested else False
    return passes(_major(view, host) in tested or accepted, tested=names(tested), major=_major(view, host))


@guard("database.settings", "R", "pair")
def settings(view: View, host: str) -> Outcome:
    """A standby that is set weaker stops replaying, or takes fewer clients than it must."""
    weaker: List[str] = []
    for key in SETTINGS:
        here, there = (view.number(name, "database.settings." + key) for name in (view.source, view.target))
        if there < here:
            weaker.append("%s %d < %d" % (key, there, here))
    return passes(not weaker, weaker=names(weaker))


@guard("database.way_back", "R", "source")
def way_back(view: View, host: str) -> Outcome:
    """Without these the old site could not follow the new one; better known before than after."""
    name = view.slot_of(view.from_site, host)
    conninfo, found = (
        view.text(host, "database.settings.primary_conninfo_host"),
        view.text(host, "database.settings.primary_slot_name"),
    )
    return passes(found == name, slot=name, conninfo_host=conninfo, found_slot=found)


@guard("database.prepared_transactions", "R", "source")
def prepared_transactions(view: View, host: str) -> Outcome:
    """They would survive the switch-over, holding locks that nobody knows of."""
    found = view.get(host, "database.prepared_transactions")
    count = len(found) if isinstance(found, list) else view.number(host, "database.prepared_transactions")
    return passes(count == 0, count=count)


@guard("database.long_transactions", "R", "source")
def long_transactions(view: View, host: str) -> Outcome:
    """A fast stop ends them; whoever runs them must know before."""
    limit = view.limit("long_transaction_seconds")
    found: List[str] = []
    for item in view.items(host, "database.long_transactions"):
        age = as_number(item.get("age_seconds"), host, "database.long_transactions.age_seconds")
        if age > limit:
            found.append("PID %s, %s, %s, %d s" % (item.get("pid"), item.get("user"), item.get("database"), age))
    return passes(not found, limit_seconds=limit, transactions="; ".join(found) or "none")


@guard("database.no_backup", "R", "databases")
def no_backup(view: View, host: str) -> Outcome:
    """A base backup dies with a stop or a promotion, and somebody may count on it."""
    running = view.flag(host, "database.backup_running")
    return passes(not running, running="yes" if running else "no")


@guard("database.disk", "RC", "target")
def disk(view: View, host: str) -> Outcome:
    """The target keeps log for its new standby from now on."""
    limit, free = view.limit("disk_free_bytes"), view.number(host, "database.disk.free_bytes")
    return passes(free >= limit, limit_bytes=limit, free_bytes=free)

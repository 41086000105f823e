"""Verbs that only an unplanned change of site has: what it begins from, the gap in the numbers, the list of documents."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional

from . import database_documents
from .base import STATE_FOLDER, Context, Verb, VerbError, now_iso, read_state, state_for_update, write_atomic
from .database_cluster import Cluster
from .database_reading import received_at
from .files_place import hash_all, root_of
from .psql import literal

SAMPLE = 5


def begin(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Write down for which epoch this site takes over unplanned, from where it stands, and on whose word.

    What was received last is read before the promotion: afterwards nobody could say any more where the old site's part
    of the log ended.
    """
    cluster = Cluster(ctx)
    found = cluster.query("SELECT pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), pg_is_in_recovery()").split(
        "|"
    )
    record = {
        "epoch": int(args["epoch"]),
        "site": str(args["site"]),
        "from": str(args["from"]),
        "receive_lsn": found[0] or None,
        "replay_lsn": found[1] or None,
        # From here on nobody knows what the old site did, should its disk never be read again.
        "received_at": _received_at(cluster, found[0] or found[1]),
        "proof": str(args.get("proof") or ""),
        "statement": str(args.get("statement") or ""),
        "operation": (ctx.operation or {}).get("number"),
        "at": now_iso(),
    }
    if found[2] != "t":
        raise VerbError("database.is_standby", "a standby that takes over", "writable", "lpse-dr status")
    with state_for_update() as state:
        state["failover"] = record
    return {"changed": True, **record}


def _received_at(cluster: Cluster, end: str) -> Optional[float]:
    try:
        control = cluster.control()
    except VerbError:
        return None
    return received_at(
        cluster.data, {"lsn": {"receive": end}, "in_recovery": True, "control": control, "timeline": None}
    )


def assert_sealed(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Prove that the old database does not write and cannot begin to: fenced, and down or in recovery.

    Asked after the fence was laid, so that a server that starts in between is caught, and one that starts later reads
    the fence. VerbError ``failover.old_site_writes``.
    """
    cluster = Cluster(ctx)
    fenced = os.path.exists(cluster.standby_signal())
    running = cluster.pid() is not None
    if fenced and (not running or cluster.query("SELECT pg_is_in_recovery()") == "t"):
        return {"changed": False, "running": running}
    raise VerbError(
        "failover.old_site_writes", "the old database down or read-only, and fenced",
        "%s, %s" % ("it runs" if running else "it does not run", "fenced" if fenced else "not fenced"), "lpse-dr status",
    )  # fmt: skip


def forget(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Forget a failover that did not come true."""
    with state_for_update() as state:
        known = state.get("failover") or {}
        changed = known.get("epoch") == args["epoch"]
        if changed:
            state["failover"] = None
    return {"changed": changed}


def _record(args: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return this host's record of the failover of one epoch, None where that epoch came about by plan."""
    known: Optional[Dict[str, Any]] = read_state().get("failover")
    return known if known and known.get("epoch") == args["epoch"] else None


def advance_sequences(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Move the office's numbers beyond those that the old site may have given away: {sequences: {name: {from, to}}}.

    A number whose bid was lost must never be given to another vendor. The target is written down before the first
    sequence moves, so that a second run moves none of them further. Only after a failover: a planned change loses none.
    """
    record = _record(args)
    wanted: List[Dict[str, Any]] = list(ctx.config.get("database_sequences") or [])
    if record is None or not wanted:
        return {"changed": False, "sequences": {}}
    cluster, database = Cluster(ctx), str(ctx.config["database_documents_database"])
    plan: Optional[Dict[str, Dict[str, int]]] = record.get("sequences")
    changed = plan is None
    if plan is None:
        plan = {}
        for item in wanted:
            name, gap = str(item["name"]), int(item["gap"])
            now = int(cluster.query("SELECT last_value FROM %s" % _checked(cluster, database, name), database))
            plan[name] = {"from": now, "to": now + gap}
        with state_for_update() as state:
            state["failover"]["sequences"] = plan
    for name, values in plan.items():
        place = _checked(cluster, database, name)
        now = int(cluster.query("SELECT last_value FROM %s" % place, database))
        if now < values["to"]:
            cluster.query("SELECT setval(%s, %d)" % (literal(place), values["to"]), database)
            changed = True
    return {"changed": changed, "sequences": plan}


def _checked(cluster: Cluster, database: str, name: str) -> str:
    """Return a sequence's name as PostgreSQL quotes it; VerbError ``failover.sequence_missing``."""
    statement = "SELECT c.oid::regclass FROM pg_class c WHERE c.oid = to_regclass(%s) AND c.relkind = 'S'"
    found = cluster.query(statement % literal(name), database)
    if not found:
        raise VerbError("failover.sequence_missing", "a sequence %s in database %s" % (name, database), "none")
    return found


def rows(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {rows}: every row of the service that names a document. Nothing where the office names no query."""
    if not database_documents.configured(ctx):
        return {"changed": False, "rows": []}
    return {"changed": False, "rows": database_documents.rows(ctx, Cluster(ctx))}


def list_documents(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """List the rows whose document is absent here, or differs: {checked, absent, different, sample}.

    The whole list is kept on this host, one file an epoch, which also marks each of these documents; what is missing is
    not invented, and nothing is removed.
    """
    root, epoch = root_of(ctx), int(args["epoch"])
    listed: List[Dict[str, Any]] = args["rows"]
    hashes = hash_all(root, [path for path in map(_inside, listed) if path])
    missing = []
    for row in listed:
        found = hashes.get(_inside(row))
        # A row without a hash can only be asked whether its document is there.
        if found is None or (row["sha256"] and found != row["sha256"]):
            missing.append({**row, "reason": "absent" if found is None else "different", "found_sha256": found})
    figures = {
        "epoch": epoch,
        "checked": len(listed),
        "absent": sum(1 for row in missing if row["reason"] == "absent"),
        "different": sum(1 for row in missing if row["reason"] == "different"),
        "at": now_iso(),
    }
    write_atomic(list_path(epoch), json.dumps({**figures, "documents": missing}, sort_keys=True) + "\n", 0o640)
    with state_for_update() as state:
        state["failover"] = {**(state.get("failover") or {}), "epoch": epoch, "documents": figures}
    sample = [str(row["path"]) for row in missing[:SAMPLE]]
    return {"changed": True, **figures, "sample": sample}


def _inside(row: Dict[str, Any]) -> str:
    """Return a row's path; empty where it would lead out of the folder, so that it counts as absent."""
    path = os.path.normpath(str(row["path"] or ""))
    return "" if path.startswith(("/", "..")) or path == "." else path


def list_path(epoch: int) -> str:
    """Return where the list of one failover is kept."""
    return os.path.join(STATE_FOLDER, "failover-%d-documents.json" % epoch)


def documents(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return what ``list_documents`` has kept, as JSON in ``list``: a record of a run shortens lists, and not this text."""
    try:
        with open(list_path(int(args["epoch"])), encoding="utf-8") as stream:
            found = stream.read()
    except OSError:
        found = ""
    return {"changed": False, "list": found}


VERBS: Dict[str, Verb] = {
    "begin": begin,
    "assert_sealed": assert_sealed,
    "forget": forget,
    "advance_sequences": advance_sequences,
    "rows": rows,
    "list_documents": list_documents,
    "documents": documents,
}

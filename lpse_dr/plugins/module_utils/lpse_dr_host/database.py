"""The verbs of a database: the switch of roles itself stands here, the rest in the modules beside it."""

from __future__ import annotations

import time
from typing import Any, Dict, Optional, Tuple

from .base import Context, Verb, VerbError, assert_not_halted, now_iso, read_state, state_for_update
from .database_arming import arm_target, checkpoint, disarm_target, drop_slot, ensure_slot
from .database_cluster import Cluster
from .database_halt import halt, resume, start
from .database_power import fence, stop, unfence
from .database_reading import control, status
from .lsn import int_to_lsn, lsn_to_int
from .psql import literal
from .search import beside
from .standby_reading import measured

REPLAY_POLL_SECONDS = 0.003
PROMOTE_POLL_SECONDS = 0.005
# How far a standby may be behind what it has received and still count as keeping up.
STREAMING_LAG_BYTES = 1 << 20


def warm(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Open the sessions that the critical section will use, and let them read what they will need."""
    cluster = Cluster(ctx)
    cluster.query("SELECT pg_is_in_recovery()")
    cluster.query("SELECT pg_last_wal_replay_lsn()")
    try:
        cluster.query("SELECT count(*) FROM (SELECT FROM probe LIMIT 1) AS one", cluster.service_database)
    except VerbError as error:
        raise VerbError(
            "database.service_missing",
            "table probe in database %s" % cluster.service_database,
            error.found,
            "apply the role database to this site",
            {"database": cluster.service_database},
        ) from error
    return {"changed": False}


def fire(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Record the point of no return on this host's disk, before the promotion that it allows."""
    assert_not_halted(ctx)
    if ctx.operation is None:
        raise VerbError("database.not_fired", "an operation to fire for", "none", "lpse-dr status")
    wanted = {
        "number": ctx.operation["number"],
        "run": ctx.operation["run"],
        "epoch": args["epoch"],
        "site": args["site"],
        "control": args["control"],
    }
    with state_for_update() as state:
        held = dict(state["fired"] or {})
        held.pop("at", None)
        changed = held != wanted
        if changed:
            state["fired"] = dict(wanted, at=now_iso())
    return {"changed": changed}


def clear_fired(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Forget the point of no return once everything behind it is done."""
    with state_for_update() as state:
        changed = state["fired"] is not None
        state["fired"] = None
    return {"changed": changed}


def promote(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Make this standby the primary, and prove it by a committed row.

    Only where this operation has fired; a database that is already writable is proven and left as it is.
    VerbError ``database.promotion_slow`` when it is still in recovery at the deadline: it may yet come.
    """
    cluster = Cluster(ctx)
    began = time.monotonic()
    changed = False
    if cluster.query("SELECT pg_is_in_recovery()") == "t":
        # It would replay everything that was received, past the point at which a person has halted it.
        assert_not_halted(ctx)
        assert_fired(ctx)
        cluster.query("SELECT pg_promote(false)")
        changed = True
        promoted = ctx.wait_for(lambda: cluster.query("SELECT pg_is_in_recovery()") == "f", PROMOTE_POLL_SECONDS)
        if not promoted:
            raise VerbError(
                "database.promotion_slow",
                "the standby to be promoted in time",
                "it is still in recovery; the promotion was ordered and may yet come",
                "lpse-dr status",
            )
    seconds = time.monotonic() - began
    proof = insert_probe(ctx, cluster)
    return {
        "changed": changed,
        "timeline": int(
            cluster.query("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")
        ),
        "seconds_to_promote": round(seconds, 4),
        "seconds_to_write": round(time.monotonic() - began, 4),
        "lsn": proof,
    }


def assert_fired(ctx: Context) -> None:
    """Refuse a promotion that this host's disk does not know to be decided."""
    fired = read_state()["fired"]
    mine = ctx.operation or {}
    if not fired or (fired.get("number"), fired.get("run")) != (mine.get("number"), mine.get("run")):
        found = "fired by operation %s" % fired.get("number") if fired else "nothing recorded"
        raise VerbError("database.not_fired", "the promotion to be recorded on this host", found, "lpse-dr status")


def insert_probe(ctx: Context, cluster: Cluster) -> str:
    """Commit a row; return the position that a standby has replayed this commit when it is beyond of.

    psql prints what follows a statement only after the server has said that it is committed.
    """
    number = (ctx.operation or {}).get("number", 0)
    cluster.query(
        "INSERT INTO probe (at, site, n) VALUES (clock_timestamp(), %s, %d)" % (literal(ctx.site), number),
        cluster.service_database,
    )
    # The end of the commit record or later; "replayed beyond" is asked strictly, hence one byte less.
    return int_to_lsn(lsn_to_int(cluster.query("SELECT pg_current_wal_lsn()")) - 1)


def prove_write(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Commit a row into the tool's own table; return how long it took and the position to wait for elsewhere."""
    began = time.monotonic()
    lsn = insert_probe(ctx, Cluster(ctx))
    return {"changed": True, "lsn": lsn, "seconds": round(time.monotonic() - began, 4)}


def await_replay(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait until everything up to and including the record at ``lsn`` is replayed here.

    Replay counts by the end of what it has done, so beyond the record's beginning means the record.
    """
    cluster = Cluster(ctx)
    wanted = lsn_to_int(args["lsn"])
    began = time.monotonic()
    found: Dict[str, str] = {}

    def replayed() -> bool:
        found["lsn"] = cluster.query("SELECT pg_last_wal_replay_lsn()")
        return bool(found["lsn"]) and lsn_to_int(found["lsn"]) > wanted

    if not ctx.wait_for(replayed, REPLAY_POLL_SECONDS):
        raise VerbError(
            "database.replay_behind",
            "replay beyond %s" % args["lsn"],
            "replayed up to %s" % (found["lsn"] or "nothing"),
            "lpse-dr replication status",
            {"lsn": args["lsn"], "replay_lsn": found["lsn"]},
        )
    return {"changed": False, "replay_lsn": found["lsn"], "seconds": round(time.monotonic() - began, 4)}


def await_streaming(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait until this standby streams, on timeline ``timeline`` where one is named, and replays what it receives."""
    cluster = Cluster(ctx)
    limit = int(args.get("lag_bytes", STREAMING_LAG_BYTES))
    wanted: Optional[int] = args.get("timeline")
    began = time.monotonic()
    seen: Dict[str, Any] = {"why": "no receiver", "timeline": None}

    def streams() -> bool:
        row = cluster.query(
            "SELECT status, received_tli, pg_last_wal_replay_lsn(), greatest(flushed_lsn, latest_end_lsn)"
            " FROM pg_stat_wal_receiver"
        )
        why, seen["timeline"] = judge_receiver(row, wanted, limit)
        seen["why"] = why
        return not why

    if not ctx.wait_for(streams, 0.05):
        raise VerbError(
            "database.not_streaming",
            "this standby to receive and replay" + (" timeline %d" % wanted if wanted else ""),
            seen["why"],
            "lpse-dr replication status",
        )
    return {"changed": False, "timeline": seen["timeline"], "seconds": round(time.monotonic() - began, 3)}


def judge_receiver(row: str, wanted: Optional[int], limit: int) -> Tuple[str, Optional[int]]:
    """Return what keeps a receiver from counting as streaming ("" for nothing), and its timeline."""
    if not row:
        return "no receiver: it cannot reach the other site, or is refused there", None
    state, timeline_text, replay, received = row.split("|")
    timeline = int(timeline_text) if timeline_text else None
    if state != "streaming":
        return "the receiver is %s" % state, timeline
    if wanted and timeline != wanted:
        return "it receives timeline %s" % timeline, timeline
    if not replay or not received:
        return "nothing replayed yet", timeline
    behind = lsn_to_int(received) - lsn_to_int(replay)
    return ("%d bytes received and not replayed" % behind if behind > limit else ""), timeline


def write_marker(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Commit a row that can be recognised at the other site; yesterday's are swept away."""
    cluster = Cluster(ctx)
    at = cluster.query(
        "INSERT INTO marker (id, at, site) VALUES (%s, clock_timestamp(), %s) ON CONFLICT (id) DO NOTHING"
        " RETURNING extract(epoch FROM at)" % (literal(args["id"]), literal(ctx.site)),
        cluster.service_database,
    )
    cluster.query("DELETE FROM marker WHERE at < now() - interval '1 day'", cluster.service_database)
    return {"changed": bool(at), "at": float(at) if at else None}


def await_marker(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait for the row of the other site; return how long it was waited for, and its age by this host's clock."""
    cluster = Cluster(ctx)
    statement = "SELECT extract(epoch FROM clock_timestamp() - at) FROM marker WHERE id = %s" % literal(args["id"])
    began = time.monotonic()
    age = ctx.wait_for(lambda: cluster.query(statement, cluster.service_database), 0.01)
    waited = round(time.monotonic() - began, 3)
    if not age:
        raise VerbError(
            "database.marker_missing",
            "the marker row to arrive",
            "not within %.1f s" % waited,
            "lpse-dr replication status",
            {"waited_seconds": waited},
        )
    return {"changed": False, "seconds": waited, "age_seconds": round(float(age), 3)}


VERBS: Dict[str, Verb] = {
    "status": beside(measured(status)),
    "control": control,
    "warm": warm,
    "arm_target": arm_target,
    "disarm_target": disarm_target,
    "checkpoint": checkpoint,
    "fence": fence,
    "unfence": unfence,
    "stop": stop,
    "start": start,
    "halt": halt,
    "resume": resume,
    "await_replay": await_replay,
    "fire": fire,
    "promote": promote,
    "clear_fired": clear_fired,
    "prove_write": prove_write,
    "await_streaming": await_streaming,
    "ensure_slot": ensure_slot,
    "drop_slot": drop_slot,
    "write_marker": write_marker,
    "await_marker": await_marker,
}

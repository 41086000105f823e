"""Halt a standby where it stands, so that neither a restart nor a reboot moves it; and let it go on.

A replay pause alone does not last: after a restart the standby would replay what it has received. A recovery target
does: it is written into postgresql.auto.conf, where a restart finds it. The receiver outlives an emptied
primary_conninfo, so it is ended from the system; without a conninfo nothing starts it again.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any, Dict, List, Optional

from . import base, database_power
from .base import Context, VerbError, assert_not_halted, read_state, run
from .database_cluster import Cluster
from .database_pin import (
    NAMES,
    PIN,
    POLL_SECONDS,
    auto_values,
    parse_auto_conf,
    read_auto_conf,
    read_saved,
    save,
    saved_path,
    write_auto_conf,
    write_settings,
)
from .lsn import int_to_lsn, lsn_to_int
from .psql import literal
from .replication import fact, note

# A query on the standby may keep replay from reaching its pause; so long may it.
PATIENCE_SECONDS = 1.0
POINT_SQL = """
SELECT json_build_object(
 'lsn', pg_last_wal_replay_lsn(),
 'at', to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
 'received_lsn', pg_last_wal_receive_lsn(),
 'timeline', (SELECT greatest(timeline_id, min_recovery_end_timeline) FROM pg_control_checkpoint(), pg_control_recovery()))
"""
# What the standby itself knows of its slot: how much the active site may keep for it, and how quickly that fills. The last
# checkpoint may be of a quieter time; %s is a position of some seconds ago.
SLOT_SQL = """
SELECT json_build_object(
 'slot', current_setting('primary_slot_name'),
 'limit_bytes', (SELECT CASE WHEN setting::bigint < 0 THEN NULL ELSE setting::bigint * 1024 * 1024 END
    FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
 'written_bytes', pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), redo_lsn)::bigint,
 'in_seconds', round(extract(epoch FROM clock_timestamp() - checkpoint_time)::numeric, 1),
 'lately_bytes', pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), %s)::bigint)
FROM pg_control_checkpoint()
"""


def start(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Start the server as ever; while it is halted only where it is pinned, so that it comes up and stays where it was."""
    halted = read_state()["halted"]
    if halted is not None and not (isinstance(halted, dict) and halted.get("pinned") is True):
        assert_not_halted(ctx)
    return database_power.start(ctx, args)


def halt(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Stop replay and receiving here, for as long as nobody resumes; return {point, slot}.

    ``since`` {lsn, clock} is what was read of this host before, to tell at which pace the active site writes.

    The point is recorded when replay stands still, and once: halting what is halted finds it and leaves it.
    """
    halted = fact()
    cluster = Cluster(ctx)
    if cluster.pid() is None:
        return halt_stopped(ctx, cluster)
    if cluster.query("SELECT pg_is_in_recovery()") != "t":
        raise VerbError("database.is_standby", "a standby to halt", "it takes writes", "lpse-dr status")
    slot = read_slot(cluster, args.get("since") or {})
    pinned = halted.get("pinned") is True
    changed = pause(ctx, cluster) and not pinned
    point = json.loads(cluster.query(POINT_SQL))
    before = halted.get("point") or {}
    if before.get("lsn") == point["lsn"]:
        # A server that has been restarted no longer knows when its last transaction was.
        point = before
    elif pinned:
        point["moved_from"] = before.get("lsn")
    save(auto_values(cluster))
    changed = pin(ctx, cluster, point["lsn"]) or changed
    changed = end_receiver(ctx, cluster) or changed
    note({"point": point, "pinned": True, "slot": halted.get("slot") or slot})
    return {"changed": changed, "point": point, "slot": halted.get("slot") or slot}


def read_slot(cluster: Cluster, since: Dict[str, Any]) -> Dict[str, Any]:
    """Return {slot, limit_bytes} and what was written {written_bytes, in_seconds} and {lately_bytes, lately_seconds}."""
    lsn, clock = since.get("lsn"), since.get("clock")
    known = "%s::pg_lsn" % literal(int_to_lsn(lsn_to_int(lsn))) if lsn and clock else "NULL::pg_lsn"
    found: Dict[str, Any] = json.loads(cluster.query(SLOT_SQL % known))
    return {**found, "lately_seconds": round(time.time() - float(clock), 2) if lsn and clock else None}


def pause(ctx: Context, cluster: Cluster) -> bool:
    """Pause replay, and return when it stands; tell whether it had moved until now."""
    if pause_state(cluster) == "paused":
        return False
    cluster.query("SELECT pg_wal_replay_pause()")
    asked = time.monotonic()
    while pause_state(cluster) != "paused":
        if ctx.remaining() <= 0:
            raise VerbError(
                "database.not_paused",
                "replay to stand still",
                pause_state(cluster),
                "lpse-dr replication status",
            )
        if time.monotonic() - asked > PATIENCE_SECONDS:
            # Replay waits for a query of somebody's before it can look at anything, also at being paused.
            cluster.query(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
            )
            asked = time.monotonic()
        time.sleep(POLL_SECONDS)
    return True


def pause_state(cluster: Cluster) -> str:
    """Return "not paused", "pause requested" or "paused"."""
    return cluster.query("SELECT pg_get_wal_replay_pause_state()")


def pin(ctx: Context, cluster: Cluster, lsn: str) -> bool:
    """Write the recovery target and the empty conninfo, and see the server use the latter; tell whether it was news."""
    return write_settings(ctx, cluster, {"recovery_target_lsn": lsn, **PIN}, "")


def receivers(cluster: Cluster) -> List[int]:
    """Return the process that receives, if any."""
    listed = cluster.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'")
    return [int(pid) for pid in listed.split()]


def end_receiver(ctx: Context, cluster: Cluster) -> bool:
    """End the receiver from the system: PostgreSQL itself refuses to. Tell whether there was one."""
    ended = False
    while True:
        found = receivers(cluster)
        if not found:
            return ended
        for pid in found:
            # Only what still is this server's receiver; a number may be another process by now.
            if is_receiver(pid):
                os.kill(pid, signal.SIGTERM)
                ended = True
        if ctx.remaining() <= 0:
            raise VerbError(
                "database.receiver_alive",
                "no process that receives",
                "process %s goes on" % ", ".join(str(pid) for pid in found),
                "lpse-dr replication status",
            )
        time.sleep(POLL_SECONDS)


def is_receiver(pid: int) -> bool:
    """Tell whether a process calls itself a WAL receiver."""
    try:
        with open("/proc/%d/cmdline" % pid, encoding="utf-8", errors="replace") as stream:
            return "walreceiver" in stream.read()
    except OSError:
        return False


def assert_still(ctx: Context, halted: Dict[str, Any], seconds: float) -> None:
    """Watch for ``seconds`` that replay stays at the point and that nothing receives; VerbError says what moves."""
    cluster = Cluster(ctx)
    point = (halted.get("point") or {}).get("lsn")
    positions: List[Optional[str]] = []
    received: List[int] = []
    pinned: Dict[str, Optional[str]] = {}
    ends = time.monotonic() + seconds
    if cluster.pid() is None:
        time.sleep(seconds)
        pinned.update(parse_auto_conf(read_auto_conf(cluster)))
        positions.append(pinned.get("recovery_target_lsn"))
        conninfo = pinned.get("primary_conninfo")
    else:
        while True:
            positions.append(cluster.query("SELECT pg_last_wal_replay_lsn()"))
            received += receivers(cluster)
            if time.monotonic() >= ends:
                break
            time.sleep(0.1)
        conninfo, pinned = cluster.query("SHOW primary_conninfo"), auto_values(cluster)
    moved = [position for position in positions if position != point]
    if moved or not point:
        raise VerbError("database.not_still", "replay to stay at %s" % point, "it is at %s" % (moved or ["?"])[-1])
    if received or conninfo:
        raise VerbError(
            "database.receiver_alive",
            "no process that receives, and none that could be started",
            "process %s" % received[0] if received else "primary_conninfo is set",
            "lpse-dr replication halt",
        )
    if {name: pinned.get(name) for name in NAMES} != {"recovery_target_lsn": point, **PIN}:
        raise VerbError(
            "database.not_pinned",
            "a restart to stay at %s" % point,
            "another recovery target",
            "lpse-dr replication halt",
        )


def resume(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Put back what stood there before, and restart the server, so that it receives and replays again.

    Never by pg_wal_replay_resume: at a recovery target that promotes. What is done already is not done again.
    """
    fact()
    cluster = Cluster(ctx)
    began = time.monotonic()
    if cluster.pid() is None:
        database_power.start(ctx, {})
    # From here on a start would stream: whoever starts it by a verb is refused until this has come to its end.
    note({"pinned": False})
    saved = read_saved()
    changed = saved is not None
    if saved is not None:
        write_settings(ctx, cluster, saved, None)
    if cluster.query("SHOW recovery_target_lsn") or pause_state(cluster) != "not paused":
        database_power.stop(ctx, {})
        database_power.start(ctx, {})
        changed = True
    if cluster.query("SHOW recovery_target_lsn") or not cluster.query("SHOW primary_conninfo"):
        raise VerbError(
            "database.not_pinned",
            "a conninfo and no recovery target",
            "what the halt has written is still there",
            "look at postgresql.auto.conf on this host",
        )
    if saved is not None:
        os.unlink(saved_path())
        base.sync_folder(base.STATE_FOLDER)
    return {"changed": changed, "seconds": round(time.monotonic() - began, 3)}


def halt_stopped(ctx: Context, cluster: Cluster) -> Dict[str, Any]:
    """Pin a server that does not run to the place that its control file guarantees; whoever starts it finds it there."""
    text = read_auto_conf(cluster)
    found = parse_auto_conf(text)
    halted = fact()
    point = halted.get("point") or {}
    if not point or found.get("recovery_target_lsn") != point["lsn"] or found.get("primary_conninfo") != "":
        argv = [cluster.program("pg_controldata"), "-D", cluster.data]
        lines = dict(
            line.split(":", 1) for line in run(argv, 3.0, env={"LC_ALL": "C"}).stdout.splitlines() if ":" in line
        )
        control = cluster.control()
        ending = lines.get("Minimum recovery ending location", "").strip()
        if control["state"] not in ("shut down in recovery", "in archive recovery") or ending in ("", "0/0"):
            raise VerbError("database.is_standby", "a standby to halt", control["state"], "lpse-dr status")
        point = point or {
            "lsn": ending,
            "at": None,
            "received_lsn": None,
            "timeline": control["min_recovery_timeline"],
        }
        save({name: found.get(name) for name in NAMES})
        wanted = {"recovery_target_lsn": point["lsn"], **PIN}
        text += "".join("%s = '%s'\n" % (name, value) for name, value in wanted.items())
        write_auto_conf(cluster, text)
    note({"point": point, "pinned": True})
    return {"changed": halted.get("pinned") is not True, "point": point, "slot": halted.get("slot") or {}}

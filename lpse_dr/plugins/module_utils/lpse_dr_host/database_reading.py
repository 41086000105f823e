"""Read a database: one statement for what SQL can say, files for what must be known while it is down."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, unquote, urlsplit

from . import host
from .base import Context, VerbError
from .database_cluster import Cluster
from .database_documents import recent
from .lsn import lsn_to_int
from .replication_path import halted_paths, paths_to

STATUS_SECONDS = 2.8
SECOND_LOOK_SECONDS = 1.0
NUMBER_SETTINGS = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
TEXT_SETTINGS = (
    "wal_level",
    "hot_standby",
    "synchronous_standby_names",
    "wal_retrieve_retry_interval",
    "max_standby_streaming_delay",
    "primary_conninfo",
    "primary_slot_name",
    "wal_log_hints",
    "max_slot_wal_keep_size",
    "wal_keep_size",
)
# What only SQL can tell. Without it each is null, and a guard on null fails.
UNKNOWN: Dict[str, Any] = dict.fromkeys(
    (
        "in_recovery", "writable", "version_num", "cluster_name", "system_identifier", "timeline", "timeline_history",
        "control", "lsn", "replay_paused", "receiver", "received_at", "last_commit_at", "documents", "lag_bytes", "lag_seconds", "senders", "slots", "archiver",
        "prepared_transactions", "long_transactions", "backup_running", "checksums", "settings", "disk", "databases",
        "clients", "paths",
    )
)  # fmt: skip
# A receiver hears from its sender at the latest after half its own time-out, even when nothing is written.
# A sender that has written nothing since it was connected has told no latest end; then nothing newer is known.
# No greatest(0, ...) here: it turns an unknown lag into none.
# Functions that fail on the other kind of server stand behind CASE, which does not evaluate what it does not take.
STATUS_SQL = """
WITH me AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby),
here AS MATERIALIZED (SELECT
  CASE WHEN NOT standby THEN pg_current_wal_lsn() END AS current,
  CASE WHEN standby THEN pg_last_wal_receive_lsn() END AS receive,
  CASE WHEN standby THEN pg_last_wal_replay_lsn() END AS replay FROM me),
wire AS MATERIALIZED (SELECT *, (SELECT coalesce(clock_timestamp() - last_msg_receipt_time
    < make_interval(secs => setting::int / 2000.0 + 5) OR setting = '0', false)
    FROM pg_settings WHERE name = 'wal_receiver_timeout') AS fresh FROM pg_stat_wal_receiver)
SELECT json_build_object(
 'in_recovery', standby,
 'writable', NOT standby,
 'version_num', current_setting('server_version_num')::int,
 'cluster_name', current_setting('cluster_name'),
 'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
 'timeline', CASE WHEN NOT standby THEN ('x' || substr(pg_walfile_name(here.current), 1, 8))::bit(32)::int END,
 'lsn', json_build_object('current', here.current, 'receive', receive, 'replay', replay),
 'replay_paused', CASE WHEN standby THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END,
 'receiver', (SELECT json_build_object('status', status, 'sender_host', sender_host, 'slot_name', slot_name,
    'latest_end_lsn', latest_end_lsn, 'received_timeline', received_tli, 'fresh', fresh,
    'heard_at', round(extract(epoch FROM last_msg_receipt_time)::numeric, 3)) FROM wire),
 'last_commit_at', CASE WHEN standby THEN round(extract(epoch FROM pg_last_xact_replay_timestamp())::numeric, 3) END,
 'lag_bytes', CASE WHEN standby THEN pg_wal_lsn_diff(receive, replay)::bigint END,
 'lag_seconds', CASE WHEN NOT standby THEN NULL
    WHEN receive <= replay AND EXISTS (SELECT FROM wire WHERE status = 'streaming' AND fresh
      AND (latest_end_lsn IS NULL OR latest_end_lsn <= replay)) THEN 0
    ELSE round(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::numeric, 3) END,
 'senders', (SELECT coalesce(json_agg(json_build_object('application_name', application_name,
    'client_addr', host(client_addr), 'state', state, 'sent_lsn', sent_lsn, 'flush_lsn', flush_lsn,
    'replay_lsn', replay_lsn, 'sync_state', sync_state,
    'lag_bytes', pg_wal_lsn_diff(coalesce(here.current, receive), replay_lsn)::bigint)
    ORDER BY application_name), '[]') FROM pg_stat_replication),
 'slots', (SELECT coalesce(json_agg(json_build_object('slot_name', slot_name, 'slot_type', slot_type,
    'active', active, 'restart_lsn', restart_lsn, 'wal_status', wal_status, 'retained_bytes',
    pg_wal_lsn_diff(coalesce(here.current, receive, replay), restart_lsn)::bigint)
    ORDER BY slot_name), '[]') FROM pg_replication_slots),
 'archiver', (SELECT json_build_object('mode', current_setting('archive_mode'),
    'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
    'failed_count', failed_count, 'last_failed_at',
    to_char(last_failed_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) FROM pg_stat_archiver),
 'prepared_transactions', (SELECT count(*) FROM pg_prepared_xacts),
 'long_transactions', (SELECT coalesce(json_agg(json_build_object('pid', pid, 'user', usename, 'database', datname,
    'age_seconds', round(extract(epoch FROM clock_timestamp() - xact_start)::numeric, 1), 'state', state)
    ORDER BY xact_start), '[]') FROM pg_stat_activity
    WHERE xact_start < clock_timestamp() - interval '5 seconds' AND pid <> pg_backend_pid()
    AND application_name <> 'lpse-dr' AND backend_type NOT IN ('walsender', 'autovacuum worker', 'autovacuum launcher')),
 'backup_running', EXISTS (SELECT FROM pg_stat_progress_basebackup),
 'checksums', current_setting('data_checksums') = 'on',
 'settings', (SELECT json_object_agg(name, current_setting(name, true)) FROM unnest(ARRAY[%s]) AS name),
 'databases', (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
    WHERE datallowconn AND NOT datistemplate),
 'clients', (SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> 'lpse-dr')
) FROM me, here;
""" % ", ".join("'%s'" % name for name in NUMBER_SETTINGS + TEXT_SETTINGS)


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the reading of this database within 3 s, whatever state it is in."""
    cluster = Cluster(ctx)
    reading: Dict[str, Any] = dict(UNKNOWN, running=False, error=None)
    reading.update(read_files(cluster))
    if cluster.pid() is None:
        # Known, not guessed: a server that does not run writes nothing.
        reading.update(writable=False, error=reading["error"] or "the server does not run")
    else:
        try:
            reading.update(
                interpret(json.loads(cluster.ask(STATUS_SQL, STATUS_SECONDS)), reading["control"]), running=True
            )
            reading["lag_seconds"] = second_look(cluster, reading)
        except VerbError as error:
            reading["error"] = error.found
        except ValueError as error:
            reading["error"] = "psql answered something that is not JSON: %s" % error
    reading["timeline_history"] = read_history(cluster.data, reading["timeline"])
    reading["received_at"] = received_at(cluster.data, reading)
    if reading["running"]:
        reading["documents"] = recent(ctx, cluster)
    result = host.status(ctx, args)
    # While it is halted the conninfo is empty; where it led stands in the fact.
    reading["paths"] = reading["paths"] or halted_paths(result["reading"]["state"])
    result["reading"]["database"] = reading
    return result


def second_look(cluster: Cluster, reading: Dict[str, Any]) -> Optional[float]:
    """Return the lag in seconds; one that looks long is measured: how long until what was there to come has been replayed.

    After a quiet while the newest commit is old. In the moment in which the next one travels, its age looks like a lag.
    What does not arrive within a second is as late as it looks.
    """
    lag: Optional[float] = reading["lag_seconds"]
    known = [(reading["receiver"] or {}).get("latest_end_lsn"), (reading["lsn"] or {}).get("receive")]
    there = sorted((lsn for lsn in known if lsn), key=lsn_to_int)
    if lag is None or lag <= SECOND_LOOK_SECONDS or not there or reading["replay_paused"] is not False:
        return lag
    began = time.monotonic()
    statement = "SELECT pg_last_wal_replay_lsn() >= '%s'" % there[-1]
    while time.monotonic() - began < SECOND_LOOK_SECONDS:
        if cluster.ask(statement, SECOND_LOOK_SECONDS) == "t":
            return min(lag, round(time.monotonic() - began, 3))
        time.sleep(0.1)
    return lag


def control(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return what the control file says, and whether a server process is there."""
    cluster = Cluster(ctx)
    running = cluster.pid() is not None
    return {"changed": False, "control": cluster.control(), "running": running}


def read_files(cluster: Cluster) -> Dict[str, Any]:
    """Return what can be known without a server: the control file, the fence, the disk."""
    found: Dict[str, Any] = {"standby_signal": None}
    try:
        os.stat(cluster.data)
        found["standby_signal"] = os.path.exists(cluster.standby_signal())
        found["disk"] = read_disk(cluster.data)
        found["control"] = cluster.control()
    except (OSError, VerbError) as error:
        found["error"] = error.found if isinstance(error, VerbError) else str(error)
        return found
    found["system_identifier"] = found["control"]["system_identifier"]
    found["timeline"] = control_timeline(found["control"])
    found["checksums"] = found["control"]["checksums"]
    return found


def received_at(data: str, reading: Dict[str, Any]) -> Optional[float]:
    """Return when this standby last wrote what it received (unix time): the age of the segment that holds its end.

    Nobody but the receiver writes into that file, and the file outlives receiver, server and power cut. None for a
    primary, and for a standby that has never received anything.
    """
    lsn = reading["lsn"] or {}
    end = lsn.get("receive") or lsn.get("replay")
    if not end or reading["in_recovery"] is not True or not reading["control"]:
        return None
    size = reading["control"]["wal_segment_bytes"]
    number = max(0, lsn_to_int(end) - 1) // size
    name = "%08X%08X" % divmod(number, (1 << 32) // size)
    known = {reading["timeline"], control_timeline(reading["control"]), reading["control"]["timeline"]}
    found = []
    for timeline in known - {None}:
        with contextlib.suppress(OSError):
            found.append(os.stat(os.path.join(data, "pg_wal", "%08X%s" % (timeline, name))).st_mtime)
    return round(max(found), 3) if found else None


def read_disk(data: str) -> Dict[str, int]:
    """Return the space of the tightest disk that the cluster writes to: the log may have one of its own."""
    spaces = [os.statvfs(path) for path in (data, os.path.join(data, "pg_wal"))]
    tightest = min(spaces, key=lambda space: space.f_bavail * space.f_frsize)
    return {
        "free_bytes": tightest.f_bavail * tightest.f_frsize,
        "total_bytes": tightest.f_blocks * tightest.f_frsize,
    }


def control_timeline(control: Dict[str, Any]) -> int:
    """Return the newest timeline that the control file knows.

    On a standby the last checkpoint may be older than the switch of timelines that was already replayed.
    """
    newest: int = max(control["timeline"], control["min_recovery_timeline"])
    return newest


def interpret(answer: Dict[str, Any], control: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """Turn what the statement returned into the reading's keys; no password of a conninfo stays."""
    settings: Dict[str, Any] = dict(answer["settings"])
    conninfo = settings.pop("primary_conninfo") or ""
    settings["primary_conninfo_host"] = conninfo_host(conninfo)
    for name in NUMBER_SETTINGS:
        settings[name] = None if settings[name] is None else int(settings[name])
    result = dict(answer, settings=settings, paths=paths_to(*conninfo_place(conninfo)))
    # Positions of two moments, or of two clocks, can be a little below nothing; unknown stays unknown.
    for row in [result, *answer["senders"], *answer["slots"]]:
        for name in ("lag_bytes", "lag_seconds", "retained_bytes"):
            if row.get(name) is not None:
                row[name] = max(0, row[name])
    if answer["in_recovery"]:
        # A standby is on the timeline that it receives, where it receives; its own file lags behind that.
        known = [control_timeline(control)] if control else []
        receiver = answer["receiver"]
        if receiver and receiver["received_timeline"]:
            known.append(receiver["received_timeline"])
        result["timeline"] = max(known) if known else None
    return result


def conninfo_values(conninfo: str) -> Dict[str, str]:
    """Return the parts of a conninfo in either of its two spellings by their keywords."""
    if re.match(r"postgres(ql)?://", conninfo):
        parts = urlsplit(conninfo)
        # Several hosts may stand there, with ports, which urlsplit does not know.
        places = [re.match(r"(.*?)(?::(\d+))?$", name) for name in parts.netloc.rpartition("@")[2].split(",")]
        found = {
            "host": unquote(",".join(place[1] for place in places if place)).strip("[]"),
            "port": ",".join(place[2] or "" for place in places if place).strip(","),
        }
        return {**found, **{key: listed[0] for key, listed in parse_qs(parts.query).items()}}
    pairs = re.findall(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\']|\\.)+))", conninfo)
    return {key: re.sub(r"\\(.)", r"\1", quoted or plain) for key, quoted, plain in pairs}


def conninfo_host(conninfo: str) -> Optional[str]:
    """Return the host part of a conninfo, None where it names none."""
    values = conninfo_values(conninfo)
    return values.get("host") or values.get("hostaddr") or None


def conninfo_place(conninfo: str) -> Tuple[List[str], int]:
    """Return the hosts to which a conninfo leads, and the port."""
    values = conninfo_values(conninfo)
    names = (values.get("hostaddr") or values.get("host") or "").split(",")
    port = (values.get("port") or "").split(",")[0]
    return [name for name in names if name], int(port) if port.isdigit() else 5432


def read_history(data: str, timeline: Optional[int]) -> Optional[List[Dict[str, Any]]]:
    """Return where each earlier timeline ended, oldest first; None where the file that tells is missing."""
    if timeline is None:
        return None
    if timeline == 1:
        return []
    try:
        with open(os.path.join(data, "pg_wal", "%08X.history" % timeline), encoding="utf-8") as stream:
            return parse_history(stream.read())
    except (OSError, ValueError):
        return None


def parse_history(text: str) -> List[Dict[str, Any]]:
    """Read a timeline history file: number, position, reason, separated by tabs; # begins a comment."""
    entries: List[Dict[str, Any]] = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            timeline, lsn, reason = [*line.split("\t", 2), ""][:3]
            entries.append({"timeline": int(timeline), "lsn": lsn.strip(), "reason": reason.strip()})
    return entries

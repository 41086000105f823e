"""Verbs that make a database the standby of the other site's: by a base backup, or by winding a copy of it back."""

from __future__ import annotations

import os
import pwd
import re
import time
from typing import Any, Dict, List, Optional

from . import base
from .base import Context, Verb, VerbError, assert_not_halted, state_for_update, sync_folder, write_atomic
from .database_arming import ARMED, valid_slot
from .database_cluster import Cluster
from .database_pin import NAMES, parse_auto_conf
from .database_reading import read_disk
from .psql import literal
from .standby_place import (
    JOB,
    POLL_SECONDS,
    Job,
    begin,
    clear_next,
    failure,
    home,
    job_of,
    kept_folder,
    mortal,
    next_folder,
    note,
    progress,
    record,
    without_password,
)
from .standby_reading import in_database, setting

SEED = "lpse-dr replication seed --to %s"
PATIENCE_SECONDS = 60.0


def stop(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Stop a server that is to become a standby anew; in which state it ends does not matter, its directory is kept."""
    cluster = Cluster(ctx)
    pid = cluster.pid()
    if pid is None:
        return {"changed": False}
    if cluster.query("SELECT pg_is_in_recovery()") != "t":
        raise VerbError("database.is_standby", "a server that only reads", "it takes writes", "lpse-dr status")
    cluster.close_sessions()
    argv = [cluster.program("pg_ctl"), "-D", cluster.data, "-s", "-W", "-m", "fast", "stop"]
    base.run(cluster.as_user(argv), ctx.remaining(), env={"LC_ALL": "C"})
    if not ctx.wait_for(lambda: not cluster.is_server(pid), 0.02):
        raise VerbError("database.stop_timeout", "the server to end in time", "process %d" % pid, "lpse-dr status")
    return {"changed": True}


def settle(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """See at the active side that a standby that is away cannot fill the disk, and that one can be wound back later.

    {max_slot_wal_keep_size, wal_log_hints}: what was set. The former is limited to half of what is free where it was
    unlimited; the latter needs a restart, and is in force at the next one.
    """
    cluster = Cluster(ctx)
    answer: Dict[str, Any] = {}
    if cluster.query("SHOW max_slot_wal_keep_size") == "-1":
        value = "%dMB" % max(1024, (read_disk(cluster.data)["free_bytes"] >> 20) // 2)
        cluster.query("ALTER SYSTEM SET max_slot_wal_keep_size = %s" % literal(value))
        cluster.query("SELECT pg_reload_conf()")
        answer["max_slot_wal_keep_size"] = value
    safe = cluster.query("SELECT 'on' IN (current_setting('data_checksums'), current_setting('wal_log_hints'))")
    planned = cluster.query("SELECT count(*) FROM pg_settings WHERE name = 'wal_log_hints' AND pending_restart")
    if safe != "t" and planned == "0":
        cluster.query("ALTER SYSTEM SET wal_log_hints = 'on'")
        cluster.query("SELECT pg_reload_conf()")
        answer["wal_log_hints"] = "on at the next restart"
    return {**answer, "changed": bool(answer)}


def copy(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Copy the active side's database beside this one's, and verify it; ask again while ``left`` is not 0.

    {left, done_bytes, total_bytes, seconds_left}. Half a copy is thrown away and begun again; one that is verified is
    used again unless ``fresh_slot`` says that the log behind it was not kept.
    """
    assert_not_halted(ctx)
    cluster = Cluster(ctx)
    job = job_of(ctx, "pg_basebackup") or job_of(ctx, "pg_verifybackup")
    if job is None:
        known = record()
        made = known.get("phase") in ("ready", "swapped") and known.get("epoch") == args["epoch"]
        if made and not args.get("fresh_slot"):
            return {"changed": False, "left": 0}
        clear_next(cluster)
        run = (ctx.operation or {}).get("run")
        waited = known.get("slot_since") if known.get("run") == run else None
        note({"way": "seed", "phase": "copying", "epoch": args["epoch"], "run": run, "slot_since": waited})
        job = begin(ctx, _base_backup(ctx, cluster, str(args["slot"])))
    ended = job.ended(min(POLL_SECONDS, ctx.remaining()))
    if not ended:
        done, total = job.counted() or (0, 0)
        return progress(job, done, total)
    if job.kind == "pg_basebackup":
        since = float(record().get("slot_since") or time.time())
        if job.failed and "is active for PID" in job.words() and time.time() - since < PATIENCE_SECONDS:
            note({"slot_since": since})
            # The connection of a standby that is gone is noticed there after some seconds.
            time.sleep(1.0)
            ctx.memory.pop(JOB, None)
            clear_next(cluster)
            return {"changed": True, "left": 1, "done_bytes": 0, "total_bytes": 0, "seconds_left": None}
        counted = job.counted() or (0, 0)
        failed = failure(ctx, job)
        if failed:
            raise VerbError(
                "standby.copy_failed", "pg_basebackup to succeed", failed, SEED % ctx.site, {"log": job.log}
            )
        argv = [cluster.program("pg_verifybackup"), "-q", next_folder(cluster)]
        begin(ctx, Job("pg_verifybackup", cluster.as_user(mortal(argv)), home(cluster)))
        return {"changed": True, "left": 1, "done_bytes": counted[1], "total_bytes": counted[1], "seconds_left": None}
    failed = failure(ctx, job)
    if failed:
        raise VerbError(
            "standby.copy_differs", "pg_verifybackup to succeed", failed, SEED % ctx.site, {"log": job.log}
        )
    note({"phase": "ready"})
    return {"changed": True, "left": 0}


def _base_backup(ctx: Context, cluster: Cluster, slot: str) -> Job:
    conninfo, passes = without_password(cluster, setting(ctx, cluster, "primary_conninfo"))
    argv = [
        cluster.program("pg_basebackup"),
        "-D",
        next_folder(cluster),
        "-d",
        conninfo,
        "-X",
        "stream",
        "-c",
        "fast",
    ]
    argv += ["-S", valid_slot(slot), "-P", "--no-password"]
    # Where the parent is not the cluster's own, its user could not make the folder.
    owner = pwd.getpwnam(cluster.user)
    os.mkdir(next_folder(cluster), 0o700)
    os.chown(next_folder(cluster), owner.pw_uid, owner.pw_gid)
    return Job("pg_basebackup", cluster.as_user(mortal(argv)), home(cluster), passes)


def rewind(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wind the copy of this side's database back to where the active side left it; ask again while ``left`` is not 0.

    The copy was shut down cleanly by whoever salvaged from it. What fails here has cost a copy: the next run takes a base
    backup instead.
    """
    assert_not_halted(ctx)
    cluster = Cluster(ctx)
    job = job_of(ctx, "pg_rewind")
    if job is None:
        known = record()
        if known.get("phase") in ("ready", "swapped") and known.get("epoch") == args["epoch"]:
            return {"changed": False, "left": 0}
        if known.get("phase") != "salvaged" or known.get("epoch") != args["epoch"]:
            raise VerbError(
                "standby.not_salvaged", "a copy from which everything was salvaged", str(known.get("phase")), "lpse-dr failback"
            )  # fmt: skip
        note({"way": "rewind", "phase": "rewinding", "rewind_failed": None})
        argv = [cluster.program("pg_rewind"), "-D", next_folder(cluster), "-P"]
        conninfo, passes = without_password(cluster, setting(ctx, cluster, "primary_conninfo"))
        argv += ["--source-server", in_database(conninfo)]
        job = begin(ctx, Job("pg_rewind", cluster.as_user(mortal(argv)), home(cluster), passes))
    if not job.ended(min(POLL_SECONDS, ctx.remaining())):
        done, total = job.counted() or (0, 0)
        return progress(job, done, total)
    again, failed = "lpse-dr failback --to %s" % ctx.site, failure(ctx, job)
    if failed:
        note({"rewind_failed": failed})
        raise VerbError("standby.rewind_failed", "pg_rewind to succeed", failed, again, {"log": job.log})
    # Older releases of pg_rewind throw away a part of this side's log that the start needs.
    label = re.search(r"\(file ([0-9A-F]{24})\)", read_text(os.path.join(next_folder(cluster), "backup_label")))
    if label is None or not os.path.exists(os.path.join(next_folder(cluster), "pg_wal", label[1])):
        missing = "no backup_label" if label is None else "%s is missing" % label[1]
        note({"rewind_failed": missing})
        raise VerbError("standby.rewind_failed", "the log that a start needs", missing, again)
    note({"phase": "ready"})
    return {"changed": True, "left": 0}


def adopt(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Put the new data directory into the place of the old one, which stays beside it; {kept}.

    ``armed`` is what the active side has saved of its settings while a switch or failover had changed them: the copy
    holds the changed ones. Killed between the two renames, the next call does the second.
    """
    assert_not_halted(ctx)
    cluster = Cluster(ctx)
    known, folder, data = record(), next_folder(cluster), os.path.realpath(cluster.data)
    if known.get("phase") == "swapped":
        return {"changed": False, "kept": known.get("kept")}
    if known.get("phase") != "ready" or not os.path.exists(os.path.join(folder, "PG_VERSION")):
        raise VerbError(
            "standby.not_ready", "a new data directory, verified", str(known.get("phase")), SEED % ctx.site
        )
    if cluster.pid() is not None:
        raise VerbError("standby.server_runs", "no server at work", "it runs", "lpse-dr status")
    path = os.path.join(folder, "postgresql.auto.conf")
    write_owned(
        path, auto_conf(read_text(path), read_text(os.path.join(data, "postgresql.auto.conf")), args.get("armed"))
    )
    write_owned(os.path.join(folder, "standby.signal"), "")
    kept: Optional[str] = known.get("kept")
    if os.path.lexists(data):
        kept = kept_folder(cluster, str((ctx.operation or {}).get("run") or known.get("run") or "run"))
        note({"kept": kept})
        os.rename(data, kept)
    os.rename(folder, data)
    sync_folder(os.path.dirname(data))
    with state_for_update() as state:
        # What was true of the old copy is not true of this one.
        state.update(held=None, failover=None)
        state["saved"].pop("database_arm", None)
        state["standby"] = {**(state.get("standby") or {}), "phase": "swapped", "kept": kept}
    return {"changed": True, "kept": kept}


def close(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Forget how the standby was made; where the old data directory lies stays in the record of the run."""
    known = record()
    if known:
        clear_next(Cluster(ctx))
        note(None)
    return {"changed": bool(known), "kept": known.get("kept")}


def read_text(path: str) -> str:
    """Return a file, "" where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def write_owned(path: str, text: str) -> None:
    """Write a file of a data directory for its owner."""
    owner = os.stat(os.path.dirname(path))
    write_atomic(path, text, 0o600)
    os.chown(path, owner.st_uid, owner.st_gid)


def auto_conf(copied: str, own: str, armed: Optional[Dict[str, Optional[str]]]) -> str:
    """Return the postgresql.auto.conf of the new standby: the active side's, but for whom to follow and what is for a moment only."""
    mine = ("primary_slot_name", *NAMES)
    before = {
        name: value
        for name, value in parse_auto_conf(own).items()
        if name in ("primary_conninfo", "primary_slot_name")
    }
    back: Dict[str, Optional[str]] = {**before, **(armed if armed is not None else {})}
    gone = [*mine, *(ARMED if armed is not None else [])]
    lines: List[str] = [line for line in copied.splitlines() if not re.match(r"\s*(%s)\s*=" % "|".join(gone), line)]
    lines += ["%s = %s" % (name, literal(value)) for name, value in back.items() if value is not None]
    return "".join(line + "\n" for line in lines)


VERBS: Dict[str, Verb] = {
    "stop": stop,
    "settle": settle,
    "copy": copy,
    "rewind": rewind,
    "adopt": adopt,
    "close": close,
}

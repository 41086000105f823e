"""Stop and start a database, and the fence that decides what a start comes up as."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Optional

from . import base, fence_record
from .base import Context, VerbError, read_state, sync_folder
from .database_cluster import CLEAN_STATES, STANDBY_STATES, Cluster

POLL_SECONDS = 0.005


def fence(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let every later start, by any path, come up read-only. A running server does not read the file."""
    cluster = Cluster(ctx)
    path = cluster.standby_signal()
    if os.path.exists(path):
        return {"changed": False}
    owner = os.stat(cluster.data)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(cluster.data)
    return {"changed": True}


def unfence(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let the next start come up writable: only of a database that was the active site's and still is.

    VerbError ``database.is_standby`` for one that was in recovery, ``database.epoch_elsewhere`` on a host that
    knows the active site to be another one: removing the file there could make a second writable site.
    """
    cluster = Cluster(ctx)
    path = cluster.standby_signal()
    if not os.path.exists(path):
        return {"changed": False}
    state = cluster.control()["state"]
    if fence_record.installed() and state == "in production" and cluster.pid() is not None:
        # Where a guard permits starts, the file lies in a running primary for the next one.
        return {"changed": False}
    if state in STANDBY_STATES:
        raise VerbError(
            "database.is_standby",
            "a database that was writable when it was fenced",
            state,
            "lpse-dr status",
            {"state": state},
        )
    epoch = read_state()["epoch"]
    if epoch and epoch["site"] != ctx.site:
        raise VerbError(
            "database.epoch_elsewhere",
            "%s to be the active site" % ctx.site,
            "epoch %s belongs to %s" % (epoch["number"], epoch["site"]),
            "lpse-dr status",
            {"epoch": epoch["number"], "site": epoch["site"]},
        )
    os.unlink(path)
    sync_folder(cluster.data)
    return {"changed": True}


def stop(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Stop the server and prove that it stopped well: everything written, and sent to whoever streams.

    VerbError ``database.stop_timeout`` when it is still there at the deadline (it was asked and may yet end),
    ``database.unclean_stop`` when it is gone and its control file does not say that it was shut down.
    """
    cluster = Cluster(ctx)
    pid = cluster.pid()
    if pid is not None:
        argv = [cluster.program("pg_ctl"), "-D", cluster.data, "-s", "-W", "-m", "fast", "stop"]
        base.run(cluster.as_user(argv), ctx.remaining(), env={"LC_ALL": "C"})
        if not ctx.wait_for(lambda: not cluster.is_server(pid), POLL_SECONDS):
            raise VerbError(
                "database.stop_timeout",
                "the server to end in time",
                "process %d is still shutting down: it waits for a checkpoint or for a standby to receive the rest"
                % pid,
                "lpse-dr status",
                {"pid": pid},
            )
    control = cluster.control()
    if control["state"] not in CLEAN_STATES:
        raise VerbError(
            "database.unclean_stop",
            "the control file to say that the server was shut down",
            control["state"],
            "start it, let it recover, and stop it again",
            {"state": control["state"]},
        )
    return {"changed": pid is not None, "control": control}


def start(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Start the server and wait until it answers SQL; return whether it is in recovery.

    A server that is still shutting down is waited for first. VerbError ``database.start_failed`` with the
    server's own last words.
    """
    cluster = Cluster(ctx)
    log_ends = log_size(cluster)
    changed = False
    while True:
        found = "no server process"
        pid = cluster.pid()
        if pid is not None:
            found = first_answer(cluster)
            if found in ("t", "f"):
                return {"changed": changed, "in_recovery": found == "t"}
        elif not changed:
            launch(ctx, cluster, log_ends)
            changed = True
            continue
        if ctx.remaining() <= 0 or (pid is None and given_up(cluster)):
            raise start_failed(cluster, found, log_ends)
        time.sleep(0.02)


def launch(ctx: Context, cluster: Cluster, log_ends: int) -> None:
    """Ask systemd to start the unit, also one that it has given up on.

    Debian's wrapper goes on for two seconds after the server has answered its first query: not waited for.
    """
    cluster.close_sessions()
    try:
        if cluster.start_command:
            base.run(cluster.as_user(cluster.start_command), ctx.remaining())
            return
        # A server that has just gone may still be an active unit, or one that an earlier start waits for: asking
        # for such a unit changes nothing. One that is being started by somebody else is left to come.
        ctx.wait_for(lambda: cluster.pid() is not None or unit_state(cluster) not in ("active", "pending"), 0.05)
        if cluster.pid() is not None:
            return
        base.run(["systemctl", "reset-failed", cluster.unit], min(5.0, ctx.remaining()), check=False)
        base.run(["systemctl", "--no-block", "start", cluster.unit], ctx.remaining())
    except VerbError as error:
        raise start_failed(cluster, error.found, log_ends) from error


def unit_state(cluster: Cluster) -> str:
    """Return what systemd takes the unit for; "pending" while it still has something to do about it."""
    argv = ["systemctl", "show", "--property=ActiveState,Job", cluster.unit]
    lines = base.run(argv, 5.0, check=False).stdout.splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return "pending" if values.get("Job") not in (None, "", "0") else values.get("ActiveState", "unknown")


def given_up(cluster: Cluster) -> bool:
    """Tell whether nothing will come any more of the start that was asked for."""
    return bool(cluster.start_command) or unit_state(cluster) in ("inactive", "failed")


def start_failed(cluster: Cluster, found: str, log_ends: int) -> VerbError:
    """Return the error of a start, with the server's own words where it said any."""
    found = last_words(cluster, log_ends) or found
    todo = "read %s and journalctl -u %s on this host" % (cluster.log, cluster.unit)
    return VerbError("database.start_failed", "the server to start and to answer", found, todo, {"log": cluster.log})


def first_answer(cluster: Cluster) -> str:
    """Return t or f as the server says whether it is in recovery, or why it does not say it."""
    try:
        return cluster.query("SELECT pg_is_in_recovery()", timeout_seconds=3.0)
    except VerbError as error:
        return error.found


def log_size(cluster: Cluster) -> int:
    """Return where the server's log ends now, 0 where there is none."""
    try:
        return os.path.getsize(cluster.log)
    except OSError:
        return 0


def last_words(cluster: Cluster, log_ends: int) -> Optional[str]:
    """Return the server's last complaint behind ``log_ends``, None where there is none to be read.

    That it refuses connections while it starts or stops is no cause but what was asked of it.
    """
    try:
        with open(cluster.log, "rb") as stream:
            size = os.path.getsize(cluster.log)
            stream.seek(max(log_ends if log_ends <= size else 0, size - 8192))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    complaints = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    complaints = [line for line in complaints if "the database system is " not in line]
    return complaints[-1].strip() if complaints else None

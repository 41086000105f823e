"""Settings and slots that a switch-over needs for its few seconds, and the way back to what stood there before."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any, Dict, List, Optional

from .base import Context, VerbError, state_for_update
from .database_cluster import Cluster
from .psql import SqlError, literal

# With the default of 5 s a promotion that comes within milliseconds of the receiver's end waits those 5 s out.
# A query on the standby must not delay replay. Commits on the new primary must not wait for a standby it has not.
ARMED = {
    "wal_retrieve_retry_interval": "100ms",
    "max_standby_streaming_delay": "0",
    "synchronous_standby_names": "",
}


def arm_target(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Prepare the target: settings, the slot for the site that will be its standby, a checkpoint.

    What stood in postgresql.auto.conf is saved on disk before the first change, once: a second arming, also one
    of a later operation, finds the save and leaves it alone.
    """
    cluster = Cluster(ctx)
    valid_slot(args["slot"])
    with state_for_update() as state:
        if "database_arm" not in state["saved"]:
            state["saved"]["database_arm"] = {"settings": auto_settings(cluster)}
    changed = make_slot(cluster, args["slot"])
    changed = apply_settings(ctx, cluster, dict(ARMED)) or changed
    cluster.query("CHECKPOINT")
    return {"changed": changed, "settings": ARMED}


def disarm_target(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Put back what arming saved, and drop the slot when it is named. Nothing saved: nothing put back."""
    cluster = Cluster(ctx)
    with state_for_update() as state:
        saved = state["saved"].get("database_arm")
    changed = False
    if saved is not None:
        changed = apply_settings(ctx, cluster, saved["settings"])
        # Forgotten only after the server has them again; killed before this line, the next disarm repeats it.
        with state_for_update() as state:
            state["saved"].pop("database_arm", None)
        changed = True
    name = args.get("drop_slot") or ""
    if name:
        changed = remove_slot(ctx, cluster, name) or changed
    return {"changed": changed}


def auto_settings(cluster: Cluster) -> Dict[str, Optional[str]]:
    """Return what ALTER SYSTEM has set of the armed settings, None where it has set nothing.

    The running value says nothing about where it comes from; the last line of postgresql.auto.conf does.
    """
    names = ", ".join(literal(name) for name in ARMED)
    answer = cluster.query(
        "SELECT coalesce(json_object_agg(name, setting ORDER BY seqno), '{}') FROM pg_file_settings"
        " WHERE name IN (%s) AND sourcefile = %s" % (names, literal(auto_conf(cluster)))
    )
    found: Dict[str, Optional[str]] = json.loads(answer)
    return {name: found.get(name) for name in ARMED}


def auto_conf(cluster: Cluster) -> str:
    """Return the path of postgresql.auto.conf as the server itself spells it."""
    return os.path.join(cluster.query("SHOW data_directory"), "postgresql.auto.conf")


def apply_settings(ctx: Context, cluster: Cluster, wanted: Dict[str, Optional[str]]) -> bool:
    """Make postgresql.auto.conf hold exactly these values, and the server use them; tell whether it did not.

    VerbError ``database.setting_stuck`` when the server goes on with another value, as it does with one that
    stands on its command line.
    """
    now = auto_settings(cluster)
    different = {name: value for name, value in wanted.items() if now.get(name) != value}
    for name, value in different.items():
        if value is None:
            cluster.query("ALTER SYSTEM RESET %s" % name)
        else:
            cluster.query("ALTER SYSTEM SET %s = %s" % (name, literal(value)))
    # Also when nothing differed: whoever wrote the file may have been killed before the reload.
    cluster.query("SELECT pg_reload_conf()")
    deadline = time.monotonic() + min(3.0, ctx.remaining())
    while True:
        stuck = not_applied(cluster, wanted)
        if not stuck:
            return bool(different)
        if time.monotonic() > deadline:
            raise VerbError(
                "database.setting_stuck",
                "the server to take over %s from postgresql.auto.conf" % ", ".join(stuck),
                "it goes on with another value",
                "look for the setting on the server's command line, and for errors in pg_file_settings",
                {"settings": stuck},
            )
        time.sleep(0.02)


def not_applied(cluster: Cluster, wanted: Dict[str, Optional[str]]) -> List[str]:
    """Return the settings that the running server does not take from postgresql.auto.conf as wanted."""
    names = ", ".join(literal(name) for name in wanted)
    answer = cluster.query(
        "SELECT json_object_agg(name, json_build_array(current_setting(name),"
        " coalesce(sourcefile, '') LIKE '%%/postgresql.auto.conf')) FROM pg_settings WHERE name IN (%s)" % names
    )
    stuck = []
    for name, (value, from_auto) in json.loads(answer).items():
        target = wanted[name]
        if target is None:
            applied = not from_auto
        elif target == ARMED[name]:
            applied = value == target
        else:
            # A saved value may be spelled otherwise than the server shows it (5000 and 5s).
            applied = value == target or from_auto
        if not applied:
            stuck.append(name)
    return stuck


def valid_slot(name: str) -> str:
    """Return the name of a slot; VerbError ``database.slot_name`` for one that PostgreSQL would not take."""
    if not re.match(r"^[a-z0-9_]{1,63}$", name):
        raise VerbError("database.slot_name", "small letters, digits and _", name)
    return name


def read_slot(cluster: Cluster, name: str) -> Optional[Dict[str, Any]]:
    """Return type, activity and state of a slot, None where there is none of that name."""
    answer = cluster.query(
        "SELECT json_build_object('slot_type', slot_type, 'active', active, 'restart_lsn', restart_lsn,"
        " 'wal_status', wal_status) FROM pg_replication_slots WHERE slot_name = %s" % literal(valid_slot(name))
    )
    slot: Optional[Dict[str, Any]] = json.loads(answer) if answer else None
    return slot


def make_slot(cluster: Cluster, name: str) -> bool:
    """Let there be a physical slot that keeps write-ahead log from now on; tell whether there was none.

    One that keeps nothing, or whose log is already gone, is made anew.
    """
    slot = read_slot(cluster, name)
    if slot is not None:
        if slot["slot_type"] != "physical":
            raise VerbError("database.slot_name", "%s to be free for a physical slot" % name, "a logical slot")
        if slot["active"] or (slot["restart_lsn"] and slot["wal_status"] != "lost"):
            return False
        cluster.query("SELECT pg_drop_replication_slot(%s)" % literal(name))
    try:
        cluster.query("SELECT pg_create_physical_replication_slot(%s, true)" % literal(name))
    except SqlError as error:
        # Cancelled by replay after the slot was there, and asked again.
        slot = read_slot(cluster, name)
        if error.data.get("sqlstate") != "42710" or not slot or not slot["restart_lsn"]:
            raise
    return True


def remove_slot(ctx: Context, cluster: Cluster, name: str) -> bool:
    """Let there be no such slot; tell whether there was one. VerbError ``database.slot_active`` while it is used.

    A sender whose standby has just gone takes a moment to notice.
    """
    deadline = time.monotonic() + min(2.0, ctx.remaining())
    while True:
        slot = read_slot(cluster, name)
        if slot is None:
            return False
        if not slot["active"]:
            cluster.query("SELECT pg_drop_replication_slot(%s)" % literal(name))
            return True
        if time.monotonic() > deadline:
            raise VerbError(
                "database.slot_active",
                "slot %s to be unused" % name,
                "a standby reads from it",
                "lpse-dr status",
                {"slot": name},
            )
        time.sleep(0.05)


def ensure_slot(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let there be a physical slot that keeps write-ahead log for a standby."""
    return {"changed": make_slot(Cluster(ctx), args["slot"])}


def drop_slot(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let there be no such slot; one in use is left alone and named."""
    return {"changed": remove_slot(ctx, Cluster(ctx), args["slot"])}


def checkpoint(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Write out what is dirty, so that the checkpoint of the stop finds little left."""
    Cluster(ctx).query("CHECKPOINT")
    return {"changed": True}

"""The settings of a database that a halt changes, and what stood there before it."""

from __future__ import annotations

import json
import os
import re
from typing import Dict, Optional

from . import base
from .base import Context, VerbError, run, write_atomic
from .database_arming import auto_conf
from .database_cluster import Cluster
from .psql import literal

# What is written into postgresql.auto.conf, beside the position itself. Not inclusive: the record that begins at the
# point is the first one that is not replayed.
PIN = {"recovery_target_inclusive": "off", "recovery_target_action": "pause", "primary_conninfo": ""}
NAMES = ("recovery_target_lsn", *PIN)
POLL_SECONDS = 0.01


def saved_path() -> str:
    """Return the file with the settings that stood there before; a conninfo may hold a password, the state file is for all."""
    return os.path.join(base.STATE_FOLDER, "database_halted.json")


def auto_values(cluster: Cluster) -> Dict[str, Optional[str]]:
    """Return what postgresql.auto.conf sets of the names that a halt changes, None where it sets nothing."""
    names = ", ".join(literal(name) for name in NAMES)
    found: Dict[str, Optional[str]] = json.loads(
        cluster.query(
            "SELECT coalesce(json_object_agg(name, setting ORDER BY seqno), '{}') FROM pg_file_settings"
            " WHERE name IN (%s) AND sourcefile = %s" % (names, literal(auto_conf(cluster)))
        )
    )
    return {name: found.get(name) for name in NAMES}


def save(values: Dict[str, Optional[str]]) -> None:
    """Keep what stood there, once: what a halt itself has written is nothing to go back to."""
    if read_saved() is None:
        os.makedirs(base.STATE_FOLDER, mode=0o755, exist_ok=True)
        write_atomic(saved_path(), json.dumps(values, sort_keys=True) + "\n", 0o600)


def read_saved() -> Optional[Dict[str, Optional[str]]]:
    """Return what was kept, None where nothing is; VerbError ``state.unreadable`` for a file that cannot be used."""
    try:
        with open(saved_path(), encoding="utf-8") as stream:
            found: Dict[str, Optional[str]] = json.load(stream)
        return {name: found[name] for name in NAMES}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerbError("state.unreadable", "%s to hold settings" % saved_path(), repr(error)) from error


def write_settings(ctx: Context, cluster: Cluster, wanted: Dict[str, Optional[str]], conninfo: Optional[str]) -> bool:
    """Make postgresql.auto.conf hold these values; wait until the server's conninfo is ``conninfo`` (None: any but none)."""
    now = auto_values(cluster)
    different = {name: value for name, value in wanted.items() if now[name] != value}
    if different:
        # No password of a conninfo belongs into the server's log.
        cluster.query("SET log_statement = 'none'")
    for name, value in different.items():
        cluster.query(
            "ALTER SYSTEM RESET %s" % name if value is None else "ALTER SYSTEM SET %s = %s" % (name, literal(value))
        )
    cluster.query("SELECT pg_reload_conf()")

    def applied() -> bool:
        found = cluster.query("SHOW primary_conninfo")
        return bool(found) if conninfo is None else found == conninfo

    if not ctx.wait_for(applied, POLL_SECONDS):
        raise VerbError(
            "database.setting_stuck",
            "the server to take over primary_conninfo from postgresql.auto.conf",
            "it goes on with another value",
            "look for the setting on the server's command line, and for errors in pg_file_settings",
            {"settings": ["primary_conninfo"]},
        )
    return bool(different)


def read_auto_conf(cluster: Cluster) -> str:
    """Return postgresql.auto.conf of a server that does not run."""
    with open(os.path.join(cluster.data, "postgresql.auto.conf"), encoding="utf-8") as stream:
        return stream.read()


def write_auto_conf(cluster: Cluster, text: str) -> None:
    """Replace postgresql.auto.conf of a server that does not run, which its owner must still be able to read."""
    path = os.path.join(cluster.data, "postgresql.auto.conf")
    owner = os.stat(path)
    write_atomic(path, text, 0o600)
    os.chown(path, owner.st_uid, owner.st_gid)


def parse_auto_conf(text: str) -> Dict[str, str]:
    """Return the settings of a postgresql.auto.conf: the last line of a name counts."""
    pairs = re.findall(r"(?m)^\s*(\w+)\s*=\s*'((?:[^'\\]|''|\\.)*)'\s*$", text)
    return {name: re.sub(r"\\(.)", r"\1", value.replace("''", "'")) for name, value in pairs}


def own_conninfo(ctx: Context) -> str:
    """Return where this server would receive from, whether it runs or not."""
    cluster = Cluster(ctx)
    if cluster.pid() is not None:
        return cluster.query("SHOW primary_conninfo")
    argv = [cluster.program("postgres"), "-D", cluster.data, "-C", "primary_conninfo"]
    config = "/etc/postgresql/%s/postgresql.conf" % cluster.name
    argv += ["-c", "config_file=%s" % config] if os.path.exists(config) else []
    return run(cluster.as_user(argv), 3.0, check=False).stdout.strip()

"""What must be known before a standby is made: sizes, where this side's log really ends, whether pg_rewind could work."""

from __future__ import annotations

import contextlib
import os
import re
from functools import wraps
from typing import Any, Dict, List, Optional, Tuple

from . import base
from .base import Context, Verb, VerbError
from .database_cluster import Cluster
from .database_reading import conninfo_values
from .lsn import int_to_lsn, lsn_to_int
from .standby_place import home, next_folder, record, secret, sizes, without_password

WALDUMP_SECONDS = 60.0
PAGE_BYTES = 8192
# What a role needs so that pg_rewind may read through SQL.
RIGHTS = (
    "pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)", "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)  # fmt: skip


def measure(ctx: Context, database: Dict[str, Any]) -> Dict[str, Any]:
    """Return the figures of this side; what cannot be known is None. ``database`` is the reading beside which they stand. Never raises."""
    cluster = Cluster(ctx)
    data = os.path.realpath(cluster.data)
    found: Dict[str, Any] = {
        "exists": os.path.exists(os.path.join(data, "PG_VERSION")), "major": None, "data_bytes": None, "wal_bytes": None,
        "oldest_wal_lsn": None, "free_bytes": None, "next_bytes": sum(sizes(next_folder(cluster))), "end_lsn": None,
        "hints": None, "tablespaces": None, "mount": os.path.ismount(data), "conninfo_host": None, "slot_name": None,
        "rewind_ok": False, "rewind_error": None, "kept": kept_folders(data), "record": record(),
    }  # fmt: skip
    with contextlib.suppress(OSError):
        disk = os.statvfs(os.path.dirname(data))
        found["free_bytes"] = disk.f_bavail * disk.f_frsize
    with contextlib.suppress(VerbError):
        shown = re.search(r"(\d+)", base.run([cluster.program("postgres"), "-V"], 3.0).stdout)
        found["major"] = int(shown[1]) if shown else None
    if found["exists"]:
        found["data_bytes"], found["wal_bytes"] = sizes(data)
        with contextlib.suppress(OSError):
            found["tablespaces"] = len(os.listdir(os.path.join(data, "pg_tblspc")))
        control = database.get("control") or {}
        if control:
            found["oldest_wal_lsn"] = oldest(data, int(control["wal_segment_bytes"]))
            found["hints"] = control["checksums"] or hints(cluster)
        if control and database.get("in_recovery") is not False:
            found["end_lsn"] = end_of_log(cluster, data, control)
    conninfo = setting(ctx, cluster, "primary_conninfo")
    found["conninfo_host"] = conninfo_values(conninfo).get("host") or conninfo_values(conninfo).get("hostaddr")
    found["slot_name"] = setting(ctx, cluster, "primary_slot_name") or None
    if conninfo and database.get("writable") is False:
        found.update(try_rewind(ctx, cluster, conninfo))
    return found


def kept_folders(data: str) -> List[str]:
    """Return the old data directories that earlier runs have left."""
    parent, name = os.path.split(data)
    with contextlib.suppress(OSError):
        return sorted(os.path.join(parent, item) for item in os.listdir(parent) if item.startswith(name + ".before-"))
    return []


def setting(ctx: Context, cluster: Cluster, name: str) -> str:
    """Return a setting of this server from its files, whether it runs or not, and whether there is a data directory; "" for none."""
    config = ctx.config.get("database_config_directory") or "/etc/postgresql/" + cluster.name
    path = os.path.join(str(config), "postgresql.conf")
    argv = [cluster.program("postgres"), "-C", name]
    # Where the configuration lies in the data directory there is nothing without it.
    # It asks for these before it answers, and reads neither.
    argv += ["-c", "hba_file=/dev/null", "-c", "ident_file=/dev/null"]
    argv += ["-c", "config_file=" + path] if os.path.exists(path) else ["-D", cluster.data]
    with contextlib.suppress(VerbError):
        return base.run(cluster.as_user(argv), 3.0, env=home(cluster)).stdout.strip()
    return ""


def hints(cluster: Cluster) -> Optional[bool]:
    """Return whether the data directory was written with wal_log_hints, as its control file says."""
    with contextlib.suppress(VerbError):
        text = base.run([cluster.program("pg_controldata"), "-D", cluster.data], 3.0, env={"LC_ALL": "C"}).stdout
        found = re.search(r"(?m)^wal_log_hints setting:\s*(\w+)", text)
        return found[1] == "on" if found else None
    return None


def oldest(data: str, segment_bytes: int) -> Optional[str]:
    """Return where the oldest piece of log that is still here begins."""
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(os.path.join(data, "pg_wal")) if re.fullmatch(r"[0-9A-F]{24}", name)]
        # By position, not by timeline: the pieces before a fork are there under the older number.
        places = [(int(name[8:16], 16) << 32) + int(name[16:24], 16) * segment_bytes for name in names]
        return int_to_lsn(min(places)) if places else None
    return None


def end_of_log(cluster: Cluster, data: str, control: Dict[str, Any]) -> Optional[str]:
    """Return where this side's own log ends, by reading it from the last checkpoint on; None where that cannot be said.

    The control file does not say it: of a server that was killed, the last checkpoint is long past; of one that was shut
    down cleanly, that checkpoint itself may be what the other side never got.
    """
    ends = []
    for timeline in sorted({control["timeline"], control["min_recovery_timeline"]} - {0}):
        argv = [cluster.program("pg_waldump"), "-q", "-p", os.path.join(data, "pg_wal"), "-t", str(timeline)]
        argv += ["-s", control["redo_lsn"]]
        try:
            said = base.run(argv, WALDUMP_SECONDS, check=False, env={"LC_ALL": "C"}).stderr
            end, last = parse_end(said)
            if end is not None:
                ends.append(lsn_to_int(end))
            elif last is not None:
                one = [*argv[:-1], last, "-n", "1"]
                one.remove("-q")
                shown = base.run(one, 10.0, check=False, env={"LC_ALL": "C"}).stdout
                ends.append(record_end(shown, lsn_to_int(last), int(control["wal_segment_bytes"])))
        except VerbError:
            return None
    return int_to_lsn(max(ends)) if ends else None


def parse_end(said: str) -> Tuple[Optional[str], Optional[str]]:
    """Return (where no further record was found, where the last good one begins) from the error with which pg_waldump ends.

    Behind the end lies nothing, or what is left of a piece of log that was used before; of the latter it names no place.
    """
    found = re.findall(r"error in WAL record at ([0-9A-F]+/[0-9A-F]+):(?:.* at ([0-9A-F]+/[0-9A-F]+))?", said)[-1:]
    return (found[0][1] or None, found[0][0]) if found else (None, None)


def record_end(shown: str, start: int, segment_bytes: int) -> int:
    """Return where the record at ``start`` ends, as pg_waldump shows its length; VerbError where it shows none.

    Each page begins with a header, the first one of a segment with a longer one.
    """
    length = re.search(r"len \(rec/tot\):\s*\d+/\s*(\d+)", shown)
    if length is None:
        raise VerbError("database.lsn_unreadable", "the last record of the log", shown[:80] or "nothing")
    place, left = start, int(length[1])
    while left > 0:
        if place % PAGE_BYTES == 0:
            place += 24 if place % segment_bytes else 40
        step = min(left, PAGE_BYTES - place % PAGE_BYTES)
        place, left = place + step, left - step
    return (place + 7) // 8 * 8


def in_database(conninfo: str) -> str:
    """Return a conninfo for replication as one for the database that every server has."""
    if "://" not in conninfo:
        return conninfo + " dbname=postgres"
    place, _, more = conninfo.partition("?")
    head, _, rest = place.partition("://")
    return "%s://%s/postgres%s" % (head, rest.partition("/")[0], "?" + more if more else "")


def try_rewind(ctx: Context, cluster: Cluster, conninfo: str) -> Dict[str, Any]:
    """Return whether the other side would let pg_rewind read there, with its own words where not."""
    wanted = ", ".join("'pg_catalog.%s'" % right for right in RIGHTS)
    statement = "SELECT bool_and(has_function_privilege(name, 'execute')) FROM unnest(ARRAY[%s]) AS name" % wanted
    plain, passes = without_password(cluster, conninfo)
    argv = [cluster.program("psql"), "-XAtqw", "-d", in_database(plain), "-c", statement]
    try:
        answer = base.run(cluster.as_user(argv), 5.0, env={**home(cluster), **secret(passes)}).stdout.strip()
    except VerbError as error:
        return {"rewind_ok": False, "rewind_error": error.found}
    finally:
        if passes is not None:
            os.unlink(passes)
    return {"rewind_ok": answer == "t", "rewind_error": None if answer == "t" else "the role may not read files"}


def measured(status: Verb) -> Verb:
    """Let a reading verb of a database also say what ``measure`` finds, where ``sizes`` is asked for: it takes longer."""

    @wraps(status)
    def both(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
        result = status(ctx, args)
        if args.get("sizes"):
            database = result["reading"]["database"]
            database["standby"] = measure(ctx, database)
        return result

    return both

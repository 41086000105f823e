"""Verbs that keep what only a lost site has: rows, read from a copy of its database, and documents. Before anything is wound back."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, Dict, Iterator, List, Optional, Tuple

from . import base, database_documents
from .base import STATE_FOLDER, Context, Verb, VerbError, now_iso, sync_folder, write_atomic
from .database_cluster import CLEAN_STATES, Cluster
from .failover import _inside
from .files_halt import _documents
from .files_place import hash_file, own_folder, root_of
from .standby_place import (
    POLL_SECONDS,
    Job,
    begin,
    clear_next,
    end_strays,
    failure,
    home,
    job_of,
    mortal,
    next_folder,
    note,
    progress,
    record,
    sizes,
)

SOCKETS = "/run/lpse-dr-salvage"
PORT = 5499
SPARE_BYTES = 64 << 20
SEED = "lpse-dr replication seed --to %s"


def copy(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Copy this side's data directory beside it; ask again while ``left`` is not 0. Its server must be down."""
    cluster = Cluster(ctx)
    folder, known = next_folder(cluster), record()
    job = job_of(ctx, "copy")
    if job is None:
        if known.get("epoch") == args["epoch"] and known.get("phase") in ("copied", "salvaged", "ready", "swapped"):
            return {"changed": False, "left": 0}
        if args.get("rows_only") and read_rows(int(args["epoch"])) is not None:
            # Salvaged by an earlier run, and the copy is needed for nothing else.
            return {"changed": False, "left": 0}
        if cluster.pid() is not None:
            raise VerbError("standby.server_runs", "no server at work", "it runs", "lpse-dr status")
        clear_next(cluster)
        note({"phase": "copying", "epoch": args["epoch"], "run": (ctx.operation or {}).get("run")})
        argv = ["cp", "-a", "--reflink=auto", os.path.realpath(cluster.data), folder]
        job = begin(ctx, Job("copy", mortal(argv), {}))
    if not job.ended(min(POLL_SECONDS, ctx.remaining())):
        return progress(job, sum(sizes(folder)), sum(sizes(os.path.realpath(cluster.data))))
    failed = failure(ctx, job)
    if failed:
        raise VerbError("salvage.copy_failed", "the copy to succeed", failed, "lpse-dr failback --to %s" % ctx.site)
    for name in ("standby.signal", "recovery.signal", "postmaster.pid"):
        if os.path.exists(os.path.join(folder, name)):
            os.unlink(os.path.join(folder, name))
    sync_folder(folder)
    note({"phase": "copied"})
    return {"changed": True, "left": 0}


class Aside:
    """A server on the copy that nobody can reach: a socket of its own in a folder of its own, no TCP, nothing archived."""

    def __init__(self, ctx: Context, cluster: Cluster) -> None:
        self.folder = next_folder(cluster)
        self._cluster = cluster
        os.makedirs(SOCKETS, mode=0o700, exist_ok=True)
        owner = os.stat(self.folder)
        os.chown(SOCKETS, owner.st_uid, owner.st_gid)
        doors = os.path.join(SOCKETS, "pg_hba.conf")
        with open(doors, "w", encoding="utf-8") as stream:
            stream.write("local all %s peer\n" % cluster.user)
        os.chown(doors, owner.st_uid, owner.st_gid)
        config = ctx.config.get("database_config_directory") or "/etc/postgresql/" + cluster.name
        path = os.path.join(str(config), "postgresql.conf")
        values = {
            "data_directory": self.folder, "hba_file": doors, "listen_addresses": "", "port": str(PORT),
            "unix_socket_directories": SOCKETS, "external_pid_file": "", "archive_mode": "off", "autovacuum": "off",
            "ssl": "off", "synchronous_standby_names": "", "primary_conninfo": "", "logging_collector": "off",
            "max_wal_senders": "0", "cluster_name": "lpse-dr-salvage", "default_transaction_read_only": "on",
            # The settings of a moment that may have been copied along.
            "recovery_target_lsn": "", "restore_command": "",
        }  # fmt: skip
        argv = [cluster.program("postgres"), "-D", self.folder]
        if os.path.exists(path):
            values["config_file"] = path
        for name, value in values.items():
            argv += ["-c", "%s=%s" % (name, value)]
        # SIGINT is PostgreSQL's fast shutdown.
        self._job = Job("salvage", cluster.as_user(mortal(argv, "INT")), home(cluster))
        config_aside = {**ctx.config, "database_data_directory": self.folder, "database_socket_directory": SOCKETS}
        config_aside["database_port"] = PORT
        self.ctx = Context(ctx.host, ctx.site, config_aside, None, ctx.remaining())
        self.cluster = Cluster(self.ctx)

    def await_open(self) -> None:
        """Wait until it has recovered; VerbError ``salvage.unreadable`` with its own words where it does not."""
        while True:
            if self._job.ended(0.1):
                raise self._unreadable(self._job.last_words())
            try:
                if self.cluster.ask("SELECT pg_is_in_recovery()", 2.0) == "f":
                    return
            except VerbError as error:
                if self.ctx.remaining() <= 1:
                    raise self._unreadable(error.found) from error

    def _unreadable(self, found: str) -> VerbError:
        return VerbError(
            "salvage.unreadable",
            "the copy of the old database to open",
            found,
            SEED % self.ctx.site,
            {"log": self._job.log},
        )

    def close(self) -> None:
        """Shut it down fast and cleanly."""
        pid = self.cluster.pid()
        if pid is not None:
            argv = [self.cluster.program("pg_ctl"), "-D", self.folder, "-s", "-w", "-t", "60", "-m", "fast", "stop"]
            base.run(self.cluster.as_user(argv), 65.0, check=False, env={"LC_ALL": "C"})
        if not self._job.ended(2.0):
            self._job.close()


def rows(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Keep the rows that only this side has, or has otherwise; {rows, checked}. ``there`` are the active side's.

    Read from the copy, which is then shut down cleanly. Done once an epoch: a copy that was wound back knows nothing any
    more, so what was kept is never replaced.
    """
    epoch, kept = int(args["epoch"]), read_rows(int(args["epoch"]))
    known, cluster = record(), Cluster(ctx)
    if kept is None or known.get("phase") == "copied":
        end_strays(next_folder(cluster))
        aside = Aside(ctx, cluster)
        try:
            aside.await_open()
            own = database_documents.rows(aside.ctx, aside.cluster) if database_documents.configured(ctx) else []
        finally:
            aside.close()
        state = aside.cluster.control()["state"]
        if state not in CLEAN_STATES:
            raise VerbError("salvage.unreadable", "the copy to be shut down cleanly", state, SEED % ctx.site)
        if kept is None:
            kept = {"epoch": epoch, "at": now_iso(), "checked": len(own), "rows": only_here(own, args["there"])}
            write_atomic(rows_path(epoch), json.dumps(kept, sort_keys=True) + "\n", 0o640)
            if read_rows(epoch) != kept:
                raise VerbError("salvage.unreadable", "what was kept to read as it was written", rows_path(epoch))
        note({"phase": "salvaged", "salvaged": epoch})
    return {"changed": True, "rows": kept["rows"], "checked": kept["checked"], "kept": rows_path(epoch)}


def only_here(own: List[Dict[str, Any]], there: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return the rows that the other side has not, or has with another content, each with ``reason`` only | different."""
    known = {str(row["id"]): row for row in there}
    found = []
    for row in own:
        other = known.get(str(row["id"]))
        if other != row:
            found.append({**row, "reason": "only" if other is None else "different"})
    return found


def rows_path(epoch: int) -> str:
    """Return where the rows of one epoch are kept."""
    return os.path.join(STATE_FOLDER, "salvage-%d-rows.json" % epoch)


def read_rows(epoch: int) -> Optional[Dict[str, Any]]:
    """Return what was kept, None where nothing was."""
    try:
        with open(rows_path(epoch), encoding="utf-8") as stream:
            found: Dict[str, Any] = json.load(stream)
        return found
    except (OSError, ValueError):
        return None


def names(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {paths}: every document that is here."""
    return {"changed": False, "paths": [path for path, _stat in _documents(ctx, root_of(ctx), "")]}


def documents(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Keep a copy of every document that only this side has, with its hash, and list all that was salvaged.

    ``there`` are the active side's names, ``rows`` what ``rows`` found, ``known`` the active side's rows: they say whose a
    document is. {rows, documents, bytes, folder, list}; ``list`` is JSON. Documents stay where they are, untouched.
    """
    root, epoch = root_of(ctx), int(args["epoch"])
    folder = own_folder(root, "salvage", "epoch-%d" % epoch)
    kept = _kept(folder)
    there = set(args["there"])
    owners = {_inside(row): row for row in [*args["known"], *args["rows"]]}
    wanted = {path: stat.st_size for path, stat in _documents(ctx, root, "") if path not in there or path in kept}
    size = sum(wanted.values())
    _room(folder, sum(bytes_ for path, bytes_ in wanted.items() if path not in kept))
    hashes = {path: _keep(root, folder, path) for path in wanted}
    for path, value in kept.items():
        hashes.setdefault(path, value)
    _verify(folder, hashes)
    listed = [
        {**row, "document": "kept" if _inside(row) in hashes else "there" if _inside(row) in there else "missing",
         "found_sha256": hashes.get(_inside(row))}
        for row in args["rows"]
    ]  # fmt: skip
    named = {_inside(row) for row in args["rows"]}
    for path, value in sorted(hashes.items()):
        if path not in named:
            owner = owners.get(path) or {
                "id": None,
                "path": path,
                "sha256": None,
                "vendor": None,
                "tender": None,
                "at": None,
            }
            listed.append({**owner, "path": path, "reason": "document", "document": "kept", "found_sha256": value})
    text = json.dumps({"epoch": epoch, "at": now_iso(), "folder": folder, "salvaged": listed}, sort_keys=True)
    write_atomic(os.path.join(folder, "salvage.json"), text + "\n", 0o640)
    return {
        "changed": True, "rows": len(args["rows"]), "documents": len(hashes), "bytes": size, "folder": folder, "list": text,
    }  # fmt: skip


def _room(folder: str, needed: int) -> None:
    """Refuse to fill the disk on which the service will lay documents again."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < needed + SPARE_BYTES:
        raise VerbError(
            "salvage.room", "%d bytes free for copies of documents" % (needed + SPARE_BYTES), "%d bytes" % free,
            "make room beside the documents; never delete bids",
        )  # fmt: skip


def _kept(folder: str) -> Dict[str, str]:
    """Return what an earlier run has kept, by path: it stays in the list when the active side has it meanwhile."""
    found: Dict[str, str] = {}
    for path, whole in _walk(os.path.join(folder, "files"), ""):
        value = hash_file(whole)
        if value:
            found[path] = value
    return found


def _walk(folder: str, below: str) -> Iterator[Tuple[str, str]]:
    if not os.path.isdir(folder):
        return
    for entry in sorted(os.scandir(folder), key=lambda item: item.name):
        path = os.path.join(below, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, path)
        elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(".part"):
            yield path, entry.path


def _keep(root: str, folder: str, path: str) -> str:
    """Copy one document into the folder of what was salvaged, on disk when this returns; return its hash."""
    target = os.path.join(folder, "files", path)
    source = os.path.join(root, path)
    if hash_file(target) is None:
        os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
        shutil.copy2(source, target + ".part", follow_symlinks=False)
        os.rename(target + ".part", target)
    value, original = hash_file(target, durable=True), hash_file(source)
    if value is None or value != original:
        raise VerbError(
            "salvage.differs", "the copy of %s to be equal" % path, str(value), "lpse-dr failback --to SITE"
        )
    return value


def _verify(folder: str, hashes: Dict[str, str]) -> None:
    """Write the hashes beside the documents, in the format of sha256sum."""
    lines = "".join("%s  files/%s\n" % (value, path) for path, value in sorted(hashes.items()))
    write_atomic(os.path.join(folder, "SHA256SUMS"), lines, 0o640)


VERBS: Dict[str, Verb] = {"copy": copy, "rows": rows, "names": names, "documents": documents}

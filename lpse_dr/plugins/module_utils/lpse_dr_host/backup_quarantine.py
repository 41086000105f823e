"""Bring a set up where it can do no harm: as somebody without rights, in a network name space with nothing in it.

Restoring a dump executes what is in it. So the server, and everything that speaks to it, is confined; production is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any, Dict, List

from . import backup_archive
from .backup_copy import copy_parts
from .backup_job import Progress
from .backup_place import ARCHIVE, DUMP, SET_NAME, SetError, path_of, provenance, read_manifest, verdict_of
from .backup_scan import account_of, confined
from .base import Context, VerbError, now_iso, run, write_atomic
from .files_place import hash_file

START_SECONDS = 60
DATABASE = "quarantine"


def place(ctx: Context, name: str) -> str:
    """Return the folder in which a set is brought up."""
    if not SET_NAME.fullmatch(name):
        raise VerbError("backup.set_unknown", "the name of a set", repr(name), "lpse-dr backup list")
    return os.path.join(str(ctx.config["backup_quarantine_folder"]), "restored", name)


def unit(name: str) -> str:
    """Return the name of the unit in which a set's database runs."""
    return "lpse-dr-quarantine-%s.service" % name.lower()


def restored(ctx: Context) -> List[Dict[str, Any]]:
    """Return what lies in the quarantine: {set, running, checked}."""
    folder, found = os.path.join(str(ctx.config["backup_quarantine_folder"]), "restored"), []
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder)):
            if SET_NAME.fullmatch(name):
                found.append({"set": name, "running": active(name), "checked": _checked(os.path.join(folder, name))})
    return found


def active(name: str) -> bool:
    """Tell whether a set's database runs."""
    return run(["systemctl", "is-active", unit(name)], 5.0, check=False).stdout.strip() == "active"


def _checked(folder: str) -> Any:
    path = os.path.join(folder, "checked.json")
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        return json.load(stream)
    return None


def restore(ctx: Context, args: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Bring a set up and check it, reading only; what an attempt before has left goes first."""
    name = str(args["set"])
    source, folder = path_of(ctx, name), place(ctx, name)
    cleanup(ctx, {"set": name})
    user = account_of(str(ctx.config["backup_quarantine_user"]))
    try:
        manifest = read_manifest(source)
        proof = provenance(name, manifest["manifest_sha256"], dict(args.get("recorded") or {}))
        if proof["proof"] in ("none", "forged"):
            raise SetError(str(proof["proof"]), str(proof["found"]))
        os.makedirs(folder, mode=0o711)
        for each in (os.path.dirname(os.path.dirname(folder)), os.path.dirname(folder), folder):
            os.chmod(each, 0o711)
        progress.phase("copy", sum(part["bytes"] for part in manifest["parts"]))
        copy_parts(source, manifest, folder, progress)
        for below in ("data", "socket", "files"):
            os.mkdir(os.path.join(folder, below), 0o700)
            os.chown(os.path.join(folder, below), user.pw_uid, user.pw_gid)
        progress.phase("documents", os.path.getsize(os.path.join(folder, ARCHIVE)))
        _unpack(folder, user, progress)
        progress.phase("database")
        _start(ctx, name, folder)
        _load(ctx, folder)
        progress.phase("check")
        checked = _check(ctx, name, folder)
    except SetError as error:
        cleanup(ctx, {"set": name})
        raise VerbError(
            "backup.set_damaged",
            "a set that is what was taken",
            "%s: %s" % (error.id, error.found),
            "lpse-dr backup list",
            {"set": name},
        ) from error
    except BaseException:
        cleanup(ctx, {"set": name})
        raise
    verdict = verdict_of(name, manifest["manifest_sha256"])
    checked.update(
        set=name,
        proof=proof["proof"],
        verdict=verdict["verdict"] if verdict else None,
        at=now_iso(),
        expected_documents=manifest["documents"]["count"],
        expected_bids=((verdict or {}).get("figures") or {}).get("rows"),
    )
    write_atomic(os.path.join(folder, "checked.json"), json.dumps(checked) + "\n", 0o600)
    return checked  # fmt: skip


def _unpack(folder: str, user: Any, progress: Progress) -> None:
    root = os.path.join(folder, "files")
    for member, content in backup_archive.members(folder):
        path = os.path.join(root, member.name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        with os.fdopen(descriptor, "wb") as copy:
            for piece in backup_archive.pieces(content):
                copy.write(piece)
                progress.add(len(piece))
    for below, folders, files in os.walk(root):
        for name in [*folders, *files]:
            os.chown(os.path.join(below, name), user.pw_uid, user.pw_gid)
    os.unlink(os.path.join(folder, ARCHIVE))


def _program(ctx: Context, name: str) -> str:
    return os.path.join(str(ctx.config["backup_postgresql_bin"]), name)


def _quiet(ctx: Context, argv: List[str], seconds: float) -> str:
    return run(
        confined(str(ctx.config["backup_quarantine_user"]), argv),
        seconds,
        env={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
    ).stdout


def _start(ctx: Context, name: str, folder: str) -> None:
    """Make an empty cluster and start it as a unit of its own, which outlives this process and ends with ``cleanup``."""
    data, channel = os.path.join(folder, "data"), os.path.join(folder, "socket")
    _quiet(
        ctx,
        [
            _program(ctx, "initdb"),
            "-D",
            data,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ],
        120,
    )
    settings = {"listen_addresses": "''", "unix_socket_directories": "'%s'" % channel, "unix_socket_permissions": "0700",
                "fsync": "off", "max_connections": "10", "shared_buffers": "64MB", "jit": "off"}  # fmt: skip
    with open(os.path.join(data, "postgresql.conf"), "a", encoding="utf-8") as stream:
        stream.writelines("%s = %s\n" % pair for pair in settings.items())
    limits = ["User=%s" % ctx.config["backup_quarantine_user"], "PrivateNetwork=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=",
              "ProtectSystem=strict", "ReadWritePaths=%s %s" % (data, channel), "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
              "RestrictAddressFamilies=AF_UNIX", "RestrictSUIDSGID=yes", "KillSignal=SIGINT", "TimeoutStopSec=10"]  # fmt: skip
    words = [word for limit in limits for word in ("--property", limit)]
    run(
        [
            "systemd-run",
            "--quiet",
            "--unit",
            unit(name),
            "--collect",
            *words,
            "--",
            _program(ctx, "postgres"),
            "-D",
            data,
        ],
        30,
    )
    if not Context(ctx.host, ctx.site, ctx.config, None, START_SECONDS).wait_for(lambda: _answers(ctx, folder), 0.2):
        said = (
            run(["journalctl", "-q", "-n", "3", "-o", "cat", "-u", unit(name)], 10, check=False)
            .stdout.strip()
            .splitlines()
        )
        raise VerbError(
            "backup.quarantine_failed",
            "a database that starts in the quarantine",
            said[-1] if said else "no answer",
            "lpse-dr backup cleanup " + name,
            {"set": name},
        )


def _answers(ctx: Context, folder: str) -> bool:
    try:
        return _sql(ctx, folder, "SELECT 1", "postgres") == "1"
    except VerbError:
        return False


def _sql(ctx: Context, folder: str, statement: str, database: str = DATABASE, seconds: float = 600) -> str:
    argv = [
        _program(ctx, "psql"),
        "-XAtq",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        os.path.join(folder, "socket"),
        "-d",
        database,
        "-c",
        statement,
    ]
    return _quiet(ctx, argv, seconds).strip()


def _load(ctx: Context, folder: str) -> None:
    _sql(ctx, folder, "CREATE DATABASE " + DATABASE, "postgres")
    # The accounts of production are not in a dump and are not wanted here: everything belongs to the one who may do nothing.
    user = str(ctx.config["backup_quarantine_user"])
    dump = os.path.join(folder, DUMP)
    os.chown(dump, account_of(user).pw_uid, -1)
    argv = [
        _program(ctx, "pg_restore"),
        "--exit-on-error",
        "--no-owner",
        "--no-acl",
        "-h",
        os.path.join(folder, "socket"),
        "-d",
        DATABASE,
        dump,
    ]
    run(confined(user, argv), 86400, env={"LC_ALL": "C.UTF-8"})
    os.unlink(dump)
    _sql(ctx, folder, "ALTER SYSTEM SET default_transaction_read_only = on", "postgres")
    _sql(ctx, folder, "SELECT pg_reload_conf()", "postgres")


def _check(ctx: Context, name: str, folder: str) -> Dict[str, Any]:
    """Count tenders and bids, and look for every bid's document; reading only. Proves that there is no network."""
    pid = run(["systemctl", "show", "-p", "MainPID", "--value", unit(name)], 5.0).stdout.strip()
    with open("/proc/%s/net/dev" % pid, encoding="ascii") as stream:
        interfaces = [line.partition(":")[0].strip() for line in stream.readlines()[2:]]
    owner = os.stat("/proc/%s" % pid).st_uid
    if interfaces not in ([], ["lo"]) or owner == 0:
        raise VerbError(
            "backup.quarantine_open",
            "no network and no rights in the quarantine",
            "uid %d, %s" % (owner, ", ".join(interfaces)),
            "lpse-dr backup cleanup " + name,
            {"set": name},
        )
    query = str(ctx.config["backup_documents_query"])
    found = json.loads(
        _sql(
            ctx,
            folder,
            "SELECT json_build_object('bids', count(*), 'tenders', count(DISTINCT tender)) FROM (%s) AS document"
            % query,
        )
    )
    listed = json.loads(
        _sql(
            ctx,
            folder,
            "SELECT coalesce(json_agg(json_build_array(path, sha256)), '[]') FROM (%s) AS document" % query,
        )
    )
    root, missing = os.path.join(folder, "files"), []
    for path, sha256 in listed:
        if not backup_archive.safe_name(str(path)) or hash_file(os.path.join(root, path)) != sha256:
            missing.append(path)
    readonly = _sql(ctx, folder, "SHOW default_transaction_read_only")
    return {**found, "documents": sum(len(files) for _, _, files in os.walk(root)), "without_document": len(missing), "examples": missing[:3],
            "network": interfaces, "read_only": readonly == "on", "socket": os.path.join(folder, "socket"), "files": root}  # fmt: skip


def cleanup(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Take a set out of the quarantine again, its database first. The set itself stays as it is."""
    name = str(args["set"])
    folder = place(ctx, name)
    running = active(name)
    if running:
        run(["systemctl", "stop", unit(name)], 30)
    there = os.path.isdir(folder)
    if there:
        shutil.rmtree(folder)
    return {"changed": running or there}

"""Verbs about backups: which sets there are, taking one, looking into one, bringing one up in the quarantine."""

from __future__ import annotations

import os
from typing import Any, Dict, List

from . import backup_inspect, backup_job, backup_quarantine, backup_take
from .backup_place import PARTS, SetError, folder_of, names, path_of, provenance, read_manifest, strangers, verdict_of
from .backup_scan import signatures
from .base import Context, Verb, VerbError, read_state, run

WORK = {"take": backup_take.take, "inspect": backup_inspect.inspect, "restore": backup_quarantine.restore}


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return every set with age, size, proof and what is known of it; what cannot be read is said so, set by set.

    ``recorded`` is {set: hash of its manifest} as the journal has it.
    """
    reading: Dict[str, Any] = {
        "folder": ctx.config["backup_folder"], "error": None, "sets": None, "unfinished": 0, "free_bytes": None,
        "at_work": backup_job.at_work(), "quarantine": backup_quarantine.restored(ctx),
        "signatures": signatures(str(ctx.config["backup_signature_folder"])),
    }  # fmt: skip
    try:
        folder = folder_of(ctx)
        reading["sets"] = [_describe(ctx, name, dict(args.get("recorded") or {})) for name in names(ctx)]
        reading["unfinished"] = len([name for name in os.listdir(folder) if name.endswith(".part")])
        room = os.statvfs(folder)
        reading["free_bytes"] = room.f_bavail * room.f_frsize
    except VerbError as error:
        reading["error"] = error.found
    except OSError as error:
        reading["error"] = str(error)
    return {
        "changed": False,
        "reading": {
            "host": ctx.host,
            "site": ctx.site,
            "state": read_state(),
            "config": ctx.config,
            "backup": reading,
        },
    }


def _describe(ctx: Context, name: str, journal: Dict[str, str]) -> Dict[str, Any]:
    """Return what a list shows of a set. Hashes of its parts are not computed: that is what an inspection is for."""
    found: Dict[str, Any] = {
        "set": name,
        "taken_at": None,
        "bytes": None,
        "proof": None,
        "verdict": None,
        "problem": None,
    }
    try:
        path = path_of(ctx, name)
        manifest = read_manifest(path)
        sizes: List[int] = [os.lstat(os.path.join(path, part)).st_size for part in PARTS]
        found.update(
            {
                key: manifest.get(key)
                for key in (
                    "taken_at",
                    "ended_at",
                    "label",
                    "keeper",
                    "medium",
                    "documents",
                    "epoch",
                    "manifest_sha256",
                )
            }
        )
        found.update(site=(manifest.get("source") or {}).get("site"), bytes=sum(sizes))
        found["proof"] = provenance(name, manifest["manifest_sha256"], journal)["proof"]
        known = verdict_of(name, manifest["manifest_sha256"])
        if known is not None:
            found["verdict"] = {key: known[key] for key in ("verdict", "at", "evidence", "uninspected")}
        if strangers(path):
            found["problem"] = "strangers: " + ", ".join(strangers(path)[:3])
    except SetError as error:
        found["problem"] = "%s: %s" % (error.id, error.found)
    except OSError as error:
        found["problem"] = "part_missing: %s" % error
    return found


def attach(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Make the medium readable: by the office's command, where there is one and nothing is mounted yet."""
    command = [str(word) for word in ctx.config.get("backup_mount_command") or []]
    if not command or os.path.ismount(str(ctx.config["backup_folder"])):
        folder_of(ctx)
        return {"changed": False}
    run(command, ctx.remaining())
    folder_of(ctx)
    return {"changed": True}


def detach(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Take the medium out of reach again, where the office says how; a job that still works keeps it."""
    command = [str(word) for word in ctx.config.get("backup_unmount_command") or []]
    if not command or backup_job.at_work() is not None or not os.path.ismount(str(ctx.config["backup_folder"])):
        return {"changed": False}
    run(command, ctx.remaining())
    return {"changed": True}


def begin(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Begin work on a set, or find it at work: {job}. ``work`` is take, inspect or restore; the rest is its own."""
    work, name = WORK[str(args["work"])], str(args["set"])
    if args["work"] != "take":
        path_of(ctx, name)
    job = "%s-%s" % (args["work"], name)
    begun = backup_job.start(ctx, job, name, lambda progress: work(ctx, args, progress))
    return {"changed": begun, "job": job}


def job(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {done, result, job_progress} of work that was begun."""
    found = backup_job.ask(ctx, str(args["job"]))
    progress = found.pop("progress")
    return {"changed": False, **found, **({"job_progress": progress} if progress else {})}


def cleanup(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Take a set out of the quarantine; work on it that still goes on is not disturbed."""
    going_on = backup_job.at_work()
    if going_on == "restore-%s" % args["set"]:
        raise VerbError(
            "backup.busy", "no other work on the vault", going_on, "lpse-dr backup list", {"job": going_on}
        )
    return backup_quarantine.cleanup(ctx, args)


VERBS: Dict[str, Verb] = {
    "status": status,
    "attach": attach,
    "detach": detach,
    "begin": begin,
    "job": job,
    "cleanup": cleanup,
}

"""Verbs about a halt of replication as a whole: the fact on each host, the block at the gateway, the proof."""

from __future__ import annotations

import time
from typing import Any, Dict, List

from . import replication_path
from .base import Context, Verb, VerbError, now_iso, read_state, state_for_update

PROVE_SECONDS = 1.0


def mark(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Write down on this host that replication is halted, before anything is. One that is there already stays as it is."""
    paths = own_paths(ctx)
    with state_for_update() as state:
        changed = state["halted"] is None
        if not changed:
            # Where it was not known the first time, and is now.
            state["halted"]["paths"] = state["halted"].get("paths") or paths
        else:
            state["halted"] = {
                "at": now_iso(),
                "site": str(args["site"]),
                "run": (ctx.operation or {}).get("run"),
                "by": str(args.get("by") or "?"),
                "reason": str(args.get("reason") or ""),
                "paths": paths,
            }
    return {"changed": changed}


def own_paths(ctx: Context) -> List[Dict[str, Any]]:
    """Return where this host's stream comes from; a gateway has none of its own."""
    if ctx.config.get("files_peer_address"):
        return replication_path.paths_to([str(ctx.config["files_peer_address"])], 22)
    if ctx.config.get("database_cluster"):
        from .database_pin import own_conninfo
        from .database_reading import conninfo_place

        return replication_path.paths_to(*conninfo_place(own_conninfo(ctx)))
    return []


def unmark(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Forget the halt: everything that it forbade on this host is permitted again."""
    with state_for_update() as state:
        changed = state["halted"] is not None
        state["halted"] = None
    return {"changed": changed}


def fact() -> Dict[str, Any]:
    """Return the fact on this host; VerbError ``replication.not_marked`` where there is none: it is written first."""
    halted = read_state()["halted"]
    if not isinstance(halted, dict):
        raise VerbError("replication.not_marked", "the halt to be written down on this host first", "it is not")
    return halted


def note(values: Dict[str, Any]) -> None:
    """Add to the fact on this host."""
    with state_for_update() as state:
        state["halted"] = {**(state["halted"] or {}), **values}


def block(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let nothing pass between the ends of ``paths``, now and after a restart of this gateway."""
    paths: List[Dict[str, Any]] = list(args["paths"] or fact().get("paths") or [])
    if not paths:
        raise _unknown()
    changed = replication_path.block(ctx, paths)
    note({"paths": paths})
    return {"changed": changed, "paths": len(paths)}


def unblock(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let everything pass again."""
    return {"changed": replication_path.unblock(ctx)}


def _unknown() -> VerbError:
    return VerbError(
        "replication.path_unknown",
        "to know where this host's stream comes from",
        "no address of the other side",
        "lpse-dr replication status",
    )


def prove(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Look for a while whether anything still comes; {seconds}. VerbError says what moves, runs, or lets through."""
    began = time.monotonic()
    halted = fact()
    paths: List[Dict[str, Any]] = list(halted.get("paths") or [])
    if not paths:
        raise _unknown()
    seconds = float(args.get("seconds") or PROVE_SECONDS)
    if not (ctx.config.get("files_peer_address") or ctx.config.get("database_cluster")):
        if not (replication_path.blocks(replication_path.loaded(ctx), paths) and replication_path.kept(paths)):
            raise VerbError("replication.not_blocked", "the path to be blocked, over a restart too", "it is not")
        return {"changed": False, "seconds": round(time.monotonic() - began, 3)}
    tries = replication_path.try_paths(paths)
    try:
        if ctx.config.get("database_cluster"):
            from . import database_halt

            database_halt.assert_still(ctx, halted, seconds)
        else:
            from . import files_halt

            files_halt.assert_still(ctx, seconds)
    finally:
        through = replication_path.open_paths(tries)
    if through:
        raise VerbError(
            "replication.path_open",
            "no way from %s to the other side" % ctx.host,
            "%s answers" % ", ".join(through),
            "does the standby's stream pass its own gateway? lpse-dr replication status",
        )
    return {"changed": False, "seconds": round(time.monotonic() - began, 3)}


VERBS: Dict[str, Verb] = {
    "mark": mark,
    "unmark": unmark,
    "block": block,
    "unblock": unblock,
    "prove": prove,
}

"""Verbs about the borders between segments: what a gateway keeps apart now, and how that is changed so that it undoes itself."""

from __future__ import annotations

import shutil
import time
from typing import Any, Dict

from . import vlan_kept, vlan_nftables, vlan_undo
from .base import Context, Verb, VerbError, state_for_update
from .host import status as host_status
from .vlan_conntrack import forget
from .vlan_host import addresses, client
from .vlan_probe import OPEN, look


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the gateway's rules as the kernel has them, what a restart would bring, and whether an undo is armed."""
    reading = host_status(ctx, args)["reading"]
    reading["vlan"] = read(ctx)
    return {"changed": False, "reading": reading}


def read(ctx: Context) -> Dict[str, Any]:
    """Return the reading of this gateway. Without nft there is nothing to read, and no guess."""
    found: Dict[str, Any] = {
        "client": client(),
        "addresses": addresses(ctx.remaining()),
        "systemd_run": shutil.which("systemd-run") is not None,
        **vlan_kept.read(),
        **vlan_undo.read(ctx.remaining()),
        "nftables": None,
    }
    if vlan_nftables.program() is not None:
        found["nftables"] = vlan_nftables.read(ctx.remaining())
    return found


def probe(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {paths}: for each of ``vlan_targets`` whether TCP and ICMP come through from here, each open or closed.

    Where a path should be open (``want``) it is tried again until one of its targets answers, or ``patience_seconds`` are over.
    """
    until = time.monotonic() + float(args.get("patience_seconds") or 0)
    while True:
        paths = look(ctx.config["vlan_targets"], float(args["seconds"]))
        awaited = {path["to"] for path in paths if path["want"] == "open"}
        if time.monotonic() >= until or awaited <= {
            path["to"] for path in paths if OPEN in (path["tcp"], path["icmp"])
        }:
            return {"changed": False, "paths": paths}


def arm(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Start the clock that brings back what was confirmed last, before anything is changed. {until}: unix time."""
    _refuse_foreign(ctx)
    # Nobody stays cut off for longer than a minute, whatever was configured.
    seconds = max(5, min(60, int(args["seconds"])))
    vlan_undo.arm(int(args["number"]), seconds, ctx.remaining())
    until = round(time.time() + seconds, 1)
    with state_for_update() as state:
        state["saved"]["vlan"] = {"level": args["level"], "id": args["id"], "until": until}
    return {"changed": True, "until": until}


def load(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Give the kernel the rules in one transaction, then end what was under way between segments. Gone with a restart."""
    _refuse_foreign(ctx)
    if not vlan_undo.read(ctx.remaining())["undo_armed"]:
        raise VerbError("vlan.undo_not_armed", "an undo that is armed", "none", "lpse-dr vlan status")
    at = time.time()
    vlan_nftables.load(args["rules"], ctx.remaining())
    loaded = time.time()
    ended = forget(args["networks"], args["spared"])
    _expect(ctx, args["id"])
    return {"changed": True, "at": at, "loaded": loaded, "connections_ended": ended}


def confirm(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Keep the loaded rules over a restart, disarm the undo, prove it dead, read the rules again.

    The file decides what is confirmed, and the undo goes by it too: killed between the two, this host only loads
    the same rules once more.
    """
    _expect(ctx, args["id"])
    changed = vlan_kept.keep(args["rules"], ctx.remaining())
    changed = vlan_undo.disarm(ctx.remaining()) or changed
    _forget_saved()
    found = _expect(ctx, args["id"])
    return {"changed": changed, "vlan": found}


def release(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Take the isolation away: first what a restart would bring back, then the rules, in one transaction."""
    _refuse_foreign(ctx)
    changed = vlan_kept.drop(ctx.remaining())
    if vlan_nftables.read(ctx.remaining())["isolation"] is not None:
        vlan_nftables.unload(ctx.remaining())
        changed = True
    changed = vlan_undo.disarm(ctx.remaining()) or changed
    _forget_saved()
    found = read(ctx)
    if found["nftables"]["isolation"] is not None or found["kept"] is not None or found["undo_armed"]:
        raise VerbError("vlan.not_released", "no isolation on this gateway", _words(found), "lpse-dr vlan status")
    return {"changed": changed, "vlan": found}


def restore(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Do at once what the undo would do at its time: bring back what was confirmed last, which may be nothing."""
    _refuse_foreign(ctx)
    vlan_undo.now(ctx.remaining())
    vlan_undo.disarm(ctx.remaining())
    _forget_saved()
    return {"changed": True, "vlan": read(ctx)}


def _forget_saved() -> None:
    with state_for_update() as state:
        state["saved"].pop("vlan", None)


def _refuse_foreign(ctx: Context) -> None:
    """A table of our name that is not ours is left alone by everything."""
    found = vlan_nftables.read(ctx.remaining())["isolation"]
    if found is not None and not found["own"]:
        raise VerbError(
            "vlan.foreign_table", "no table %s of somebody else" % vlan_nftables.NAME, "comment %r" % found["comment"],
            "nft list table inet %s" % vlan_nftables.NAME,
        )  # fmt: skip


def _expect(ctx: Context, identity: str) -> Dict[str, Any]:
    """Return the reading when just these rules are loaded. VerbError ``vlan.rules_differ``."""
    found = read(ctx)
    isolation = (found["nftables"] or {}).get("isolation") or {}
    if isolation.get("id") != identity:
        raise VerbError("vlan.rules_differ", "rules %s" % identity, _words(found), "lpse-dr vlan status")
    return found


def _words(found: Dict[str, Any]) -> str:
    isolation = (found["nftables"] or {}).get("isolation") or {}
    kept = (found["kept"] or {}).get("id")
    return "rules %s, kept %s, undo armed: %s" % (isolation.get("id"), kept, found["undo_armed"])


VERBS: Dict[str, Verb] = {
    "status": status,
    "probe": probe,
    "arm": arm,
    "load": load,
    "confirm": confirm,
    "release": release,
    "restore": restore,
}

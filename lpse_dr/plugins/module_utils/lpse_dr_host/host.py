"""Verbs about the host itself: who may operate on it now, and which site it knows to be the active one."""

from __future__ import annotations

import time
from typing import Any, Dict

from .base import Context, Verb, VerbError, assert_not_halted, now_iso, read_state, state_for_update


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the host's clock and state file; the other nouns put their readings beside these."""
    return {
        "changed": False,
        "reading": {
            "host": ctx.host,
            "site": ctx.site,
            "clock": time.time(),
            "state": read_state(),
            "config": ctx.config,
        },
    }


def ping(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Answer; what is tried is the connection and sudo."""
    return {"changed": False}


def claim(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Accept operation ``number`` of ``run`` on this host, or refuse it.

    A number that is not above the last one is refused, whoever comes with it: that is what makes a
    forgotten run harmless. A lease of another run that is still open is refused as long as it has not
    expired, unless ``taking_over`` names that run: its holder was seen to be dead. What ``outranks`` others (a halt of
    replication) does not wait for a copy of documents; only for a change of the active site that is under way.
    """
    with state_for_update() as state:
        held = state["operation"] or {"number": 0, "run": None, "open": False, "expires": 0}
        mine = held["run"] == args["run"]
        yields = held["run"] == args.get("taking_over") or (
            args.get("outranks") is True and state["prepared"] is None and state["fired"] is None
        )
        if held.get("open") and not mine and held["expires"] > time.time() and not yields:
            raise VerbError(
                "operation.lock_free", "no other operation at work",
                "run %s of %s, until %s" % (held["run"], held.get("holder"), time.strftime("%H:%M:%SZ", time.gmtime(held["expires"]))),
                "lpse-dr runs show %s --follow" % held["run"], {"run": held["run"], "holder": held.get("holder")},
            )  # fmt: skip
        if args["number"] <= held["number"] and not mine:
            raise VerbError(
                "operation.superseded",
                "an operation above %d" % held["number"],
                "operation %d" % args["number"],
                "lpse-dr status",
            )
        state["operation"] = {
            "number": args["number"], "run": args["run"], "holder": args["holder"], "at": now_iso(),
            "expires": time.time() + args["lease_seconds"], "open": True,
        }  # fmt: skip
    return {"changed": True}


def renew(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Prolong the lease; a phase that takes long keeps others out only while it lives."""
    with state_for_update() as state:
        state["operation"]["expires"] = time.time() + args["lease_seconds"]
    return {"changed": True}


def unclaim(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """End the lease; the number stays, so that it can never be used again."""
    with state_for_update() as state:
        state["operation"]["open"] = False
    return {"changed": True}


def prepare_epoch(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Write down the epoch that will be, before anything makes it true. Refused on a side whose replication is halted."""
    assert_not_halted(ctx)
    wanted = {"number": args["number"], "site": args["site"]}
    with state_for_update() as state:
        current = state["epoch"] or {"number": 0, "site": None}
        if current["number"] == args["number"] and current["site"] == args["site"]:
            return {"changed": False}
        if args["number"] <= current["number"]:
            raise VerbError(
                "epoch.older",
                "an epoch above %d" % current["number"],
                "epoch %d for %s" % (args["number"], args["site"]),
                "lpse-dr status",
            )
        state["prepared"] = dict(wanted, operation=(ctx.operation or {}).get("number"), at=now_iso())
    return {"changed": True}


def abandon_epoch(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Forget a prepared epoch that did not come true."""
    with state_for_update() as state:
        changed = state["prepared"] is not None
        state["prepared"] = None
    return {"changed": changed}


def commit_epoch(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Make an epoch the current one. An older one never replaces a newer."""
    with state_for_update() as state:
        current = state["epoch"] or {"number": 0, "site": None}
        if current["number"] > args["number"] or (
            current["number"] == args["number"] and current["site"] not in (None, args["site"])
        ):
            raise VerbError(
                "epoch.older",
                "an epoch not below %d of %s" % (current["number"], current["site"]),
                "epoch %d for %s" % (args["number"], args["site"]),
                "lpse-dr status",
            )
        changed = current["number"] != args["number"]
        if changed:
            state["epoch"] = {"number": args["number"], "site": args["site"], "at": now_iso()}
        state["prepared"] = None
    return {"changed": changed}


VERBS: Dict[str, Verb] = {
    "status": status,
    "ping": ping,
    "claim": claim,
    "renew": renew,
    "unclaim": unclaim,
    "prepare_epoch": prepare_epoch,
    "abandon_epoch": abandon_epoch,
    "commit_epoch": commit_epoch,
}

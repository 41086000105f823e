"""Verbs of the fence: how its guard stands, one permitted opening for a named person, and the way back."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict

from . import fence_record, host
from . import fence_rules as rules
from .base import Context, Verb, VerbError, iso, now_iso, read_state, state_for_update
from .database_cluster import Cluster
from .database_power import fence as put_signal

# A guard writes its status twice a second; older than this it does not run, or hangs.
FRESH_SECONDS = 10.0


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the host's reading with ``fence``: installed, guard, armed, phase, why, permitted until, answers."""
    result = host.status(ctx, args)
    state = result["reading"]["state"]
    said = fence_record.read_status() or {}
    alive = bool(said) and time.time() - float(said.get("at") or 0) < FRESH_SECONDS
    found: Dict[str, Any] = {
        "installed": fence_record.installed(),
        "guard": "active" if alive else "inactive",
        "armed": None, "phase": said.get("phase") if alive else None, "why": said.get("why") if alive else None,
        "permitted_until": permitted_until(state, said if alive else {}),
        "lift": lift_of(state), "answers": said.get("answers") if alive else None, "asked_at": said.get("asked_at"),
        "grants": grants_of(state),
    }  # fmt: skip
    known = watched(ctx)
    if known.config.get("database_cluster"):
        found["armed"] = os.path.exists(Cluster(known).standby_signal())
    result["reading"]["fence"] = found
    return result


def watched(ctx: Context) -> Context:
    """Return a context that knows the service of this host: as the caller says, else as the guard was told."""
    if ctx.config.get("database_cluster"):
        return ctx
    try:
        with open(fence_record.SETTINGS_FILE, encoding="utf-8") as stream:
            config = dict(json.load(stream).get("config") or {})
    except (OSError, ValueError, TypeError):
        config = {}
    return Context(ctx.host, ctx.site, config, ctx.operation, ctx.remaining())


def await_guard(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the reading as soon as the guard has looked round once, or what there is when the time is up."""
    last: Dict[str, Any] = {}

    def settled() -> bool:
        last.update(status(ctx, args))
        found = last["reading"]["fence"]
        unfenced = found["armed"] is False and found["phase"] == "open"
        return found["guard"] == "active" and found["phase"] not in (None, "looking", "starting") and not unfenced

    ctx.wait_for(settled, 0.2)
    return last


def lift_of(state: Dict[str, Any]) -> Any:
    """Return the lift as a reading: its person, its end, and whether it still permits anything."""
    lift = state.get("lift")
    return dict(lift, until=iso(lift["until"]), holds=rules.lift_holds(state, time.time())) if lift else None


def grants_of(state: Dict[str, Any]) -> Dict[str, Any]:
    """Return, by host, until when somebody of the other site may still open on this host's word."""
    given = {name: item for name, item in (state.get("grants") or {}).items() if item.get("until", 0) > time.time()}
    return {name: dict(item, until=iso(item["until"])) for name, item in given.items()}


def await_grants(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait until nobody may open a database any more on this host's word; return how long that took.

    A failover asks for it once its epoch is prepared, from when on no more is granted: a permission given a moment
    before the link was cut cannot be called back, it can only run out. VerbError ``fence.granted`` when the time is up first.
    """
    began = time.monotonic()
    if not ctx.wait_for(lambda: not grants_of(read_state()), 0.2):
        host_name, item = next(iter(grants_of(read_state()).items()), ("?", {"until": "?"}))
        raise VerbError(
            "fence.granted",
            "no permission in force",
            "%s may open until %s" % (host_name, item["until"]),
            "lpse-dr fence status",
        )
    return {"changed": False, "waited_seconds": round(time.monotonic() - began, 1)}


def permitted_until(state: Dict[str, Any], said: Dict[str, Any]) -> Any:
    """Return until when the database may be opened: by a lift, or by a permission that is being used; None where by neither."""
    ends = [float(said["opening_until"])] if said.get("opening_until") else []
    ends += [float(state["lift"]["until"])] if rules.lift_holds(state, time.time()) else []
    return iso(max(ends)) if ends else None


def lift(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Permit one opening for writing without the other site's word: {by, reason, epoch, seconds}.

    VerbError ``fence.epoch_over`` where this host knows another epoch than the person named, or another site's.
    """
    with state_for_update() as state:
        number, site = rules.epoch_of(state)
        if (number, site) != (args["epoch"], ctx.site):
            raise VerbError(
                "fence.epoch_over",
                "epoch %s of %s" % (args["epoch"], ctx.site),
                "epoch %d of %s" % (number, site or "none"),
                "lpse-dr status",
            )
        held = state.get("lift") or {}
        same = {key: held.get(key) for key in ("by", "reason", "epoch")} == {
            key: args[key] for key in ("by", "reason", "epoch")
        }
        if same and rules.lift_holds(state, time.time()):
            return {"changed": False, "until": held["until"]}
        state["lift"] = {
            "by": args["by"], "reason": args["reason"], "epoch": number, "at": now_iso(),
            "until": time.time() + float(args["seconds"]), "used": None,
        }  # fmt: skip
        until = state["lift"]["until"]
    return {"changed": True, "until": until}


def arm(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let every later start come up read-only: take back a lift that was not used, and let the signal be there."""
    with state_for_update() as state:
        changed = rules.lift_holds(state, time.time())
        if changed:
            state["lift"] = None
    return {"changed": put_signal(watched(ctx), {})["changed"] or changed}


VERBS: Dict[str, Verb] = {
    "status": status,
    "await": await_guard,
    "await_grants": await_grants,
    "lift": lift,
    "arm": arm,
}

"""Verbs about the way of clients to a site: hold them, let them go on, name who is still being served."""

from __future__ import annotations

import time
from typing import Any, Dict, List

from . import host
from .base import Context, Verb, VerbError, assert_current, read_state, state_for_update
from .search import beside
from .traffic_dns import Name
from .traffic_haproxy import Gateway


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the host's reading with ``traffic`` and ``dns``. The key of updates is no part of it."""
    reading = host.status(ctx, args)["reading"]
    reading["config"] = {key: value for key, value in ctx.config.items() if not key.endswith("_secret")}
    reading["traffic"] = read_traffic(ctx)
    reading["dns"] = read_dns(ctx) if ctx.config.get("traffic_dns_server") else None
    return {"changed": False, "reading": reading}


def read_traffic(ctx: Context) -> Dict[str, Any]:
    """Return what the running gateway does; where it does not run, what its file says it would do. Never raises."""
    provider = ctx.config.get("traffic_provider") or "haproxy"
    reading: Dict[str, Any] = {
        "provider": provider,
        "running": None,
        "state": "unknown",
        "target": None,
        "epoch": None,
        "hold_until": None,
        "operation": None,
        "in_flight": None,
        "servers": {},
        "file_agrees": None,
        "error": None,
    }
    if provider != "haproxy":
        return reading
    gateway = Gateway(ctx)
    choice: Dict[str, str] = {}
    kept: Dict[str, str] = {}
    try:
        kept = choice = gateway.read_file()
    except VerbError as error:
        reading["error"] = error.found
    try:
        choice = gateway.read_memory(2.0)
        reading["running"] = True
        reading["servers"] = gateway.servers()
        reading["in_flight"] = gateway.in_flight()
        reading["file_agrees"] = all(kept.get(key) == choice.get(key) for key in ("state", "target", "epoch"))
    except VerbError as error:
        reading["error"] = error.found
        reading["running"] = error.id != "traffic.not_running"
    reading["state"] = choice.get("state") if choice.get("state") in ("open", "hold", "maintenance") else "unknown"
    reading["target"] = choice.get("target")
    for key in ("epoch", "hold_until", "operation"):
        reading[key] = number(choice.get(key))
    return reading


def number(text: Any) -> Any:
    """Return a whole number, None for what is none."""
    try:
        return int(float(text))
    except (TypeError, ValueError):
        return None


def _choose(ctx: Context, gateway: Gateway, news: Dict[str, str]) -> bool:
    """Write the choice to the file, then to the running process; return whether either had another one.

    A process that does not run is no reason to lose the choice: the file is what it comes up with. But
    clients are not led by a file, so that is a failure all the same.
    """
    before = gateway.read_file()
    choice = {**before, **news}
    if choice != before:
        gateway.write_file(choice)
    memory = gateway.read_memory(min(2.0, max(0.1, ctx.remaining())))
    if any(memory.get(key) != value for key, value in news.items()):
        gateway.tell(news, min(2.0, max(0.1, ctx.remaining())))
        return True
    return choice != before


def hold(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Keep every new request waiting, for ``seconds`` at most; those that are with a server go on.

    Held again, the end is moved. When nobody comes back to release it, the gateway itself leads to the
    site that serves, by what is written here: the present target or the one that was prepared.
    """
    gateway = Gateway(ctx)
    seconds = float(args.get("seconds") or ctx.config.get("traffic_hold_seconds") or 20)
    prepared = read_state()["prepared"] or {}
    news = {
        "state": "hold",
        "hold_until": "%d" % int(time.time() + seconds + 0.999),
        "operation": str((ctx.operation or {}).get("number") or 0),
        "prepared": str(prepared.get("site") or "-"),
        "prepared_epoch": str(prepared.get("number") or 0),
    }
    _choose(ctx, gateway, news)
    return {"changed": True, "hold_until": int(news["hold_until"])}


def pace(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Let no more than ``per_second`` uploads begin, for ``seconds`` at most, so that copying catches up with them.

    ``per_second`` 0 ends it. Downloads and pages are not touched; an upload that has begun is not either.
    """
    news = {
        "pace": str(int(args["per_second"])),
        "pace_until": "%d" % int(time.time() + float(args.get("seconds") or 0)),
    }
    return {"changed": _choose(ctx, Gateway(ctx), news)}


def release(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Lead clients, the held ones first, to ``site`` of ``epoch``. Refused towards an epoch older than the known one."""
    gateway = Gateway(ctx)
    site, epoch = str(args["site"]), int(args["epoch"])
    if site not in gateway.sites:
        raise VerbError("traffic.site_unknown", "one of %s" % ", ".join(gateway.sites), site, "mend the inventory")
    known = [number(gateway.read_file().get("epoch")) or 0]
    state = read_state()["epoch"]
    if state:
        known.append(int(state["number"]))
    if epoch < max(known):
        raise VerbError(
            "epoch.older", "an epoch not below %d" % max(known), "epoch %d for %s" % (epoch, site), "lpse-dr status"
        )
    if state and state["number"] == epoch and state["site"] != site:
        raise VerbError(
            "epoch.older",
            "epoch %d of %s" % (epoch, state["site"]),
            "epoch %d for %s" % (epoch, site),
            "lpse-dr status",
        )
    # Whoever releases has proven that the site serves; the next health check is too far away to wait for.
    gateway.believe_up(site, min(2.0, max(0.1, ctx.remaining())))
    news = {"target": site, "epoch": str(epoch), "prepared": "-", "prepared_epoch": "0", "pace": "0", "state": "open"}
    return {"changed": _choose(ctx, gateway, news), "target": site, "epoch": epoch}


def maintenance(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Answer every request with the maintenance page until somebody releases."""
    return {"changed": _choose(ctx, Gateway(ctx), {"state": "maintenance"})}


def _with(gateway: Gateway, site: str, ctx: Context) -> List[Dict[str, Any]]:
    seconds = min(2.0, max(0.1, ctx.remaining()))
    return [session for session in gateway.in_flight(seconds) if session["server"] == site]


def await_drained(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait until no request is with ``site``'s server, ``limit_seconds`` at most; {seconds, cut}.

    What is still going on then is named by VerbError ``traffic.upload_too_long``, oldest first, or ended
    when ``cut`` is set: those clients get no receipt, and know it.
    """
    gateway = Gateway(ctx)
    site, limit = str(args["site"]), float(args.get("limit_seconds") or 5)
    started = time.monotonic()
    while True:
        left = _with(gateway, site, ctx)
        passed = time.monotonic() - started
        if not left:
            return {"changed": False, "seconds": round(passed, 4), "cut": []}
        if passed >= limit or ctx.remaining() <= 0.2:
            break
        time.sleep(0.005)
    left.sort(key=lambda session: -(session["age_seconds"] or 0))
    if not args.get("cut"):
        names = ", ".join("%s for %s s" % (item["client"], item["age_seconds"]) for item in left[:3])
        raise VerbError(
            "traffic.upload_too_long",
            "nobody in the middle of a request to %s after %.0f s" % (site, limit),
            "%d: %s" % (len(left), names),
            "try again later, or lpse-dr switchover --cut-uploads",
            {"site": site, "limit_seconds": limit, "count": len(left), "clients": names, "in_flight": left[:50]},
        )
    # Waiting is free to everybody; ending other people's requests is for the current operation alone.
    assert_current(ctx)
    _cut(ctx, gateway, site)
    return {"changed": True, "seconds": round(time.monotonic() - started, 4), "cut": left}


def _cut(ctx: Context, gateway: Gateway, site: str) -> None:
    gateway.cut(site, min(2.0, max(0.1, ctx.remaining())))
    deadline = time.monotonic() + min(2.0, max(0.2, ctx.remaining()))
    while _with(gateway, site, ctx):
        if time.monotonic() > deadline:
            raise VerbError(
                "traffic.not_cut", "the sessions with %s to end" % site, "some go on", "lpse-dr traffic status"
            )
        time.sleep(0.005)


def cut(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """End every request that is with ``site``'s server; {cut} names whose they were."""
    gateway = Gateway(ctx)
    left = _with(gateway, str(args["site"]), ctx)
    if left:
        _cut(ctx, gateway, str(args["site"]))
    return {"changed": bool(left), "cut": left}


def resolve(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {dns}: what the authoritative server answers now."""
    return {"changed": False, "dns": Name(ctx).read(min(3.0, ctx.remaining()))}


def read_dns(ctx: Context) -> Dict[str, Any]:
    """Return the reading of the name, and whether an update would be taken; never raises."""
    try:
        reading: Dict[str, Any] = try_dns(ctx, {})["dns"]
    except (VerbError, KeyError, ValueError) as error:
        found = error.found if isinstance(error, VerbError) else repr(error)
        reading = {"address": None, "ttl": None, "site": None, "update_ok": None, "error": found}
    return reading


def try_dns(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Send an update that changes nothing, to learn whether one would be taken; {dns} with update_ok and error."""
    name = Name(ctx)
    reading = name.read(min(2.0, max(0.2, ctx.remaining())))
    reading["update_ok"] = None
    if reading["error"] is None:
        try:
            name.update_nothing(reading, min(2.0, max(0.2, ctx.remaining())))
            reading["update_ok"] = True
        except VerbError as error:
            reading.update(update_ok=False, error=error.found)
    return {"changed": False, "dns": reading}


def update_dns(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Give the name the address of ``site``, and see that the server answers so; {old_ttl, changed}.

    ``expires_in_seconds``, until ``expires_at``: so long may others still know the old address.
    """
    name = Name(ctx)
    site = str(args["site"])
    if site not in name.addresses:
        raise VerbError("traffic.site_unknown", "one of %s" % ", ".join(sorted(name.addresses)), site)
    before = name.read(min(3.0, ctx.remaining()))
    if before["error"] not in (None, "no address"):
        raise VerbError("dns.no_answer", "%s to answer" % name.server, str(before["error"]), "lpse-dr traffic status")
    address = name.addresses[site]
    same = before["addresses"] == [address]
    if same and before["ttl"] == name.ttl:
        return {"changed": False, "old_ttl": before["ttl"], "dns": before, **_expiry(site)}
    patience, old_ttl = min(5.0, max(1.0, ctx.remaining())), before["ttl"] or 0
    # Written first: a run that is killed in between waits too long rather than not at all.
    _note_expiry(site, time.time() + patience + old_ttl)
    name.update(address, before, patience)
    after: Dict[str, Any] = {}

    def moved() -> bool:
        after.update(name.read(min(1.0, max(0.1, ctx.remaining()))))
        return bool(after["site"] == site)

    if not ctx.wait_for(moved, 0.05):
        raise VerbError(
            "dns.not_moved",
            "%s to answer %s" % (name.server, address),
            str(after.get("address")),
            "lpse-dr traffic status",
        )
    # Nobody can have been told the old address after this moment.
    _note_expiry(site, time.time() + old_ttl)
    return {"changed": True, "old_ttl": before["ttl"], "dns": after, **_expiry(site)}


def _note_expiry(site: str, at: float) -> None:
    with state_for_update() as state:
        state["saved"]["name"] = {"site": site, "expires": at}


def _expiry(site: str) -> Dict[str, float]:
    """Return until when others may still know the address that was replaced by ``site``'s; {expires_at, expires_in_seconds}.

    ``expires_at`` is unix time by this host's clock; 0 where nothing was replaced.
    """
    saved = read_state()["saved"].get("name") or {}
    at = float(saved["expires"]) if saved.get("site") == site else 0.0
    return {"expires_at": at, "expires_in_seconds": max(0.0, round(at - time.time(), 1))}


VERBS: Dict[str, Verb] = {
    "status": beside(status),
    "hold": hold,
    "pace": pace,
    "release": release,
    "maintenance": maintenance,
    "await_drained": await_drained,
    "cut": cut,
    "resolve": resolve,
    "try_dns": try_dns,
    "update_dns": update_dns,
}

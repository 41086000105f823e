"""Verbs about the application: what it says, stopping it so that it stays stopped, starting it, proving that it writes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from typing import Any, Dict, List

from . import files, host
from .base import Context, Verb, VerbError, now_iso, run, sync_folder, write_atomic
from .health import ask, read_health
from .search import beside


def status(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return the host's reading with ``application`` and ``files``: they live on one host and are of one moment."""
    reading = host.status(ctx, args)["reading"]
    found: Dict[str, Any] = {}
    # The peer of the files may be dead, and its connection then takes seconds to fail: not one after the other.
    other = threading.Thread(target=lambda: found.update(files.read_files(ctx, args)), daemon=True)
    other.start()
    reading["application"] = read_application(ctx)
    other.join(ctx.remaining())
    reading["files"] = dict(found) or None
    return {"changed": False, "reading": reading}


def read_application(ctx: Context) -> Dict[str, Any]:
    """Return unit_active, health, http_status, detail, in_flight, epoch, uploads, sticky_stopped; never raises."""
    health = read_health(ctx.config["application_health_url"], min(2.0, max(0.2, ctx.remaining())))
    try:
        running = is_running(ctx, health["health"])
    except VerbError as error:
        running, health["detail"] = None, health["detail"] or error.found
    return {"unit_active": running, "sticky_stopped": os.path.exists(ctx.config["application_flag"]), **health}


def _commands(ctx: Context) -> bool:
    return bool(ctx.config.get("application_stop_command"))


def is_running(ctx: Context, health: str = "") -> bool:
    """Tell whether the application runs: by its unit, or, where commands start it, by whether it answers."""
    if _commands(ctx):
        return (health or _health(ctx, 1.0)) != "unreachable"
    shown = unit_state(ctx)
    return shown.get("ActiveState") in ("active", "reloading", "activating", "deactivating")


def unit_state(ctx: Context) -> Dict[str, str]:
    """Return a few properties of the unit."""
    names = "ActiveState,SubState,LoadState,MainPID,Result"
    printed = run(["systemctl", "show", "-p", names, ctx.config["application_unit"]], 3.0).stdout
    return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)


def _health(ctx: Context, seconds: float) -> str:
    answer: str = read_health(ctx.config["application_health_url"], min(seconds, max(0.1, ctx.remaining())))["health"]
    return answer


def stop(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Stop the application so that nobody starts it again by accident: neither systemd, nor a reboot, nor a habit.

    The flag comes first: from then on the unit's condition refuses a start. Returns when no process of
    it is left. VerbError ``application.still_running`` names what is.
    """
    flag: str = ctx.config["application_flag"]
    sticky = os.path.exists(flag)
    if not sticky:
        os.makedirs(os.path.dirname(flag), exist_ok=True)
        write_atomic(flag, json.dumps({"at": now_iso(), "operation": ctx.operation}) + "\n")
    started = time.monotonic()
    # Clients wait while this runs: only a second stop is worth the question whether anything is left to stop.
    if sticky and not is_running(ctx):
        return {"changed": False, "seconds": 0.0}
    if _commands(ctx):
        run(_words(ctx, "application_stop_command"), ctx.remaining())
        gone = ctx.wait_for(lambda: _health(ctx, 0.5) == "unreachable", 0.02)
        left = "it still answers"
    else:
        # systemctl waits for the unit's job, which ends with the last process of the unit.
        run(["systemctl", "stop", ctx.config["application_unit"]], ctx.remaining())
        shown = unit_state(ctx)
        gone = shown.get("ActiveState") in ("inactive", "failed") and shown.get("MainPID") in ("0", None)
        left = json.dumps(shown, sort_keys=True)
    if not gone:
        raise VerbError("application.still_running", "the application to be stopped", left, "lpse-dr status")
    return {"changed": True, "seconds": round(time.monotonic() - started, 4)}


def start(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Permit the application to run, and start it. What it then says of itself is asked by ``await_health``."""
    flag: str = ctx.config["application_flag"]
    sticky = os.path.exists(flag)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(flag)
        sync_folder(os.path.dirname(flag))
    if _commands(ctx):
        if is_running(ctx):
            return {"changed": sticky}
        run(_words(ctx, "application_start_command"), ctx.remaining())
        return {"changed": True}
    if unit_state(ctx).get("ActiveState") == "active":
        return {"changed": sticky}
    words = ["systemctl", "start", ctx.config["application_unit"]]
    if run(words, ctx.remaining(), check=False).returncode != 0:
        # Several starts within seconds, as tries and their undoing make them, end in systemd's limit. It is
        # there against crash loops; here a person has asked.
        run(["systemctl", "reset-failed", ctx.config["application_unit"]], ctx.remaining(), check=False)
        run(words, ctx.remaining())
    shown = unit_state(ctx)
    if shown.get("ActiveState") not in ("active", "activating"):
        # A unit whose condition refuses a start lets systemctl succeed.
        raise VerbError(
            "application.not_started",
            "%s to be active" % ctx.config["application_unit"],
            json.dumps(shown, sort_keys=True),
            "journalctl -u %s" % ctx.config["application_unit"],
        )
    return {"changed": True}


def _words(ctx: Context, name: str) -> List[str]:
    words: List[str] = list(ctx.config.get(name) or [])
    if not words:
        raise VerbError("application.no_command", "%s as a list of words" % name, "none", "set it in the inventory")
    return words


def await_health(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Wait until the application says ``state`` (serving or standby); {seconds}."""
    started = time.monotonic()
    last: Dict[str, Any] = {}

    def reached() -> bool:
        last.update(read_health(ctx.config["application_health_url"], min(1.0, max(0.1, ctx.remaining()))))
        return bool(last["health"] == args["state"])

    if not ctx.wait_for(reached, 0.02):
        raise VerbError(
            "application.health",
            "health %s" % args["state"],
            ("%s %s" % (last.get("health"), last.get("detail") or "")).strip(),
            "lpse-dr status",
            {"health": last.get("health"), "detail": last.get("detail")},
        )
    return {"changed": False, "seconds": round(time.monotonic() - started, 4)}


def prove_write(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Have every pooled connection commit a write; {connections, proven}. All of them, and at least one, or VerbError."""
    started = time.monotonic()
    seconds = max(0.1, min(ctx.remaining() - 0.2, 5.0))
    url: str = ctx.config["application_prove_url"]
    answer: Any = None
    try:
        code, body = ask("POST", "%s%sseconds=%.1f" % (url, "&" if "?" in url else "?", seconds), seconds + 0.5)
        answer = json.loads(body.decode("utf-8"))
        connections, proven = answer["connections"], answer["proven"]
        whole = isinstance(connections, int) and connections > 0 and proven == connections and code == 200
        found = "HTTP %d: %s of %s" % (code, proven, connections)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        whole, found = False, repr(error) if answer is None else "an answer without its numbers"
    if not whole:
        raise VerbError(
            "application.prove_write",
            "every pooled connection to prove a write",
            found,
            "lpse-dr status",
            {"answer": answer if isinstance(answer, dict) else None},
        )
    return {
        "changed": True,
        "connections": connections,
        "proven": proven,
        "seconds": round(time.monotonic() - started, 4),
    }


VERBS: Dict[str, Verb] = {
    "status": beside(status),
    "stop": stop,
    "start": start,
    "await_health": await_health,
    "prove_write": prove_write,
}

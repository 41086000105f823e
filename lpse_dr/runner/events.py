"""Turn what ansible-runner reports into the few kinds of event that this program keeps. Pure."""

from __future__ import annotations

import re
from typing import Any

Event = dict[str, Any]

_RESULTS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_item_on_ok": "ok",
    "runner_item_on_failed": "failed",
}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE = re.compile(r"^\s*$|^\[(WARNING|DEPRECATION WARNING)\]|^(PLAY|TASK|RUNNING HANDLER|NO MORE HOSTS|Using )")


def translate(event: Event) -> list[Event]:
    """Return this program's events for one of ansible-runner's; most of the time none or one."""
    name = str(event.get("event"))
    data = event.get("event_data") or {}
    at = str(event.get("created") or "").replace("+00:00", "Z")
    if name == "playbook_on_start":
        return [{"at": at, "kind": "playbook"}]
    if name in ("verbose", "error", "warning"):
        return [{"at": at, "kind": "output", "text": line} for line in output_lines(str(event.get("stdout", "")))]
    result = data.get("res") or {}
    if name == "runner_retry":
        # Asked once more about work that goes on: only how far it is, and no task that has ended.
        told = result.get("lpse_dr")
        return [{**told, "at": at}] if isinstance(told, dict) and told.get("kind") == "job" else []
    if name not in _RESULTS:
        return []
    host = data.get("host")
    found: list[Event] = []
    told = result.get("lpse_dr")
    if isinstance(told, dict) and told.get("kind"):
        found.append({**told, "at": told.get("at") or at})
    if isinstance(result.get("reading"), dict) and not (isinstance(told, dict) and told.get("kind") == "reading"):
        found.append({"at": at, "kind": "reading", "reading": result["reading"]})
    outcome = _RESULTS[name]
    if outcome == "ok" and result.get("changed"):
        outcome = "changed"
    # A loop reports each item and then itself; the sum says nothing that the items did not.
    if not (name == "runner_on_ok" and "results" in result):
        found.append(
            {
                "at": at,
                "kind": "task",
                "host": host,
                "task": data.get("task"),
                "outcome": outcome,
                "ignored": bool(data.get("ignore_errors")),
                "seconds": round(float(data.get("duration") or 0), 3),
                "message": "" if outcome in ("ok", "changed") else message_of(result),
            }
        )
    return found


def message_of(result: Event) -> str:
    """Return the one sentence of a failed task; a verb's own error before Ansible's words."""
    error = result.get("error")
    if isinstance(error, dict) and error.get("found"):
        return f"{error.get('id')}: {error.get('found')}"
    text = str(result.get("msg") or result.get("stderr") or result.get("censored") or "")
    return " ".join(_ANSI.sub("", text).split())[:1000]


def output_lines(text: str) -> list[str]:
    """Return the lines of Ansible's own output that may explain why it stopped."""
    lines = [" ".join(_ANSI.sub("", line).split()) for line in text.splitlines()]
    return [line[:500] for line in lines if line and not _NOISE.match(line)]

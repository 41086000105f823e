"""What guards write down on their host: an epoch they learned, a grant they gave, a lift that was used; and where they say how it stands."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Dict, Optional

from . import fence_rules as rules
from .base import now_iso, read_state, state_for_update

SETTINGS_FILE = "/etc/lpse-dr/fence.json"
RUN_FOLDER = "/run/lpse-dr-fence"
STATUS_FILE = RUN_FOLDER + "/status.json"
SOCKET = RUN_FOLDER + "/guard.sock"


def installed() -> bool:
    """Tell whether this host has a guard: then a running primary keeps its standby.signal."""
    return os.path.exists(SETTINGS_FILE)


def adopt(number: int, site: str, learned: str) -> bool:
    """Take over a newer epoch that ``learned`` (a host) told; tell whether it was newer. Never an older one."""
    if number <= rules.epoch_of(read_state())[0]:
        return False
    with state_for_update() as state:
        if number <= rules.epoch_of(state)[0]:
            return False
        state["epoch"] = {"number": number, "site": site, "at": now_iso(), "learned": learned}
        if rules.epoch_of(state, "prepared")[0] <= number:
            state["prepared"] = None
    return True


def grant(me: Dict[str, Any], question: Dict[str, Any], writable: Optional[bool], seconds: float) -> Dict[str, Any]:
    """Judge a question for permission and record what is granted, in one step: no run can come in between.

    A failover sees in ``grants`` until when the other site may still open, and what it commits ends that.
    """
    with state_for_update() as state:
        now = time.time()
        verdict = rules.answer(me, state, question, now, writable)
        if verdict.verdict == rules.PERMIT:
            given = {name: item for name, item in (state.get("grants") or {}).items() if item.get("until", 0) > now}
            number, site = rules.epoch_of(question)
            given[question["host"]] = {"epoch": number, "site": site, "at": now_iso(), "until": now + seconds}
            state["grants"] = given
            if verdict.taking_over:
                held = state.get("operation") or {}
                state["operation"] = dict(
                    held,
                    number=int(held.get("number") or 0) + 1,
                    run="fence",
                    holder=me["host"],
                    open=False,
                    at=now_iso(),
                )
                state["prepared"] = None
        said = spoken(state)
    return dict(said, verdict=verdict.verdict, why=verdict.why, seconds=seconds)


def spoken(state: Dict[str, Any]) -> Dict[str, Any]:
    """Return what of the state file goes to others."""
    return {key: state.get(key) for key in ("epoch", "prepared", "fired")}


def hold(number: int, site: Optional[str]) -> None:
    """Write down that the database here took writes in this epoch: the copy that may be opened again in its name."""
    with state_for_update() as state:
        state["held"] = {"number": number, "site": site, "at": now_iso()}


def use_lift() -> None:
    """Write down that the lift was used; it permits nothing any more."""
    with state_for_update() as state:
        if state.get("lift"):
            state["lift"] = dict(state["lift"], used=now_iso())


def write_status(found: Dict[str, Any]) -> None:
    """Say how it stands, for ``fence status``. In memory only, so never fsynced."""
    os.makedirs(RUN_FOLDER, mode=0o755, exist_ok=True)
    new = STATUS_FILE + ".new"
    with open(new, "w", encoding="utf-8") as stream:
        json.dump(found, stream, sort_keys=True)
    os.replace(new, STATUS_FILE)


def read_status() -> Optional[Dict[str, Any]]:
    """Return what the guard last said, None where it said nothing that can be read."""
    try:
        with open(STATUS_FILE, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def tell_console(words: str) -> None:
    """Say it to whoever stands before the machine; a host without a console is no reason to stop."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            os.write(descriptor, (words + "\n").encode("utf-8"))
        finally:
            os.close(descriptor)

"""A conductor as a process of its own: its order on standard input, its report on standard output, both JSON.

It outlives the Ansible that started it: a run that is ended in the middle still undoes what it had begun.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from typing import Any, Callable, Dict

from .lpse_dr_conductor import Conductor, StepError, connect, connect_each, slim


def unrecorded(found: str) -> Dict[str, Any]:
    """Return the error for what could not be recorded."""
    return {"id": "journal.unwritable", "expected": "the journal to take the record", "found": found, "todo": "lpse-dr journal verify", "data": {}}  # fmt: skip


def announcer(path: str) -> Callable[[Dict[str, Any]], None]:
    """Return a function that has an event recorded, and returns when it is.

    Progress that cannot be recorded is lost without harm; a point of no return that cannot be recorded
    is a StepError, so that nothing fires.
    """
    if not path:
        return lambda _event: None
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(5)
    channel.connect(path)

    def announce(event: Dict[str, Any]) -> None:
        found = ""
        try:
            channel.sendall(json.dumps(event).encode() + b"\n")
            answer = channel.recv(1024)
            found = "" if answer == b"ok\n" else answer.decode("utf-8", "replace").strip() or "the recorder is gone"
        except OSError as error:
            found = str(error)
        if found and event["kind"] == "fired":
            raise StepError("localhost", unrecorded(found))

    return announce


def conduct(order: Dict[str, Any]) -> Dict[str, Any]:
    """Play the steps of an order; return the report of the task, ``failed`` where it did not reach its end."""
    passwords = order["become_passwords"]
    needed = sorted({host for step in order["steps"] for host in step["at"]})
    chosen = {name: {**order["hosts"][name], "become_password": passwords.get(name)} for name in needed}
    report: Dict[str, Any] = {"kind": "steps", "began": time.time(), "fired": False, "undone": False, "steps": []}
    nothing = {
        "failed": True, "changed": False, "lost": False, "fired": False, "undone": True, "open_ends": [], "failed_step": "",
        "answers": {}, "lpse_dr": report,
    }  # fmt: skip
    try:
        announce = announcer(order["record_socket"])
        left: Dict[str, Any] = {}
        if order["each"]:
            connections, left = connect_each(chosen, order["operation"], order["lifetime_seconds"])
        else:
            connections = connect(chosen, order["operation"], order["lifetime_seconds"])
    except StepError as missing:
        return {**nothing, "msg": str(missing), "error": missing.error, "lost": missing.lost}
    except OSError as error:
        return {**nothing, "msg": str(error), "error": unrecorded(str(error))}
    conductor = Conductor(connections, announce)
    # Whoever cancels a run before its point of no return gets back what was; after it there is only forward.
    signal.signal(signal.SIGTERM, lambda _number, _frame: setattr(conductor, "cancelled", True))
    try:
        failure: Any = None
        if order["each"]:
            left.update(conductor.play_each(order["steps"]))
        else:
            failure = conductor.play(order["steps"])
        conductor.play_best_effort(order["finally_steps"])
    finally:
        for connection in connections.values():
            connection.close()
    report.update(fired=conductor.fired, steps=conductor.log)
    # Whose turn it is, is no change of what was asked for.
    acts = [entry for entry in conductor.log if entry["verb"] not in ("host.claim", "host.unclaim")]
    done = {
        "changed": any(entry["ok"] and entry["result"].get("changed") for entry in acts),
        "fired": conductor.fired,
        # Each answer by itself: a long list of steps is no long list of names.
        "answers": {
            name: answer if name in order["whole"] else slim(answer) for name, answer in conductor.results.items()
        },
        "lpse_dr": report,
    }
    if failure is None:
        return {**done, "excused": conductor.excused, "left": left}
    open_ends = failure.error.pop("undo", [])
    report["undone"] = not conductor.fired and not open_ends
    return {
        **done, "failed": True, "msg": str(failure), "error": failure.error, "lost": failure.lost,
        "failed_step": conductor.failed_step, "undone": report["undone"], "open_ends": open_ends,
    }  # fmt: skip


def main() -> None:
    """Read the order, play it, report. A password that found its way into a text is struck out."""
    order = json.load(sys.stdin)
    said = json.dumps(conduct(order))
    for password in filter(None, order["become_passwords"].values()):
        said = said.replace(json.dumps(password)[1:-1], "********")
    sys.stdout.write(said)

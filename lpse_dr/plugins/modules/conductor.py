#!/usr/bin/python
"""Run an ordered list of verbs on several hosts as one task."""

from __future__ import annotations

import json
import signal
import socket
import time
from typing import Any, Callable, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lpse_dr_conductor import Conductor, StepError, connect, connect_each, slim

DOCUMENTATION = r"""
module: conductor
short_description: Run an ordered list of verbs on several hosts as one task
description:
  - Opens an agent on every host before the first step, then runs the steps in order, each on all of its hosts at once.
  - A step that fails before a step marked C(fires) has begun makes it undo the begun steps in reverse.
  - Runs on the jump host; the order of the steps belongs to the playbook that calls it.
options:
  hosts:
    description: Connection variables and role variables by host name.
    type: dict
    required: true
  steps:
    description: Items of C(name), C(at), C(verb), C(args), C(undo), C(timeout_seconds), C(fires), C(best_effort), C(tell), C(shows), C(again).
    type: list
    elements: dict
    required: true
  become_passwords:
    description: Passwords for sudo by host; a host that is not in it has passwordless sudo.
    type: dict
    default: {}
  operation:
    description: Number and run; hosts refuse every verb that changes unless they have accepted just this operation.
    type: dict
  lifetime_seconds:
    description: After this many seconds an agent refuses to act.
    type: float
    default: 120
  record_socket:
    description: Unix socket on which progress and the point of no return are recorded before they happen.
    type: str
  finally_steps:
    description: Done at the end whatever happened, each on every host that still answers.
    type: list
    elements: dict
    default: []
  each:
    description:
      - A host that cannot be reached or fails is left behind, and named in C(left); the others go on.
    type: bool
    default: false
  whole:
    description: Steps whose answers are returned whole, with all their lists.
    type: list
    elements: str
    default: []
  plan:
    description: Only return the steps as they would be run.
    type: bool
    default: false
author:
  - lpse-dr developers
"""

RETURN = r"""
lpse_dr:
  description: The steps with their hosts, times and results.
  type: dict
  returned: always
answers:
  description: Answers by step and host.
  type: dict
  returned: always
left:
  description: With C(each), the error by host that was left behind; C(step) is absent where it was never reached.
  type: dict
  returned: success
"""


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


def main() -> None:
    """Read the arguments, play the steps, report."""
    module = AnsibleModule(
        argument_spec={
            "hosts": {"type": "dict", "required": True, "no_log": False},
            "steps": {"type": "list", "elements": "dict", "required": True},
            "become_passwords": {"type": "dict", "default": {}, "no_log": True},
            "operation": {"type": "dict"},
            "lifetime_seconds": {"type": "float", "default": 120},
            "record_socket": {"type": "str", "default": ""},
            "finally_steps": {"type": "list", "elements": "dict", "default": []},
            "each": {"type": "bool", "default": False},
            "whole": {"type": "list", "elements": "str", "default": []},
            "plan": {"type": "bool", "default": False},
        },
        supports_check_mode=False,
    )
    params = module.params
    if params["plan"]:
        steps = [{key: step[key] for key in ("name", "at", "verb")} for step in params["steps"] if step["at"]]
        module.exit_json(changed=False, answers={}, lpse_dr={"kind": "steps", "planned": True, "steps": steps})
    passwords = params["become_passwords"]
    needed = sorted({host for step in params["steps"] for host in step["at"]})
    chosen = {name: {**params["hosts"][name], "become_password": passwords.get(name)} for name in needed}
    report: Dict[str, Any] = {"kind": "steps", "began": time.time(), "fired": False, "undone": False, "steps": []}
    nothing = {"fired": False, "undone": True, "open_ends": [], "failed_step": "", "answers": {}, "lpse_dr": report}
    try:
        announce = announcer(params["record_socket"])
        left: Dict[str, Any] = {}
        if params["each"]:
            connections, left = connect_each(chosen, params["operation"], params["lifetime_seconds"])
        else:
            connections = connect(chosen, params["operation"], params["lifetime_seconds"])
    except StepError as missing:
        module.fail_json(msg=str(missing), error=missing.error, lost=missing.lost, **nothing)
    except OSError as error:
        module.fail_json(msg=str(error), error=unrecorded(str(error)), lost=False, **nothing)
    conductor = Conductor(connections, announce)
    # Whoever cancels a run before its point of no return gets back what was; after it there is only forward.
    signal.signal(signal.SIGTERM, lambda _number, _frame: setattr(conductor, "cancelled", True))
    try:
        failure: Any = None
        if params["each"]:
            left.update(conductor.play_each(params["steps"]))
        else:
            failure = conductor.play(params["steps"])
        conductor.play_best_effort(params["finally_steps"])
    finally:
        for connection in connections.values():
            connection.close()
    report.update(fired=conductor.fired, steps=conductor.log)
    # Whose turn it is, is no change of what was asked for.
    acts = [entry for entry in conductor.log if entry["verb"] not in ("host.claim", "host.unclaim")]
    changed = any(entry["ok"] and entry["result"].get("changed") for entry in acts)
    # Each answer by itself: a long list of steps is no long list of names.
    answers = {
        name: answer if name in params["whole"] else slim(answer) for name, answer in conductor.results.items()
    }
    if failure is None:
        module.exit_json(
            changed=changed,
            fired=conductor.fired,
            answers=answers,
            excused=conductor.excused,
            left=left,
            lpse_dr=report,
        )
    open_ends = failure.error.pop("undo", [])
    report["undone"] = not conductor.fired and not open_ends
    module.fail_json(
        msg=str(failure), changed=changed, error=failure.error, lost=failure.lost, failed_step=conductor.failed_step,
        fired=conductor.fired, undone=report["undone"], open_ends=open_ends, answers=answers, lpse_dr=report,
    )  # fmt: skip


if __name__ == "__main__":
    main()

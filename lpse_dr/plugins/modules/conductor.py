#!/usr/bin/python
"""Run an ordered list of verbs on several hosts as one task."""

from __future__ import annotations

import socket
from typing import Any, Callable, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lpse_dr_conductor import Conductor, StepError, connect

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
    description: Items of C(name), C(on), C(verb), C(args), C(undo), C(timeout_seconds), C(fires).
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
  best_effort:
    description: Do every step on every host that answers, and return what could not be done instead of failing.
    type: bool
    default: false
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
results:
  description: Answers by step and host.
  type: dict
  returned: always
"""


def announcer(path: str) -> Callable[[Dict[str, Any]], None]:
    """Return a function that has an event recorded, and returns when it is.

    Progress that cannot be recorded is lost without harm; the point of no return that cannot be
    recorded stops the run before anything fired.
    """
    if not path:
        return lambda _event: None
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(5)
    channel.connect(path)

    def announce(event: Dict[str, Any]) -> None:
        import json

        channel.sendall(json.dumps(event).encode() + b"\n")
        if channel.recv(64) != b"ok\n":
            raise StepError(
                "localhost",
                {
                    "id": "journal.unwritable",
                    "expected": "the journal to take the record",
                    "found": "it did not",
                    "todo": "lpse-dr journal verify",
                    "data": {},
                },
            )

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
            "best_effort": {"type": "bool", "default": False},
            "plan": {"type": "bool", "default": False},
        },
        supports_check_mode=False,
    )
    params = module.params
    if params["plan"]:
        steps = [{"name": step["name"], "on": step["on"], "verb": step["verb"]} for step in params["steps"] if step["on"]]
        module.exit_json(changed=False, fired=False, results={}, open_ends=[], lpse_dr={"kind": "steps", "planned": True, "steps": steps})
    needed = {host for step in params["steps"] for host in step["on"]}
    report: Dict[str, Any] = {"kind": "steps", "fired": False, "undone": False, "steps": []}
    try:
        announce = announcer(params["record_socket"])
        passwords = params["become_passwords"]
        chosen = {name: {**params["hosts"][name], "become_password": passwords.get(name)} for name in sorted(needed)}
        connections = connect(chosen, params["operation"], params["lifetime_seconds"], params["best_effort"])
    except StepError as failure:
        module.fail_json(
            msg=str(failure),
            error=failure.error,
            fired=False,
            lost=failure.lost,
            undone=True,
            open_ends=[],
            results={},
            lpse_dr=report,
        )
    except OSError as error:
        words = {
            "id": "journal.unwritable",
            "expected": "the run's recorder to answer",
            "found": str(error),
            "todo": "",
            "data": {},
        }
        module.fail_json(
            msg=str(error),
            error=words,
            fired=False,
            lost=False,
            undone=True,
            open_ends=[],
            results={},
            lpse_dr=report,
        )
    conductor = Conductor(connections, announce)
    open_ends: List[Dict[str, Any]] = []
    failure = None
    try:
        if params["best_effort"]:
            open_ends = conductor.play_best_effort(params["steps"])
        else:
            failure = conductor.play(params["steps"])
    finally:
        for connection in connections.values():
            connection.close()
    report.update(fired=conductor.fired, steps=conductor.log)
    changed = any(entry["ok"] and entry["result"].get("changed") for entry in conductor.log)
    if failure is None:
        module.exit_json(
            changed=changed,
            fired=conductor.fired,
            results=conductor.results,
            open_ends=open_ends,
            lpse_dr=report,
        )
    open_ends = failure.error.pop("undo", [])
    report["undone"] = not conductor.fired and not open_ends
    module.fail_json(
        msg=str(failure), changed=changed, error=failure.error, failed_host=failure.host, lost=failure.lost, fired=conductor.fired,
        undone=report["undone"], open_ends=open_ends, results=conductor.results, lpse_dr=report,
    )  # fmt: skip


if __name__ == "__main__":
    main()

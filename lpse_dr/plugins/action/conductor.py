"""Run an ordered list of verbs on several hosts as one task, from the jump host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# A module would be packed, written, unpacked and loaded with Ansible's library first: a second that clients of a dead
# site wait for. The folder of the plugins is where the program is found, in a checkout and in an installed wheel.
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from module_utils.lpse_dr_baton import main; main()"

OPTIONS = {
    "hosts": {"type": "dict", "required": True},
    "steps": {"type": "list", "elements": "dict", "required": True},
    "become_passwords": {"type": "dict", "default": {}, "no_log": True},
    "operation": {"type": "dict"},
    "lifetime_seconds": {"type": "float", "default": 120},
    "record_socket": {"type": "str", "default": ""},
    "finally_steps": {"type": "list", "elements": "dict", "default": []},
    "each": {"type": "bool", "default": False},
    "whole": {"type": "list", "elements": "str", "default": []},
    "plan": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """Opens an agent on every host before the first step, then runs the steps in order, each on all of its hosts at once.

    A step that fails before a step marked ``fires`` has begun makes it undo the begun steps in reverse. Arguments:
    - hosts: connection variables and role variables by host name.
    - steps: items of ``name``, ``at``, ``verb``, ``args``, ``undo``, ``timeout_seconds``, ``fires``, ``best_effort``,
      ``tell``, ``shows``, ``again``.
    - finally_steps: done at the end whatever happened, each on every host that still answers.
    - become_passwords: passwords for sudo by host; a host that is not in it has passwordless sudo.
    - operation: number and run; hosts refuse every verb that changes unless they have accepted just this operation.
    - lifetime_seconds: after so many an agent refuses to act.
    - record_socket: Unix socket on which progress and the point of no return are recorded before they happen.
    - each: a host that cannot be reached or fails is left behind, and named in ``left``; the others go on.
    - whole: steps whose answers are returned whole, with all their lists.
    - plan: only return the steps as they would be run.

    Returns ``lpse_dr`` (the steps with hosts, times and results), ``answers`` by step and host, ``left`` with ``each``.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = False
    _VALID_ARGS = frozenset(OPTIONS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Play the steps in a process of its own, which outlives this one; return its report."""
        super().run(tmp, task_vars)
        _, order = self.validate_argument_spec(argument_spec=OPTIONS)
        if order["plan"]:
            steps = [{key: step[key] for key in ("name", "at", "verb")} for step in order["steps"] if step["at"]]
            return {
                "changed": False,
                "answers": {},
                "lpse_dr": {"kind": "steps", "planned": True, "steps": steps},
            }
        plugins = Path(__file__).resolve().parent.parent
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(plugins)],
            input=json.dumps(order, default=str).encode(),
            capture_output=True,
            check=False,
        )
        try:
            report: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise AnsibleActionFail(
                f"The conductor died: {said[-1] if said else f'exit {done.returncode}'}"
            ) from None
        return report

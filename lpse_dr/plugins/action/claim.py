"""Number an operation of one role above all that its hosts have seen, and say who runs it."""

from __future__ import annotations

import sys
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import action_loader

LEASE_SECONDS = 300


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """``readings``: what read tasks registered. Returns ``claim`` (arguments of host.claim) and ``operation``.

    A run that still holds one of the hosts is taken over only where this machine can see that its process is gone.
    """

    _requires_connection = False
    _VALID_ARGS = frozenset(("readings", "run"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Change nothing; also under --check."""
        super().run(tmp, task_vars)
        # Who holds a host is judged in one place; plugins of one folder are no package, so the loader finds it.
        guard: Any = sys.modules[action_loader.get("guard", class_only=True).__module__]
        readings = [
            item["reading"] for item in guard.plain(self._task.args.get("readings") or []) if item.get("reading")
        ]
        held = [(reading.get("state") or {}).get("operation") or {} for reading in readings]
        pid, _ = guard.controller()
        run = str(self._task.args.get("run") or time.strftime("plain-%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{pid}")
        number = max([int(operation.get("number") or 0) for operation in held], default=0) + 1
        holder = f"{guard.getpass.getuser()}@{guard.socket.gethostname()} pid {pid} since {guard.started(pid) or 0}"
        claim = {"number": number, "run": run, "holder": holder, "lease_seconds": LEASE_SECONDS}
        by_host = {str(index): reading for index, reading in enumerate(readings)}
        left = [operation["run"] for operation in held if operation.get("open")]
        if left and guard.holder_alive(by_host) is False:
            claim["taking_over"] = left[0]
        return {"changed": False, "claim": claim, "operation": {"number": number, "run": run}}

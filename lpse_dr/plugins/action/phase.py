"""Say which phase begins: one line for whoever watches."""

from __future__ import annotations

import datetime
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


def moment() -> str:
    """Return the time in UTC as ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """``name`` is stable, ``title`` is English; the result's ``unix`` can be given to ``guard`` as ``read_started``."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("name", "title"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Change nothing, anywhere; also under --check."""
        super().run(tmp, task_vars)
        name = str(self._task.args.get("name") or "")
        if not name:
            raise AnsibleActionFail("A phase needs a name.")
        title = str(self._task.args.get("title") or name)
        at = moment()
        unix = datetime.datetime.now(datetime.timezone.utc).timestamp()
        return {
            "changed": False,
            "msg": title,
            "unix": unix,
            "lpse_dr": {"kind": "phase", "phase": name, "title": title, "at": at},
        }

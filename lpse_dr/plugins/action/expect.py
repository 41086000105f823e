"""Judge named guards of one host: all of them, then fail once."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

TEXTS = ("guard_id", "expected", "found", "todo")


def judge(host: str, item: dict[str, Any]) -> dict[str, Any]:
    """Return a guard as it travels in events. What is not plainly true has not been proven."""
    missing = [key for key in ("guard_id", "ok", "expected", "found") if key not in item]
    if missing:
        raise AnsibleActionFail(f"A guard lacks {', '.join(missing)}: {item}")
    words = {key: str(item.get(key) or "").strip() for key in TEXTS}
    where = str(item.get("host") or host)
    return {**words, "ok": item["ok"] is True, "host": where, "data": dict(item.get("data") or {})}


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """Judge ``guards``, a list of {guard_id, ok, expected, found, todo, host, data}, where Ansible runs.

    With ``proven: {changed: BOOL}`` the host's end is kept as COMPLETED when all of them hold: only what was read
    and found right may be called so.
    """

    _requires_connection = False
    _VALID_ARGS = frozenset(("guards", "proven"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail naming every guard that does not hold; ``refused`` has them in full."""
        super().run(tmp, task_vars)
        host = str((task_vars or {}).get("inventory_hostname", ""))
        guards = [judge(host, item) for item in self._task.args.get("guards") or []]
        refused = [guard for guard in guards if not guard["ok"]]
        result: dict[str, Any] = {
            "changed": False,
            "refused": refused,
            "lpse_dr": {"kind": "guards", "stage": None, "guards": guards},
        }
        if refused:
            words = [
                f"{g['guard_id']}: expected {g['expected']}; found {g['found']}. {g['todo']}".rstrip()
                for g in refused
            ]
            return {**result, "failed": True, "msg": "\n".join(words)}
        proven = self._task.args.get("proven")
        if proven is not None:
            ended = {"verdict": "COMPLETED", "changed": proven["changed"] is True, "error": None}
            result["ansible_facts"] = {"lpse_dr_ended": ended}
        return result

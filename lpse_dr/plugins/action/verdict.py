"""Say how a site operation ended, and let the exit code say it too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

VERDICTS = ("COMPLETED", "REFUSED", "ROLLED_BACK", "INCOMPLETE", "UNKNOWN")


def error_event(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return an error with the keys of the envelope; ``next_command`` is what verbs and guards call ``todo``."""
    if not error:
        return None
    shown = {key: error.get(key) for key in ("id", "host", "expected", "found", "todo", "data")}
    return {**shown, "next_command": error.get("next_command") or error.get("todo") or "lpse-dr status"}


def judge_outcome(outcome: dict[str, Any], after: dict[str, Any]) -> tuple[str, bool, dict[str, Any] | None]:
    """Ask the pure function; see ``guard.py`` about the path."""
    folder = str(Path(__file__).resolve().parent.parent / "module_utils")
    if folder not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(folder)
    from ansible.module_utils.lpse_dr_guards.verdicts import judge

    verdict, changed, error = judge(outcome, after)
    return str(verdict), bool(changed), error


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """Either ``verdict``, ``changed``, ``error`` as they are, or ``outcome`` and ``after`` to judge by. ``figures`` go along.

    ``fail`` (true): the task fails for every verdict but COMPLETED, so that ansible-playbook does not exit 0.
    """

    _requires_connection = False
    _VALID_ARGS = frozenset(("verdict", "changed", "error", "figures", "outcome", "after", "fail"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Report; an unknown word is a mistake in the playbook and must not pass for an end."""
        super().run(tmp, task_vars)
        args = self._task.args
        if args.get("outcome") is not None:
            verdict, changed, error = judge_outcome(dict(args["outcome"]), dict(args.get("after") or {}))
        else:
            verdict, changed, error = str(args.get("verdict")), args.get("changed") is True, args.get("error") or None
        if verdict not in VERDICTS:
            raise AnsibleActionFail(f"{verdict} is no verdict; there are {', '.join(VERDICTS)}.")
        error = error_event(error)
        event = {
            "kind": "verdict",
            "verdict": verdict,
            "changed": changed,
            "error": error,
            "figures": dict(args.get("figures") or {}),
        }
        words = (
            f"{verdict}: expected {error['expected']}; found {error['found']}. {error['todo'] or ''}".rstrip()
            if error
            else verdict
        )
        failed = verdict != "COMPLETED" and args.get("fail", True) is not False
        # The task itself changes nothing; what the run changed stands in the event.
        return {"changed": False, "failed": failed, "msg": words, "verdict": verdict, "lpse_dr": event}

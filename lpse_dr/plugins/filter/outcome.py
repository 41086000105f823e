"""From a failed task to what the verdict needs to know."""

from __future__ import annotations

from typing import Any


def lpse_dr_outcome(
    result: dict[str, Any], task: str, guards: dict[str, Any], switched: dict[str, Any]
) -> dict[str, Any]:
    """Return {reread, fired, changed, error, lost, open_ends, task} for a failed task of a site operation.

    ``reread`` is false where no host can have been changed: the guards, or the claim, said no.
    """
    refused = result.get("refused") or []
    if refused:
        error = {key: refused[0].get(key) for key in ("guard_id", "host", "expected", "found", "todo", "data")}
        error["id"] = error.pop("guard_id")
    else:
        error = dict(
            result.get("error")
            or {
                "id": "run.failed",
                "expected": task,
                "found": str(result.get("msg")),
                "todo": "lpse-dr status",
                "data": {},
            }
        )
    before_lock = task.startswith(("Guard", "Lock"))
    return {
        "reread": not before_lock,
        "fired": bool(result.get("fired") or switched.get("fired") or guards.get("stage") == "finish"),
        "changed": not before_lock,
        "error": error,
        "refused": refused,
        "lost": bool(result.get("lost")),
        "open_ends": result.get("open_ends") or [],
        "task": task,
    }


def lpse_dr_become_passwords(conduct: dict[str, Any]) -> dict[str, str]:
    """Return the sudo passwords by host; a parameter of their own, since all of it is hidden in results."""
    return {host: str(values["become_password"]) for host, values in conduct.items() if values.get("become_password")}


class FilterModule:
    """Ansible finds filters by this name."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file."""
        return {"lpse_dr_outcome": lpse_dr_outcome, "lpse_dr_become_passwords": lpse_dr_become_passwords}

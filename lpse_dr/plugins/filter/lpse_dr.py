"""From a failed task to what the verdict needs to know."""

from __future__ import annotations

from typing import Any


def lpse_dr_outcome(result: dict[str, Any], task: str, moved: dict[str, Any]) -> dict[str, Any]:
    """Return {reread, fired, changed, error, lost, open_ends, task} for a failed task of a site operation.

    ``moved`` is what the conductor returned where a later task failed. ``reread`` is false where no host can have
    been changed: a guard said no, a host was not reached, or one refused the claim.
    """
    refused = result.get("refused") or []
    if refused:
        error = {key: refused[0].get(key) for key in ("guard_id", "host", "expected", "found", "todo", "data")}
        error["id"] = error.pop("guard_id")
    else:
        unknown = {
            "id": "run.failed",
            "expected": task,
            "found": str(result.get("msg")),
            "todo": "lpse-dr status",
            "data": {},
        }
        error = dict(result.get("error") or unknown)
    # A power fence that was tried may have had its effect, whatever the guards then say.
    fenced = task.startswith("Fence")
    untouched = not fenced and (
        bool(refused) or task.startswith("Guard") or result.get("failed_step") in ("", "claim")
    )
    return {
        "reread": not untouched,
        "fired": bool(result.get("fired") or moved.get("fired")),
        "changed": not untouched,
        "error": error,
        "refused": refused,
        "lost": bool(result.get("lost")),
        "open_ends": result.get("open_ends") or (["power fence"] if fenced else []),
        "task": task,
    }


def lpse_dr_become_passwords(conduct: dict[str, Any]) -> dict[str, str]:
    """Return the sudo passwords by host; a parameter of their own, since all of it is hidden in results."""
    return {host: str(values["become_password"]) for host, values in conduct.items() if values.get("become_password")}


def lpse_dr_largest(answers: dict[str, dict[str, Any]], key: str) -> float:
    """Return the largest figure of one name in the hosts' answers; 0 where none gave it."""
    return max((float(answer.get(key) or 0) for answer in answers.values()), default=0.0)


def lpse_dr_failover_figures(moved: dict[str, Any], site: str) -> dict[str, Any]:
    """Return what a failover leaves behind, for the verdict: what it stood on, what is missing, what was not done.

    ``moved`` is what the conductor returned; empty where it did not run or did not come that far.
    """
    answers = moved.get("answers") or {}
    figures: dict[str, Any] = {}
    for begun in (answers.get("begin") or {}).values():
        figures.update({key: begun.get(key) for key in ("epoch", "receive_lsn", "replay_lsn", "proof")})
    listed = list((answers.get("list_documents") or {}).values())
    if listed:
        for key in ("checked", "absent", "different"):
            figures[f"documents_{key}"] = max(int(item.get(key) or 0) for item in listed)
        figures["documents_list"] = f"{site}: /var/lib/lpse-dr/failover-{listed[0].get('epoch')}-documents.json"
    for moved_on in (answers.get("advance_sequences") or {}).values():
        if moved_on.get("sequences"):
            figures["sequences"] = moved_on["sequences"]
    excused = moved.get("excused") or []
    if excused:
        figures["not_done_at"] = [f"{item.get('host')}: {item.get('step')}" for item in excused]
    return figures


def lpse_dr_witnesses(hosts: list[dict[str, Any]], port: int) -> list[dict[str, Any]]:
    """Return the guards that can be asked, from the variables of their hosts; one without an address cannot."""
    roles = ("database", "application", "gateway", "nameserver", "jump")
    return [
        {
            "host": str(host["inventory_hostname"]),
            "site": str(host.get("site") or ""),
            "role": next((role for role in roles if role in host["group_names"]), ""),
            "address": str(host["fence_address"]),
            "port": int(port),
        }
        for host in hosts
        if host.get("fence_address")
    ]


class FilterModule:
    """Ansible finds filters by this name."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file."""
        return {
            "lpse_dr_become_passwords": lpse_dr_become_passwords,
            "lpse_dr_failover_figures": lpse_dr_failover_figures,
            "lpse_dr_largest": lpse_dr_largest,
            "lpse_dr_outcome": lpse_dr_outcome,
            "lpse_dr_witnesses": lpse_dr_witnesses,
        }

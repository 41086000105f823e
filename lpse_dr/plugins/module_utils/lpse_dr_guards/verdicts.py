"""How a site operation ended: from what happened and what is read afterwards to one of five verdicts."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

Error = Optional[Dict[str, Any]]


def judge(outcome: Dict[str, Any], after: Dict[str, Any]) -> Tuple[str, bool, Error]:
    """Return (verdict, changed, error). ``after`` is the evaluation of the reading made at the very end.

    Reality decides: a run whose every task went well is not COMPLETED unless the hosts read as done, and a
    run that failed before the point of no return is ROLLED_BACK only where the old state was read again.
    """
    error: Error = outcome.get("error")
    # Of a failback: the standby was made by the same run, whatever then becomes of the switch-over.
    prepared = bool(outcome.get("prepared"))
    if not outcome.get("reread"):
        return ("INCOMPLETE", True, error) if prepared else ("REFUSED", False, error)
    stage = after.get("stage")
    if error is None:
        if stage == "done":
            return "COMPLETED", True, None
        return "INCOMPLETE", True, _left_open(after)
    if outcome.get("fired"):
        # The target may or may not have got the order, and nobody can ask it now.
        if outcome.get("lost") and stage not in ("done", "finish"):
            return "UNKNOWN", True, error
        return "INCOMPLETE", True, error
    # "gone" is where a failover begins, as "ready" is where a switch-over does; "living" says that the old site came back.
    if stage in ("ready", "gone", "living") and not outcome.get("open_ends"):
        return "INCOMPLETE" if prepared else "ROLLED_BACK", True, error
    return "INCOMPLETE", True, error


def _left_open(after: Dict[str, Any]) -> Dict[str, Any]:
    words: List[str] = [str(item) for item in after.get("open") or []] or ["stage %s" % after.get("stage")]
    return {
        "id": "site.left_open",
        "expected": "everything in its final place",
        "found": "; ".join(words),
        "todo": "",
        "data": {"open": "; ".join(words)},
    }

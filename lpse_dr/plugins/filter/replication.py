"""From what a conductor did on each host to how a halt of replication ended."""

from __future__ import annotations

import datetime
from typing import Any

Error = dict[str, Any]
# What a claim changes is nobody's stream.
_CLAIMS = ("host.claim", "host.unclaim")


def moment(text: Any) -> datetime.datetime | None:
    """Return a time of ISO 8601 with its zone, None for what is none."""
    try:
        found = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def before_infection(point_at: Any, infected_since: Any, margin_seconds: Any) -> str:
    """Return yes | no | unknown: whether the last replayed transaction is older than the first sign, less the margin."""
    point, infected = moment(point_at), moment(infected_since)
    if point is None or infected is None:
        return "unknown"
    return "yes" if point < infected - datetime.timedelta(seconds=float(margin_seconds)) else "no"


def lost_in(slot: dict[str, Any]) -> float | None:
    """Return in how many seconds the active site will have thrown away what the standby lacks; None where that is not known.

    Judged by the pace at which it wrote before; 0 where it is already lost.
    """
    if slot.get("wal_status") == "lost":
        return 0.0
    limit, pace = slot.get("limit_bytes"), slot.get("bytes_per_second")
    if not limit or not pace:
        return None
    left = float(limit) - float(slot.get("retained_bytes") or 0)
    return float(max(0, round(left / float(pace))))


def slot_figure(said: dict[str, Any], at: Any, source: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """Return what is known of the slot: by the standby when it was halted, or by the active site where that was asked."""
    # The quicker of two paces: what is told as too short hurts nobody.
    paces = [0.0]
    for count, seconds in (("written_bytes", "in_seconds"), ("lately_bytes", "lately_seconds")):
        if float(said.get(seconds) or 0) >= 1:
            paces.append(float(said.get(count) or 0) / float(said[seconds]))
    pace = max(paces)
    found: dict[str, Any] = {
        "slot": name, "known_by": "standby", "at": at, "limit_bytes": said.get("limit_bytes"), "retained_bytes": None,
        "wal_status": None, "bytes_per_second": round(pace) or None,
    }  # fmt: skip
    for item in (source or {}).get("slots") or []:
        if item.get("slot_name") == name:
            found.update(
                known_by="active site", retained_bytes=item.get("retained_bytes"), wal_status=item.get("wal_status")
            )
    return {**found, "lost_in_seconds": lost_in(found)}


def _took(steps: list[dict[str, Any]], began: Any, names: tuple[str, ...], first: bool) -> float | None:
    """Return the seconds from the conductor's beginning to the end of the first, or of the last, of some steps."""
    ends = [step["started"] + step["seconds"] for step in steps if step.get("ok") and step.get("name") in names]
    if not ends or not began:
        return None
    return float(round((min(ends) if first else max(ends)) - float(began), 3))


def lpse_dr_halt_ended(
    acted: dict[str, Any], wanted: list[str], silent: dict[str, str], site: str, infection: dict[str, Any]
) -> dict[str, Any]:
    """Return {verdict, changed, error, figures}.

    ``wanted``: every host that a halt of ``site`` concerns; ``silent``: why those of them that were not read are missing.
    A host that failed keeps nobody else from being halted, and nothing is taken back: half a halt is safer than none.
    """
    report = acted.get("lpse_dr") or {}
    steps = [step for step in report.get("steps") or [] if step.get("verb")]
    acts = [step for step in steps if step["verb"] not in _CLAIMS]
    changed = any(step["ok"] and (step.get("result") or {}).get("changed") for step in acts)
    left: dict[str, Error] = {
        host: {
            "id": "host.unreachable",
            "expected": "an answer from %s" % host,
            "found": words,
            "todo": "lpse-dr status",
        }
        for host, words in silent.items()
    }
    left.update(acted.get("left") or {})
    if acted.get("failed"):
        left[site] = acted.get("error") or {
            "id": "run.failed",
            "expected": "the conductor to run",
            "found": str(acted.get("msg")),
        }
    figures = _figures(acted, steps, site, infection)
    if not left:
        return {"verdict": "COMPLETED", "changed": changed, "error": None, "figures": figures}
    first = next(iter(left.values()))
    if not any(step["ok"] for step in acts):
        return {"verdict": "REFUSED", "changed": False, "error": first, "figures": {}}
    open_hosts = "; ".join("%s: %s" % (host, error.get("found")) for host, error in sorted(left.items()))
    error = {
        "id": "replication.left_open", "expected": "replication halted on %s" % ", ".join(sorted(wanted)), "found": open_hosts,
        "todo": "lpse-dr replication halt --at %s" % site, "data": {},
    }  # fmt: skip
    return {"verdict": "INCOMPLETE", "changed": True, "error": error, "figures": {**figures, "open": sorted(left)}}


def _figures(
    acted: dict[str, Any], steps: list[dict[str, Any]], site: str, infection: dict[str, Any]
) -> dict[str, Any]:
    answers = acted.get("answers") or {}
    halted: dict[str, Any] = next(iter((answers.get("halt") or {}).values()), {})
    point = halted.get("point") or {}
    documents = {
        host: {key: said.get(key) for key in ("sha256", "files", "bytes", "as_halted")}
        for host, said in (answers.get("manifest") or {}).items()
    }
    began = (acted.get("lpse_dr") or {}).get("began")
    figures: dict[str, Any] = {
        "site": site, "point": point, "documents": documents,
        "first_effect_seconds": _took(steps, began, ("block", "halt"), True),
        "proven_seconds": _took(steps, began, ("prove",), False),
    }  # fmt: skip
    if halted:
        slot = halted.get("slot") or {}
        figures["slot"] = slot_figure(slot, point.get("at"), infection.get("source"), str(slot.get("slot") or ""))
    if infection.get("since"):
        margin = float(infection.get("margin_seconds") or 0)
        figures["infected_since"], figures["margin_seconds"] = str(infection["since"]), margin
        figures["before_infection"] = before_infection(point.get("at"), infection["since"], margin)
    return figures


def lpse_dr_resume_ended(acted: dict[str, Any], site: str) -> dict[str, Any]:
    """Return {verdict, changed, error, figures} of a resume: what was not reached is reached by the same command."""
    report = acted.get("lpse_dr") or {}
    steps = [step for step in report.get("steps") or [] if step.get("verb")]
    acts = [step for step in steps if step["verb"] not in _CLAIMS]
    figures = {"site": site, "caught_up_seconds": _took(steps, report.get("began"), ("caught_up",), False)}
    if not acted.get("failed"):
        changed = any(step["ok"] and (step.get("result") or {}).get("changed") for step in acts)
        return {"verdict": "COMPLETED", "changed": changed, "error": None, "figures": figures}
    error = acted.get("error") or {
        "id": "run.failed",
        "expected": "the conductor to run",
        "found": str(acted.get("msg")),
    }
    if not any(step["ok"] for step in acts):
        return {"verdict": "REFUSED", "changed": False, "error": error, "figures": {}}
    again = "lpse-dr replication resume --at %s" % site
    return {"verdict": "INCOMPLETE", "changed": True, "error": {**error, "todo": again}, "figures": figures}


def lpse_dr_standby_figures(acted: dict[str, Any], guards: dict[str, Any]) -> dict[str, Any]:
    """Return how a standby was made and what was salvaged; ``acted`` is empty where it did not come that far."""
    plan = guards.get("loss") or {}
    wanted = ("way", "why", "fork", "end", "rewind_bytes", "seed_bytes", "because")
    figures = {key: plan[key] for key in wanted if plan.get(key) is not None}
    if plan.get("why") == "no_data":
        figures["unknown_since"] = plan.get("unknown_since")
    answers = acted.get("answers") or {}
    for done in (answers.get("adopt") or {}).values():
        figures["kept"] = done.get("kept")
    for host, done in (answers.get("salvage_documents") or {}).items():
        figures.update(salvaged_rows=done.get("rows"), salvaged_documents=done.get("documents"))
        figures["salvage_folder"] = "%s: %s" % (host, done.get("folder"))
    for done in (answers.get("settle") or {}).values():
        set_now = {key: value for key, value in done.items() if key != "changed"}
        if set_now:
            figures["settings"] = set_now
    return figures


class FilterModule:
    """Ansible finds filters by this name."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file."""
        return {
            "lpse_dr_halt_ended": lpse_dr_halt_ended,
            "lpse_dr_resume_ended": lpse_dr_resume_ended,
            "lpse_dr_standby_figures": lpse_dr_standby_figures,
        }

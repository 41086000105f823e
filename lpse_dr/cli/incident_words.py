"""What every command about incidents shares: its options, who types it, and the incident in JSON."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ..i18n import _
from ..incident.authority import Claim
from ..incident.ledger import Ledger, Record
from ..incident.model import Incident, StepStatus
from ..incident.targets import figures
from ..journal import now, user_name
from .context import Context
from .sop_texts import condition_json, step_json


def incident_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names an incident."""
    parser.add_argument("--incident", metavar="ID", help=_("the incident, where several are open"))


def claim_options(parser: argparse.ArgumentParser, *, orders: bool = False) -> None:
    """Add the options by which a person claims the right to act; with `orders` those of an order by phone."""
    parser.add_argument("--break-glass", default="", metavar="TEXT", help=_("pass a check of authority by force, and why; shown in every report"))  # fmt: skip
    if orders:
        parser.add_argument("--reason", default="", metavar="TEXT", help=_("why; a deputy says why those before cannot decide"))  # fmt: skip
        parser.add_argument("--ordered-by", default="", metavar="NAME", help=_("who decided, where another types"))
        parser.add_argument("--via", default="", metavar="WAY", help=_("how the order came: telepon, radio, lisan"))


def claim_of(args: argparse.Namespace) -> Claim:
    """Return what the person who types claims."""
    return Claim(
        user_name(),
        reason=getattr(args, "reason", "") or "",
        ordered_by=getattr(args, "ordered_by", "") or "",
        via=getattr(args, "via", "") or "",
        break_glass=getattr(args, "break_glass", "") or "",
    )


def open_ledger(context: Context) -> Ledger:
    """Return the office's incidents; a file of the office that cannot be used is said, and stops nobody."""
    ledger = Ledger(context.office)
    for problem in ledger.warnings:
        context.screen.say(f"! {problem.message}")
        context.screen.say(problem.detail, indent="  ")
    return ledger


def named(context: Context, ledger: Ledger, incident: Incident, words: str) -> str:
    """Return a command as it is to be typed; where several incidents are open it names this one."""
    more = f" --incident {incident.id}" if len(ledger.open_records()) > 1 else ""
    return context.command(f"lpse-dr {words}{more}")


def next_words(context: Context, ledger: Ledger, incident: Incident) -> str:
    """Return the command that is next, "" where nothing is."""
    return named(context, ledger, incident, incident.turn[2]) if incident.turn else ""


def status_json(status: StepStatus) -> dict[str, Any]:
    """Return a step with its state."""
    return {
        **step_json(status.step),
        "state": status.progress.value,
        "settled": status.progress.settled,
        "at": status.at or None,
        "by": status.name or None,
        "note": status.note or None,
        "answer": status.answer,
        "run": status.run or None,
        "verdict": status.verdict or None,
        "waits_for": status.waits_for or None,
    }


def incident_json(context: Context, record: Record) -> dict[str, Any]:
    """Return an incident as programs read it."""
    incident = record.incident
    turn = incident.turn
    targets = figures(incident, context.office.limits, now())
    return {
        "id": incident.id,
        "kind": incident.kind.value,
        "drill": incident.drill,
        "name": incident.name or None,
        "condition": condition_json(incident.condition)["id"] if incident.condition else None,
        "sop_row": incident.condition.row if incident.condition else None,
        "phase": incident.phase.value,
        "opened_at": incident.opened_at,
        "report": dict(incident.report),
        "turn": {"role": turn[0].value, "activity": turn[1], "command": f"lpse-dr {turn[2]}"} if turn else None,
        "acts": [{**asdict(item), "by": dict(item.by), "data": dict(item.data)} for item in incident.done],
        "steps": [status_json(status) for status in incident.steps],
        "awaiting_confirmation": [{"act": item.act, "line": item.n, "ordered_by": item.ordered_by, "via": item.via} for item in incident.awaiting],
        "break_glass": [{**asdict(item), "by": dict(item.by)} for item in incident.broken_glass],
        "targets": [{"name": item.name, "target_seconds": item.target_seconds, "achieved_seconds": item.achieved_seconds, "met": item.met, "final": item.final} for item in targets],
        "journal": {"ok": record.proof.ok, "events": record.proof.events, "head": record.proof.head},
    }  # fmt: skip

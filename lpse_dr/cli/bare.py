"""`lpse-dr` alone: who is active, what is open, what to type next."""

from __future__ import annotations

from typing import Any

from ..i18n import _
from .context import Answer, Context
from .grammar import BARE, Verb


def _overview(context: Context) -> Answer:
    from ..journal import open_incident
    from ..runner.folder import runs
    from .look import look, next_command, status_answer

    office = context.office
    view, watched = look(context)
    answer = status_answer(context, view, watched)
    alive = [run for run in runs(office.state) if run.id != watched.run.id and run.alive()]
    incident = open_incident(office.state)
    screen = context.screen
    screen.line()
    screen.line(_("open record: {incident}").format(incident=incident.folder.name if incident else _("none")))
    emergencies = _emergencies(context)
    for run in alive:
        screen.line(_("going on: {run}").format(run=run.id))
    unfinished = next((run for run in reversed(alive) if run.request().get("changes")), None)
    command = context.command(next_command(view, unfinished.id if unfinished else None))
    if not unfinished:
        command = next((str(item["next_command"]) for item in emergencies if item["next_command"]), command)
    screen.line(_("next: {command}").format(command=command))
    extra = {
        "incident": incident.folder.name if incident else None,
        "incidents": emergencies,
        "runs": [run.id for run in alive],
        "next_command": command,
    }
    return Answer(answer.verdict, answer.changed, answer.error, {**answer.payload, **extra}, told=answer.told)


def _emergencies(context: Context) -> list[dict[str, Any]]:
    """Show every open emergency and drill, the newest first; whose turn it is and what to type is said of each."""
    from ..journal import open_incidents

    if not open_incidents(context.office.state):
        return []
    from .incident_screen import head, turn
    from .incident_words import next_words, open_ledger

    ledger = open_ledger(context)
    found = []
    for record in reversed(ledger.open_records()):
        incident = record.incident
        context.screen.line()
        head(context, incident)
        turn(context, ledger, record)
        whose = incident.turn[0].value if incident.turn else None
        command = next_words(context, ledger, incident)
        found.append({"id": incident.id, "kind": incident.kind.value, "phase": incident.phase.value,
                      "turn": whose, "next_command": command or None})  # fmt: skip
    return found


OVERVIEW = Verb(BARE, "", _overview)

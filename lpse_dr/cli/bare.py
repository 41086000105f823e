"""`lpse-dr` alone: who is active, what is open, what to type next."""

from __future__ import annotations

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
    for run in alive:
        screen.line(_("going on: {run}").format(run=run.id))
    unfinished = next((run for run in reversed(alive) if run.request().get("changes")), None)
    command = context.command(next_command(view, unfinished.id if unfinished else None))
    screen.line(_("next: {command}").format(command=command))
    extra = {
        "incident": incident.folder.name if incident else None,
        "runs": [run.id for run in alive],
        "next_command": command,
    }
    return Answer(answer.verdict, answer.changed, answer.error, {**answer.payload, **extra}, told=answer.told)


OVERVIEW = Verb(BARE, "", _overview)

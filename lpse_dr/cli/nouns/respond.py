"""`respond`: walk through the open incident's instruction; it can be left and taken up by another person elsewhere."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...errors import LpseDrError
from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import BARE, Verb

if TYPE_CHECKING:
    from ...incident.ledger import Ledger, Record
    from ...incident.model import Incident, StepStatus

HELP = N_("walk through the instruction of the open incident")


def _arguments(parser: argparse.ArgumentParser) -> None:
    from ..incident_words import claim_options, incident_option

    incident_option(parser)
    claim_options(parser)


def next_step(incident: Incident) -> StepStatus | None:
    """Return the step that is next: people first, then in order."""
    left = incident.open_steps
    return next((item for item in left if item.step.kind.life_safety), None) or (left[0] if left else None)


def _respond(context: Context) -> Answer:
    from ..ask import somebody_is_there
    from ..incident_screen import head, steps, turn
    from ..incident_words import next_words, open_ledger, status_json

    ledger = open_ledger(context)
    record = ledger.choose(context.args.incident)
    head(context, record.incident)
    steps(context, record.incident)
    if somebody_is_there():
        record = _walk(context, ledger, record)
    turn(context, ledger, record)
    incident = record.incident
    payload = {"incident": incident.id, "steps": [status_json(status) for status in incident.steps]}
    status = next_step(incident)
    if status is None:
        return Answer(payload=payload)
    error = {
        "id": "incident.steps_open",
        "expected": _("every step done, not needed, or skipped with a reason"),
        "found": ", ".join(item.step.id for item in incident.open_steps),
        "next_command": _command(context, ledger, incident, status) or next_words(context, ledger, incident),
    }
    return Answer("INCOMPLETE", None, error, payload)


def _command(context: Context, ledger: Ledger, incident: Incident, status: StepStatus) -> str:
    """Return the command that settles a step."""
    from ...incident.model import Progress
    from ..incident_words import named
    from ..sop_texts import available

    step = status.step.id
    if status.progress is Progress.RUNNING:
        return context.command(f"lpse-dr runs show {status.run} --follow")
    if status.progress is Progress.ASKED:
        return named(context, ledger, incident, f"step answer {step} yes|no --by NAME")
    if available(status.step):
        return named(context, ledger, incident, f"step run {step} --yes")
    return named(context, ledger, incident, f"step done {step} --by NAME --note TEXT")


def _walk(context: Context, ledger: Ledger, record: Record) -> Record:
    """Ask for one step after the other until all are settled or the person leaves; an empty answer leaves."""
    while (status := next_step(record.incident)) is not None:
        context.screen.line()
        context.screen.line(f"-> [{status.step.id}] {status.step.text}", following="   ")
        try:
            if not _one(context, ledger, record, status):
                break
        except LpseDrError as error:
            # Said, and asked again: the next answer may be a better one.
            context.screen.say(f"! {error.message}")
            for text in filter(None, (error.detail, error.hint)):
                context.screen.say(text, indent="  ")
            if not _again():
                break
        record = ledger.again(record)
    return ledger.again(record)


def _again() -> bool:
    from ..ask import ask

    return bool(ask(_("[t] try again, [Enter] leave:")))


def _one(context: Context, ledger: Ledger, record: Record, status: StepStatus) -> bool:
    """Ask about one step and record the answer; False where the person leaves."""
    from ...incident.model import Progress
    from ...incident.steps import Told, answer, done, skip
    from ..ask import ask
    from ..go import watch
    from ..incident_words import claim_of
    from ..sop_texts import available, how
    from ..step_run import run_step

    claim, step = claim_of(context.args), status.step.id
    context.screen.line(how(status.step), indent="   ")
    if status.progress is Progress.RUNNING:
        from ...runner.folder import find_run

        watch(context, find_run(context.office.state, status.run))
        return True
    if status.progress is Progress.ASKED and status.step.only_if:
        said = ask(f"{status.step.only_if.text} [{_('yes')}/{_('no')}, Enter: {_('leave')}]").lower()
        if said[:1] not in ("y", "t", "n"):
            return False
        answer(ledger, record, step, said[0] == "y", Told(ask(_("Who says so? [Enter: you]"))), claim)
        return True
    can_run, safety = available(status.step), status.step.kind.life_safety
    said = ask(_choices(can_run, safety)).lower()
    if said == "r" and can_run:
        run_step(context, ledger, record, step, claim)
    elif said == "s" and not safety:
        skip(ledger, record, step, Told(note=ask(_("Why is it left out?"))), claim)
    elif said == "d" or (said == "n" and safety):
        told = Told(ask(_("Who did it? [Enter: you]")), ask(_("When? [Enter: now]")), ask(_("How, what was seen?")))
        done(ledger, record, step, told, claim, nobody_on_site=said == "n")
    else:
        return False
    return True


def _choices(can_run: bool, safety: bool) -> str:
    offered = [_("[r] run it")] if can_run else []
    offered.append(_("[d] people are safe") if safety else _("[d] done by hand"))
    offered.append(_("[n] nobody on site") if safety else _("[s] skip it"))
    return ", ".join([*offered, _("[Enter] leave:")])


VERBS = (Verb(BARE, HELP, _respond, _arguments),)

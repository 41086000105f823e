"""An incident on the screen: where it stands, whose turn it is, what to type."""

from __future__ import annotations

from ..i18n import N_, _, language
from ..incident.ledger import Ledger, Record
from ..incident.model import LATIHAN, PHASES, Incident, Kind, Phase, Progress, StepStatus
from ..incident.targets import RELOCATE, Figure, figures
from ..journal import now
from .context import Context
from .incident_words import next_words
from .screen import office_time, seconds_text
from .sop_texts import how, mark

_PROGRESS = {
    Progress.PENDING: N_("open"),
    Progress.ASKED: N_("to be answered"),
    Progress.RUNNING: N_("going on"),
    Progress.FAILED: N_("not finished"),
    Progress.DONE: N_("done"),
    Progress.BY_HAND: N_("done by hand"),
    Progress.SKIPPED: N_("skipped"),
    Progress.NOT_NEEDED: N_("not needed"),
}
_TARGETS = {
    "rto": N_("recovery time (RTO)"),
    "mtd": N_("longest outage (MTD)"),
    "rpo": N_("loss of data (RPO)"),
}


def head(context: Context, incident: Incident) -> None:
    """Print which incident this is; a drill is stamped first of all."""
    if incident.drill:
        context.screen.line(LATIHAN)
    context.screen.raw(incident.id)
    if incident.condition:
        context.screen.line(mark(incident.condition.text, incident.condition.addition))


def turn(context: Context, ledger: Ledger, record: Record) -> None:
    """Print whose turn it is and what to type."""
    incident = record.incident
    screen = context.screen
    state = _(PHASES[incident.phase]) if incident.kind is not Kind.PEMELIHARAAN else incident.kind.value
    screen.line(_("state: {state}").format(state=state))
    for item in incident.awaiting:
        text = _("! menunggu konfirmasi: {act}, ordered by {name} ({via})")
        screen.line(text.format(act=item.act, name=item.ordered_by, via=item.via), following="  ")
    for glass in incident.broken_glass:
        by = glass.by.get("name") or glass.by.get("user")
        text = _("!! BREAK-GLASS line {line}: {act} by {name}: {reason}")
        screen.line(text.format(line=glass.n, act=glass.act, name=by, reason=glass.reason), following="   ")
        if glass.answer:
            screen.line(_("answered: {answer}").format(answer=glass.answer), indent="   ")
    if not record.proof.ok:
        screen.line(
            _("! THE JOURNAL WAS EDITED: line {line} {reason}").format(
                line=record.proof.bad_line, reason=_(record.proof.reason)
            )
        )
    if incident.turn:
        role, number, _command = incident.turn
        activity = ledger.sop.activity(number)
        said = activity.english if language() == "en" else activity.text
        screen.line(_("turn: {role}, activity {number}: {text}").format(role=role.value, number=number, text=said), following="  ")  # fmt: skip
        moved = incident.step(RELOCATE)
        if incident.phase is Phase.RETURNING and moved and moved.progress is Progress.DONE:
            screen.line(
                _("first lead the service back: {command}").format(command=context.command("lpse-dr switchover"))
            )
        screen.line(_("next: {command}").format(command=next_words(context, ledger, incident)))


def steps(context: Context, incident: Incident) -> None:
    """Print every step of the instruction with its state."""
    zone = context.office.time_zone
    number = 0
    for status in incident.steps:
        step = status.step
        own = incident.condition is not None and (incident.condition.addition or not step.addition)
        number += own
        context.screen.line(f"{f'{number}.' if own else '+':>3} {mark(step.text, step.addition)}", following="    ")
        if language() == "en":
            context.screen.line(f"= {step.english}", indent="    ")
        context.screen.line(f"[{step.id}] {_told(status, zone)}", indent="    ", following="      ")
        if not status.progress.settled:
            context.screen.line(how(step), indent="    ")


def _told(status: StepStatus, zone: str) -> str:
    text = _(_PROGRESS[status.progress])
    if status.verdict and status.progress is Progress.FAILED:
        text += f" ({status.verdict})"
    if status.progress in (Progress.PENDING, Progress.ASKED) and status.waits_for:
        text += ", " + _("waits for {step}").format(step=status.waits_for)
    if status.progress is Progress.ASKED and status.step.only_if:
        asked = status.step.only_if
        text += ": " + (asked.english if language() == "en" else asked.text)
    told = [status.name, office_time(status.at, zone) if status.at else "", status.note]
    if status.progress is not Progress.PENDING and any(told):
        text += ": " + ", ".join(filter(None, told))
    return text


def targets(context: Context, incident: Incident) -> None:
    """Print target against achieved."""
    for item in figures(incident, context.office.limits, now()):
        context.screen.line(f"{_(_TARGETS[item.name])}: {_figure(item)}")


def _figure(item: Figure) -> str:
    if item.achieved_seconds is None:
        achieved, judged = "?", _("not known, so not met")
    else:
        achieved = seconds_text(item.achieved_seconds)
        judged = {True: _("met"), False: _("NOT MET"), None: _("going on")}[item.met]
    text = _("target {target}, achieved {achieved}: {judged}")
    return text.format(target=seconds_text(item.target_seconds), achieved=achieved, judged=judged)


def show(context: Context, ledger: Ledger, record: Record) -> None:
    """Print everything: the report, the activities, the steps, the targets, the turn."""
    incident, screen, zone = record.incident, context.screen, context.office.time_zone
    head(context, incident)
    told = incident.report
    if incident.kind is Kind.PEMELIHARAAN:
        screen.line(str(told.get("reason") or ""))
    else:
        rows = {
            _("reported by"): f"{told.get('reporter')} ({told.get('via')})",
            _("happened"): office_time(str(told.get("happened_at")), zone),
            _("heard"): office_time(str(told.get("heard_at")), zone),
            _("report"): str(told.get("text") or "-"),
        }
        screen.pairs(rows)
        screen.line()
        _activities(context, ledger, incident)
        screen.line()
        steps(context, incident)
        screen.line()
        targets(context, incident)
    turn(context, ledger, record)


def _activities(context: Context, ledger: Ledger, incident: Incident) -> None:
    from ..incident.model import ACTS

    zone = context.office.time_zone
    for activity in ledger.sop.activities[1:-1]:
        found = [item for item in incident.done if ACTS[item.act].activity == activity.number]
        done = found or activity.number == 2 or (activity.number == 6 and not incident.open_steps)
        context.screen.line(
            f"{activity.number:>3} {_('ok') if done else '--':<3} {activity.text}", following="        "
        )
        if language() == "en":
            context.screen.line(f"= {activity.english}", indent="        ")
        if not (done or activity.command):
            context.screen.line(_("not available in this version, by hand"), indent="        ")
        for item in found:
            name = item.ordered_by or item.by.get("name") or item.by.get("user")
            told = ", ".join(filter(None, (item.act, str(name), office_time(item.at, zone), item.text)))
            context.screen.line(told, indent="        ")

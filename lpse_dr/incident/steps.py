"""Steps of an instruction: answered, done by hand, skipped, or made ready to be executed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..closed_yaml import nearest
from ..errors import UsageError
from ..i18n import _
from ..sop import Role
from .authority import Claim, Grant, authorise, member
from .ledger import Ledger, Record
from .model import BEFORE_RECOVERED, Incident, Phase, Progress, StepStatus
from .refusal import IncidentError
from .times import one_line

NOBODY_ON_SITE = "tidak ada orang di lokasi"


@dataclass(frozen=True)
class Told:
    """What a person says of a step: who did it, when, how. An empty time is now."""

    name: str = ""
    at: str = ""
    note: str = ""


def find(incident: Incident, step_id: str) -> StepStatus:
    """Return a step of the incident's instruction, by its id or its number; UsageError names the nearest."""
    if step_id.isdigit() and 0 < int(step_id) <= len(incident.steps):
        return incident.steps[int(step_id) - 1]
    found = incident.step(step_id.replace("-", "_"))
    if found is not None:
        return found
    known = [item.step.id for item in incident.steps]
    raise UsageError(
        _("The instruction has no step '{step}'").format(step=step_id) + nearest(step_id, known),
        detail=_("known: {names}").format(names=", ".join(known) or "-"),
        hint="lpse-dr step list",
    )


def answer(ledger: Ledger, record: Record, step_id: str, needed: bool, told: Told, claim: Claim) -> Record:
    """Record what people say to the question of a step; it can be answered anew while the step is not done."""
    status = find(record.incident, step_id)
    if status.step.only_if is None:
        raise UsageError(_("This step has no question."), hint="lpse-dr step list")

    def rule(now: StepStatus) -> None:
        if now.progress in (Progress.RUNNING, Progress.DONE, Progress.BY_HAND):
            raise _wrong_state(now)

    data = {"answer": needed, "question": status.step.only_if.text}
    return _append(ledger, record, "step.answered", status, told, claim, rule, data, role=None)


def done(
    ledger: Ledger, record: Record, step_id: str, told: Told, claim: Claim, *, nobody_on_site: bool = False
) -> Record:
    """Mark a step as done by people: who, when, how. A life-safety step needs the name of who is sure of it."""
    status = find(record.incident, step_id)
    safety = status.step.kind.life_safety
    if nobody_on_site and not safety:
        raise UsageError(_("--nobody-on-site fits a life-safety step only."), hint="lpse-dr step list")
    note = NOBODY_ON_SITE if nobody_on_site and not told.note else told.note
    if not (note or status.step.manual):
        raise UsageError(
            _("Say how it was done by hand."),
            hint=f"lpse-dr step done {step_id} --by NAME --note TEXT",
        )
    data = {"nobody_on_site": True} if nobody_on_site else {}
    told = Told(told.name, told.at, note)
    return _append(
        ledger, record, "step.done", status, told, claim, executable, data, role=None if safety else Role.TIM
    )


def skip(ledger: Ledger, record: Record, step_id: str, told: Told, claim: Claim) -> Record:
    """Leave a step out, with the reason. Life comes first: that step cannot be left out."""
    status = find(record.incident, step_id)
    if status.step.kind.life_safety:
        raise IncidentError(
            "step.life_first",
            _("Saving lives is not skipped."),
            expected=_("somebody who is sure that people are safe, or that nobody is there"),
            found=_("a wish to skip it"),
            hint=f"lpse-dr step done {status.step.id} --by NAME [--nobody-on-site]",
        )
    if not told.note.strip():
        raise UsageError(_("Say why it is left out."), hint=f"lpse-dr step skip {step_id} --reason TEXT")

    def rule(now: StepStatus) -> None:
        if now.progress in (Progress.RUNNING, Progress.DONE, Progress.BY_HAND):
            raise _wrong_state(now)

    return _append(ledger, record, "step.skipped", status, told, claim, rule, {}, role=Role.TIM)


def ready(ledger: Ledger, record: Record, step_id: str, claim: Claim) -> tuple[StepStatus, Grant]:
    """Return a step that may be executed now, and the right to do so; IncidentError says what comes first."""
    status = find(record.incident, step_id)
    grant = _right(ledger, record.incident, claim, Role.TIM)
    executable(status)
    return status, grant


def force(record: Record, status: StepStatus, grant: Grant) -> None:
    """Record, before the act, that an authority check was passed by force."""
    if grant.forced:
        record.journal.append("step.forced", {"step": status.step.id, **grant.data}, by=grant.by)


def executable(status: StepStatus) -> None:
    """Refuse a step that has to wait: for people's safety, for an answer, for its own run."""
    step = status.step.id
    if status.waits_for:
        raise IncidentError(
            "step.life_first",
            _("Technical steps wait until people are known to be safe."),
            expected=_("{step} done by a named person").format(step=status.waits_for),
            found=_("not yet"),
            hint=f"lpse-dr step done {status.waits_for} --by NAME [--nobody-on-site]",
        )
    if status.progress in (Progress.ASKED, Progress.NOT_NEEDED):
        asked = status.step.only_if
        raise IncidentError(
            "step.unanswered" if status.progress is Progress.ASKED else "step.not_needed",
            _("Before this step is asked: {question}").format(question=asked.text if asked else ""),
            expected=_("the answer yes"),
            found=_("no answer") if status.progress is Progress.ASKED else _("the answer no, by {name}").format(name=status.name),
            hint=f"lpse-dr step answer {step} yes|no --by NAME",
        )  # fmt: skip
    if status.progress is Progress.RUNNING:
        raise _wrong_state(status)


def _wrong_state(status: StepStatus) -> IncidentError:
    hint = f"lpse-dr runs show {status.run} --follow" if status.progress is Progress.RUNNING else "lpse-dr step list"
    return IncidentError(
        "step.state",
        _("The step {step} is past that.").format(step=status.step.id),
        expected=_("a step that is not going on and not done"),
        found=status.progress.value,
        hint=hint,
    )


def _right(ledger: Ledger, incident: Incident, claim: Claim, role: Role | None) -> Grant:
    """Return the right to work on a step. Before the order only people are cared for, or glass is broken."""
    if incident.phase not in BEFORE_RECOVERED:
        raise IncidentError(
            "incident.order",
            _("The recovery was reported; its steps are closed."),
            expected=_("an incident whose recovery goes on"),
            found=incident.phase.value,
            hint="lpse-dr incident show",
        )
    grant = member(ledger.people, claim) if role is None else authorise(ledger.people, role, claim, act="step")
    if incident.phase is Phase.ORDERED or role is None:
        return grant
    turn = incident.turn
    refused = IncidentError(
        "incident.not_ordered",
        _("The recovery has not been ordered."),
        expected=_("the Koordinator's order"),
        found=incident.phase.value,
        hint=_("lpse-dr {command}; if nobody can be reached: --break-glass TEXT").format(
            command=turn[2] if turn else "incident order"
        ),
    )
    if not claim.break_glass.strip():
        raise refused
    if grant.forced:
        return grant
    return Grant(grant.by, {**grant.data, "break_glass": claim.break_glass, "refused": refused.message})


def _append(
    ledger: Ledger, record: Record, kind: str, status: StepStatus, told: Told, claim: Claim,
    rule: Callable[[StepStatus], None], data: dict[str, Any], *, role: Role | None,
) -> Record:  # fmt: skip
    grant = _right(ledger, record.incident, claim, role)
    at = ledger.time(told.at, not_before=str(record.incident.report.get("happened_at") or ""), what=_("the event"))
    name = one_line(told.name) or grant.by["name"] or grant.by["user"]
    listed = ledger.people.named(name)
    body = {
        "step": status.step.id, "name": listed.name if listed else name, "listed": listed is not None, "at": at,
        "note": one_line(told.note), **data, **grant.data,
    }  # fmt: skip

    def still(events: list[dict[str, Any]]) -> None:
        rule(find(ledger.state(record.journal, events), status.step.id))

    record.journal.append(kind, body, by=grant.by, check=still)
    return ledger.again(record)

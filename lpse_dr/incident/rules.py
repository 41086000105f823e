"""What may follow what, and what must be complete before it. Pure; the table itself is `model.ACTS`."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..i18n import _
from .model import PHASES, Act, Incident
from .refusal import IncidentError
from .times import one_line


def in_order(incident: Incident, act: Act) -> None:
    """Refuse an act that does not follow what was done last; the next right one is named."""
    if incident.phase in act.before:
        return
    turn = incident.turn
    raise IncidentError(
        "incident.order",
        _("'{act}' does not fit here.").format(act=act.name),
        expected=_("an incident that is: {phases}").format(phases=", ".join(_(PHASES[item]) for item in act.before)),
        found=_(PHASES[incident.phase]),
        hint=f"lpse-dr {turn[2]}" if turn else "lpse-dr incident list",
    )


def complete(incident: Incident, act: Act, text: str, data: dict[str, Any]) -> None:
    """Refuse what would leave something open behind it."""
    if act.name == "recovered" and incident.open_steps:
        names = ", ".join(item.step.id for item in incident.open_steps)
        raise IncidentError(
            "incident.steps_open",
            _("Steps of the instruction are open: {steps}.").format(steps=names),
            expected=_("every step done, not needed, or skipped with a reason"),
            found=names,
            hint="lpse-dr respond",
        )
    if act.name in ("dismiss", "recovered", "analyse") and not text:
        raise UsageError(_("This needs its words."), hint="--text TEXT")
    answers = {str(key): one_line(str(value)) for key, value in (data.get("answers") or {}).items()}
    if act.name == "analyse":
        numbers = {str(item.n) for item in incident.broken_glass}
        strange = sorted(set(answers) - numbers)
        if strange:
            raise UsageError(
                _("Nothing was passed by force in line {numbers}.").format(numbers=", ".join(strange)),
                detail=_("passed by force: {numbers}").format(numbers=", ".join(sorted(numbers)) or "-"),
                hint="lpse-dr incident show",
            )
        data["answers"] = answers
    if act.name in ("analyse", "close"):
        left = [str(item.n) for item in incident.unanswered if not answers.get(str(item.n))]
        if left:
            raise IncidentError(
                "incident.unanswered",
                _("What was passed by force is answered before closing: line {numbers}.").format(
                    numbers=", ".join(left)
                ),
                expected=_("an answer for each"),
                found=_("none for {numbers}").format(numbers=", ".join(left)),
                hint=f"lpse-dr incident analyse --text TEXT --answer {left[0]}=TEXT",
            )


def unconfirmed(incident: Incident, act: Act) -> IncidentError | None:
    """Return what stands against closing while orders by phone wait for who gave them. It can be passed by force."""
    if act.name != "close" or not incident.awaiting:
        return None
    names = ", ".join(f"{item.act} ({item.ordered_by})" for item in incident.awaiting)
    return IncidentError(
        "incident.unconfirmed",
        _("Orders by phone are not confirmed: {orders}.").format(orders=names),
        expected=_("each confirmed by who gave it, by the same command under the own login"),
        found=names,
        hint=f"lpse-dr incident {incident.awaiting[0].act}",
    )

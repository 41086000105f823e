"""The SOP on the screen. Its own words are Indonesian and stay so; English readers get English beside them."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..i18n import _, language
from ..operations.start import installed
from ..sop import Condition, Sop, Step, load_sop
from .context import Context


def load(context: Context) -> Sop:
    """Return the SOP with what this office adds."""
    return load_sop(context.office.folder)


def mark(text: str, addition: bool) -> str:
    """Mark what the SOP does not say. The mark is Indonesian like the words that it stands behind."""
    return f"{text} (tambahan, bukan SOP)" if addition else text


def find(context: Context, sop: Sop, word: str) -> Condition:
    """Return the condition that a person names; where that is not one, UsageError names those that come near."""
    exact = sop.named(word)
    if exact is not None:
        return exact
    near = sop.near(word)
    known = ", ".join(item.id for item in sop.conditions)
    if len(near) > 1:
        problem = _("'{word}' could mean several conditions.").format(word=word)
    else:
        problem = _("There is no condition '{word}'.").format(word=word)
    hint = "', '".join(item.id for item in near)
    raise UsageError(
        problem,
        detail=_("known: {names}").format(names=known),
        hint=_("Did you mean '{near}'?").format(near=hint) if hint else context.command("lpse-dr conditions list"),
    )


def missing_operations(step: Step) -> list[str]:
    """Return the operations of a step that this installation lacks."""
    return [choice.id for choice in step.kind.operations if not installed(choice.id)]


def available(step: Step) -> bool:
    """Tell whether at least one of a step's operations can be executed here."""
    return not step.manual and len(missing_operations(step)) < len(step.kind.operations)


def how(step: Step) -> str:
    """Say in a few words how a step is done here: never more than is installed."""
    if step.manual:
        return _("by people")
    missing = missing_operations(step)
    if not available(step):
        text = _("{operations}: not available in this version, do it by hand")
        return text.format(operations=", ".join(missing))
    present = ", ".join(choice.id for choice in step.kind.operations if choice.id not in missing)
    if missing:
        text = _("by the tool: {present} (not available in this version, by hand: {missing})")
        return text.format(present=present, missing=", ".join(missing))
    return _("by the tool: {present}").format(present=present)


def show(context: Context, condition: Condition) -> None:
    """Print an instruction: the SOP's lines with the SOP's numbers, additions without."""
    screen = context.screen
    head = _("SOP, row {row}").format(row=condition.row) if condition.row else condition.source
    screen.line(f"{condition.id} ({head})")
    screen.line(mark(condition.text, condition.addition))
    _beside(context, condition.english, "")
    number = 0
    for step in condition.steps:
        own = condition.addition or not step.addition
        number += own
        screen.line(f"{f'{number}.' if own else '+':>3} {mark(step.text, step.addition)}", following="    ")
        _beside(context, step.english, "    ")
        if step.only_if:
            asked = step.only_if.english if language() == "en" else step.only_if.text
            screen.line(_("is asked: {question}").format(question=asked), indent="    ")
        screen.line(f"[{step.id}] {how(step)}", indent="    ")


def _beside(context: Context, english: str, indent: str) -> None:
    if language() == "en":
        context.screen.line(f"= {english}", indent=indent)


def step_json(step: Step) -> dict[str, Any]:
    """Return a step as programs read it."""
    return {
        "id": step.id,
        "text": step.text,
        "text_en": step.english,
        "manual": step.manual,
        "addition": step.addition,
        "question": step.only_if.text if step.only_if else None,
        "operations": [choice.id for choice in step.kind.operations],
        "not_available": missing_operations(step),
    }


def condition_json(condition: Condition) -> dict[str, Any]:
    """Return a condition with its steps as programs read it."""
    return {
        "id": condition.id,
        "sop_row": condition.row,
        "text": condition.text,
        "text_en": condition.english,
        "aliases": list(condition.aliases),
        "addition": condition.addition,
        "steps": [step_json(step) for step in condition.steps],
    }

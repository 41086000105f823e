"""Execute a technical step: choose its operation by what the hosts say, then type that operation's own command."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..i18n import _
from ..incident.authority import Claim
from ..incident.ledger import Ledger, Record
from ..incident.model import StepStatus
from ..incident.refusal import IncidentError
from ..incident.steps import force, ready
from ..operations.start import installed
from ..sop import Choice, When
from .context import Answer, Context
from .grammar import BARE, load_noun, noun_names, verb_parser

HAPPENED = "{happened_at}"
"""In a step's words: when the event happened, as it was reported."""
ALTERNATE = "drc"
"""The SOP's lokasi alternatif; where a service that is there already would go is for a person to say."""


def run_step(
    context: Context,
    ledger: Ledger,
    record: Record,
    step_id: str,
    claim: Claim,
    *,
    to: str = "",
    given: Sequence[str] = (),
    yes: bool = False,
) -> Answer:
    """Execute a step of the incident's instruction. Raises what stands against it before anything is done.

    ``given`` are words for the operation's own command, instead of those that the step brings.
    """
    status, grant = ready(ledger, record, step_id, claim)
    step = status.step.id
    if status.step.manual:
        raise UsageError(
            _("People do this step; the tool notes who and how."),
            hint=context.command(f"lpse-dr step done {step} --by NAME --note TEXT"),
        )
    if to and step != "service.relocate":
        raise UsageError(_("--to fits the step service.relocate only."), hint=_("Leave --to out."))
    if given and step == "service.relocate":
        raise UsageError(
            _("service.relocate takes no words of its own."),
            hint=context.command(f"lpse-dr step run {step} --to SITE"),
        )
    choice, words = _choose(context, status, to)
    happened = str(record.incident.report.get("happened_at") or "")
    words = list(given) or [happened if word == HAPPENED else word for word in words]
    noun, _dot, verb_name = choice.id.partition(".")
    verb = None
    if installed(choice.id) and noun in noun_names():
        verb = load_noun(noun).verb(verb_name.replace("_", "-") or BARE)
    if verb is None:
        raise IncidentError(
            "step.not_available",
            _("{operation} is not available in this version: do it by hand, then say so.").format(
                operation=choice.id
            ),
            expected=_("the operation {operation} in this installation").format(operation=choice.id),
            found=_("it has no playbook"),
            hint=f"lpse-dr step done {step} --by NAME --note TEXT",
        )
    loaded = load_noun(noun)
    if verb.changes:
        words += ["--reason", f"{step}: {record.incident.id}", *(["--yes"] if yes else [])]
    inner = Context(
        f"{noun} {verb.name}".strip(), verb_parser(loaded, verb).parse_args(words), context.options, context.screen,
        context.argv, step=step, step_operation=choice.id, incident=record.incident.id,
    )  # fmt: skip
    # The office has been named on this screen already.
    inner.__dict__["office"] = context.office
    force(record, status, grant)
    return verb.run(inner)


def _choose(context: Context, status: StepStatus, to: str) -> tuple[Choice, list[str]]:
    """Return the operation that fits, and the words that follow its command."""
    choices = status.step.kind.operations
    if all(choice.when is When.ALWAYS for choice in choices):
        return choices[0], list(choices[0].words)
    return _where(context, {choice.when: choice for choice in choices}, to)


def _where(context: Context, choices: dict[When, Choice], to: str) -> tuple[Choice, list[str]]:
    """Move from the site that accepts writes where one does; where none does, to one that can be read."""
    from .look import look

    view, _watched = look(context)
    names = [site.name for site in view.sites]
    if to and to not in names:
        raise UsageError(
            _("There is no site '{site}'.").format(site=to), detail=", ".join(names), hint=_("Name one of them.")
        )
    if len(view.active) > 1:
        raise _unclear(_("one active site"), ", ".join(view.active), "lpse-dr status")
    if view.active:
        source = view.active[0]
        if not to and source == ALTERNATE:
            raise IncidentError(
                "step.relocated",
                _("The service is at the alternate site already."),
                expected=_("the service at the primary site"),
                found=source,
                hint="lpse-dr step done service.relocate --by NAME --note TEXT",
            )
        if to == source:
            raise _unclear(_("another site than the active one"), source, "lpse-dr status")
        target = to or (view.others(source)[0] if len(names) == 2 else "")
        if not target:
            raise _unclear(_("--to SITE"), ", ".join(names), "lpse-dr step run service.relocate --to SITE")
        choice = choices[When.PRIMARY_ANSWERS]
        return choice, [*choice.words, "--from", source, "--to", target]
    readable = [name for name in names if name not in view.unread]
    target = to or (readable[0] if len(readable) == 1 else "")
    if not target or target not in readable:
        raise _unclear(_("one site that answers"), ", ".join(readable) or "-", "lpse-dr status")
    choice = choices[When.PRIMARY_SILENT]
    return choice, [*choice.words, "--to", target]


def _unclear(expected: str, found: str, hint: str) -> IncidentError:
    return IncidentError(
        "step.unclear", _("It is not clear which site would take over."), expected=expected, found=found, hint=hint
    )

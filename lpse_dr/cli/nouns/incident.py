"""`incident`: the SOP's activities 2 to 4 and 7 to 10, from the report to the closing.

Its verbs add to the record and touch no host; what was recorded is not taken back, so they name no inverse.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import Verb

if TYPE_CHECKING:
    from ...incident.ledger import Ledger, Outcome, Record

HELP = N_("an emergency or a drill, from the report to its closing")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("condition", nargs="?", metavar="CONDITION", help=_("what happened (conditions list)"))
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help=_("what was said"))
    parser.add_argument("--from", dest="reporter", default="", metavar="NAME", help=_("who reports it"))
    parser.add_argument("--via", default="", metavar="WAY", help=_("through what: telepon, lisan, surat, radio"))
    parser.add_argument("--happened", default="", metavar="TIME", help=_("when it happened: 07:30, or with the date"))
    parser.add_argument("--heard", default="", metavar="TIME", help=_("when it was heard of; otherwise now"))
    parser.add_argument("--name", default="", metavar="NAME", help=_("tells it apart where another one is open"))
    parser.add_argument("--drill", action="store_true", help=_("a drill: everything is stamped LATIHAN"))


def _report(context: Context) -> Answer:
    from ...journal import user_name
    from ..incident_screen import head, steps, turn
    from ..incident_words import incident_json, open_ledger
    from ..sop_texts import find

    args = context.args
    ledger = open_ledger(context)
    word = _given(args.condition, "CONDITION", _("What happened? (conditions list)"))
    condition = find(context, ledger.sop, word)
    record = ledger.report(
        condition,
        reporter=_given(args.reporter, "--from", _("Who reports it?")),
        via=_given(args.via, "--via", _("Through what (telepon, lisan, surat, radio)?")),
        user=user_name(), happened=args.happened, heard=args.heard, text=args.text, name=args.name, drill=args.drill,
    )  # fmt: skip
    head(context, record.incident)
    steps(context, record.incident)
    turn(context, ledger, record)
    return Answer(changed=True, payload={"incidents": [incident_json(context, record)]})


def _given(value: str | None, option: str, question: str) -> str:
    """Return what was typed, or ask for it where a person is there."""
    from ..ask import ask, somebody_is_there

    found = value or (ask(question) if somebody_is_there() else "")
    if not found:
        raise UsageError(_("missing: {0}").format(option), hint="lpse-dr incident report --help")
    return found


def _order_arguments(parser: argparse.ArgumentParser) -> None:
    from ..incident_words import claim_options, incident_option

    parser.add_argument("--text", default="", metavar="TEXT", help=_("what is said with it"))
    incident_option(parser)
    claim_options(parser, orders=True)


def _recovered_arguments(parser: argparse.ArgumentParser) -> None:
    from ..incident_words import claim_options, incident_option

    parser.add_argument("--text", default="", metavar="TEXT", help=_("the result of the recovery"))
    parser.add_argument("--service-at", default="", metavar="TIME", help=_("when the service worked again; otherwise when it was moved, or now"))  # fmt: skip
    parser.add_argument("--no-outage", action="store_true", help=_("the service was never away"))
    parser.add_argument("--lost-seconds", type=_seconds, metavar="N", help=_("how much data was lost, in seconds"))
    incident_option(parser)
    claim_options(parser)


def _seconds(text: str) -> int:
    number = int(text)
    if not 0 <= number < 10**9:
        raise ValueError(text)
    return number


def _analyse_arguments(parser: argparse.ArgumentParser) -> None:
    from ..incident_words import claim_options, incident_option

    parser.add_argument("--text", default="", metavar="TEXT", help=_("the analysis, or where it is kept"))
    parser.add_argument("--answer", action="append", default=[], metavar="LINE=TEXT", help=_("answers a check that was passed by force, by its line in the journal"))  # fmt: skip
    incident_option(parser)
    claim_options(parser)


def _act(name: str) -> Callable[[Context], Answer]:
    def run(context: Context) -> Answer:
        from ..incident_words import claim_of, open_ledger

        ledger = open_ledger(context)
        record = ledger.choose(context.args.incident)
        data = _figures(ledger, record, context.args) if name == "recovered" else _answers(context.args)
        outcome = ledger.act(record, name, claim_of(context.args), text=context.args.text or "", data=data)
        return _told(context, ledger, name, outcome)

    return run


def _answers(args: argparse.Namespace) -> dict[str, object]:
    answers = {}
    for given in getattr(args, "answer", []):
        line, equals, text = given.partition("=")
        if not (equals and line.strip().isdigit() and text.strip()):
            raise UsageError(_("{0}: {1} is not a valid value").format("--answer", given), hint="--answer 5=TEXT")
        answers[line.strip()] = text
    return {"answers": answers} if answers else {}


def _figures(ledger: Ledger, record: Record, args: argparse.Namespace) -> dict[str, object]:
    """Return what the recovery report says of outage and loss; a switch-over that was proven has lost nothing."""
    from ...incident.targets import RELOCATE, service_back
    from ...runner.folder import Run

    if args.no_outage and args.service_at:
        raise UsageError(_("--no-outage and --service-at exclude each other."), hint=_("Name one of them."))
    incident = record.incident
    happened = str(incident.report.get("happened_at") or "")
    moved = incident.step(RELOCATE)
    lost = args.lost_seconds
    if lost is None and moved is not None and moved.run and moved.verdict == "COMPLETED":
        request = Run(record.journal.folder / "runs" / moved.run).request()
        lost = 0 if request.get("operation") == "switchover" else None
    at = ledger.time(args.service_at, not_before=happened, what=_("the event")) if args.service_at else ""
    data = {"service_at": "" if args.no_outage else at or service_back(incident) or ledger.time("")}
    return {**data, "no_outage": args.no_outage, "lost_seconds": lost}


def _told(context: Context, ledger: Ledger, name: str, outcome: Outcome) -> Answer:
    from ..incident_screen import head, targets, turn
    from ..incident_words import incident_json
    from ..screen import office_time

    record = outcome.record
    incident = record.incident
    head(context, incident)
    last = incident.last(name)
    if not outcome.changed and last is not None:
        who = last.ordered_by or last.by.get("name") or last.by.get("user")
        at = office_time(last.at, context.office.time_zone)
        context.screen.line(_("Done already: {act}, {name}, {at}").format(act=name, name=who, at=at))
    elif outcome.confirmed:
        context.screen.line(_("Confirmed: {act}").format(act=name))
    else:
        context.screen.line(_("Recorded: {act}").format(act=name))
    if name in ("recovered", "close"):
        targets(context, incident)
    turn(context, ledger, record)
    return Answer(changed=outcome.changed, payload={"incidents": [incident_json(context, record)]})


def _list(context: Context) -> Answer:
    from ...incident.model import LATIHAN, PHASES, Kind
    from ..incident_words import incident_json, open_ledger

    ledger = open_ledger(context)
    records = [item for item in ledger.records() if context.args.all or item.incident.kind is not Kind.PEMELIHARAAN]
    for record in records:
        incident = record.incident
        state = _(PHASES[incident.phase]) if record.proof.ok else _("THE JOURNAL WAS EDITED")
        stamp = f" {LATIHAN}" if incident.drill else ""
        context.screen.raw(incident.id)
        context.screen.line(f"{incident.kind.value}{stamp}: {state}", indent="  ")
    if not records:
        context.screen.line(_("There is no incident yet."))
    return Answer(payload={"incidents": [incident_json(context, record) for record in records]})


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help=_("also maintenance"))


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", nargs="?", metavar="ID", help=_("which one; otherwise the one that is open"))


def _show(context: Context) -> Answer:
    from ..incident_screen import show
    from ..incident_words import incident_json, open_ledger

    ledger = open_ledger(context)
    record = ledger.choose(context.args.incident, ended=True)
    show(context, ledger, record)
    return Answer(payload={"incidents": [incident_json(context, record)]})


VERBS = (
    Verb("report", N_("take a report in: who, through what, when (activity 2)"), _report, _report_arguments),
    Verb("declare", N_("declare the emergency (activity 3)"), _act("declare"), _order_arguments),
    Verb("dismiss", N_("it was none: end it with the reason (activity 3)"), _act("dismiss"), _order_arguments),
    Verb("order", N_("order the team to recover the service (activity 4)"), _act("order"), _order_arguments),
    Verb("recovered", N_("report the result of the recovery (activity 7)"), _act("recovered"), _recovered_arguments),
    Verb("return", N_("order the return to normal (activity 8)"), _act("return"), _order_arguments),
    Verb("analyse", N_("report the analysis (activity 9)"), _act("analyse"), _analyse_arguments),
    Verb("close", N_("announce the end and close it (activity 10)"), _act("close"), _order_arguments),
    Verb("list", N_("every incident"), _list, _list_arguments),
    Verb("show", N_("one incident: who did what, what is open, whose turn it is"), _show, _show_arguments),
)

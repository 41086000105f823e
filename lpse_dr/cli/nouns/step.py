"""`step`: the instruction of the open incident, step by step, for scripts and for people who know what is next."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import Verb

if TYPE_CHECKING:
    from ...incident.ledger import Ledger, Record

HELP = N_("the steps of the open incident's instruction")

_ANSWERS = {"yes": True, "ya": True, "no": False, "tidak": False}


def _common(parser: argparse.ArgumentParser) -> None:
    from ..incident_words import claim_options, incident_option

    parser.add_argument("step", metavar="STEP", help=_("its id or number (step list)"))
    incident_option(parser)
    claim_options(parser)


def _told_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", default="", metavar="NAME", help=_("who did it, or knows it; otherwise you"))
    parser.add_argument("--at", default="", metavar="TIME", help=_("when; otherwise now"))
    parser.add_argument("--note", default="", metavar="TEXT", help=_("how, what was seen"))


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    from ..incident_words import incident_option

    incident_option(parser)


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--to", default="", metavar="SITE", help=_("where the service goes; otherwise the other site")
    )
    parser.add_argument(
        "--with",
        dest="given",
        default="",
        metavar="WORDS",
        help=_("words for the operation's own command: --with office"),
    )
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))


def _done_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _told_arguments(parser)
    parser.add_argument("--nobody-on-site", action="store_true", help=_("people are safe because nobody is there"))


def _skip_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help=_("why it is left out"))


def _answer_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("answer", choices=tuple(_ANSWERS), metavar="yes|no", help=_("what people say"))
    _told_arguments(parser)


def _opened(context: Context) -> tuple[Ledger, Record]:
    from ..incident_words import open_ledger

    ledger = open_ledger(context)
    return ledger, ledger.choose(context.args.incident)


def _answer_of(context: Context, ledger: Ledger, record: Record, *, changed: bool) -> Answer:
    from ..incident_screen import head, steps, turn
    from ..incident_words import status_json

    head(context, record.incident)
    steps(context, record.incident)
    turn(context, ledger, record)
    found = [status_json(status) for status in record.incident.steps]
    return Answer(changed=changed, payload={"incident": record.incident.id, "steps": found})


def _list(context: Context) -> Answer:
    return _answer_of(context, *_opened(context), changed=False)


def _run(context: Context) -> Answer:
    from ..ask import need_somebody_or_yes
    from ..incident_words import claim_of, status_json
    from ..step_run import run_step

    args = context.args
    ledger, record = _opened(context)
    need_somebody_or_yes(args.yes)
    answer = run_step(
        context, ledger, record, args.step, claim_of(args), to=args.to, given=shlex.split(args.given), yes=args.yes
    )
    found = [status_json(status) for status in ledger.again(record).incident.steps]
    payload = {**answer.payload, "incident": record.incident.id, "steps": found}
    return Answer(answer.verdict, answer.changed, answer.error, payload, told=answer.told)


def _done(context: Context) -> Answer:
    from ...incident.steps import Told, done
    from ..incident_words import claim_of

    args = context.args
    ledger, record = _opened(context)
    told = Told(args.by, args.at, args.note)
    record = done(ledger, record, args.step, told, claim_of(args), nobody_on_site=args.nobody_on_site)
    return _answer_of(context, ledger, record, changed=True)


def _skip(context: Context) -> Answer:
    from ...incident.steps import Told, skip
    from ..incident_words import claim_of

    args = context.args
    ledger, record = _opened(context)
    record = skip(ledger, record, args.step, Told(note=args.reason), claim_of(args))
    return _answer_of(context, ledger, record, changed=True)


def _answer(context: Context) -> Answer:
    from ...incident.steps import Told, answer
    from ..incident_words import claim_of

    args = context.args
    ledger, record = _opened(context)
    told = Told(args.by, args.at, args.note)
    record = answer(ledger, record, args.step, _ANSWERS[args.answer], told, claim_of(args))
    return _answer_of(context, ledger, record, changed=True)


VERBS = (
    Verb("list", N_("every step, what is done, what is next"), _list, _list_arguments),
    Verb("run", N_("execute a technical step"), _run, _run_arguments),
    Verb("done", N_("mark a step as done by people: who, when, how"), _done, _done_arguments),
    Verb("skip", N_("leave a step out, with the reason"), _skip, _skip_arguments),
    Verb("answer", N_("answer the question of a step"), _answer, _answer_arguments),
)

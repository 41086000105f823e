"""`conditions`: what the SOP orders in each emergency, word for word."""

from __future__ import annotations

import argparse

from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import Verb

HELP = N_("what the SOP orders in each emergency, word for word")


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("condition", metavar="ID", help=_("its id, its English name, or the SOP's row"))


def _list(context: Context) -> Answer:
    from ..sop_texts import condition_json, load, mark

    sop = load(context)
    rows = [[str(item.row or "+"), item.id, mark(item.text, item.addition)] for item in sop.conditions]
    width = max(len(row[1]) for row in rows)
    for number, name, text in rows:
        context.screen.line(f"{number:>2}  {name:<{width}}  {text}", following=" " * (width + 6))
    context.screen.line()
    context.screen.line(_("what to do: {command}").format(command=context.command("lpse-dr conditions show ID")))
    return Answer(payload={"conditions": [condition_json(item) for item in sop.conditions]})


def _show(context: Context) -> Answer:
    from ..sop_texts import condition_json, find, load, show

    sop = load(context)
    condition = find(context, sop, context.args.condition)
    show(context, condition)
    return Answer(payload={"conditions": [condition_json(condition)]})


VERBS = (
    Verb("list", N_("every emergency that has an instruction"), _list),
    Verb("show", N_("one instruction, step by step"), _show, _show_arguments),
)

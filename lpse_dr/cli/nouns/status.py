"""`status`: both sites as they are now."""

from __future__ import annotations

import argparse

from ...errors import UsageError
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import BARE, Verb, positive

HELP = N_("both sites as they are now")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help=_("look again until Ctrl-C"))
    parser.add_argument("--every", type=positive, default=5.0, metavar="SECONDS", help=_("pause between two looks"))


def _status(context: Context) -> Answer:
    import time

    from ..look import look, status_answer
    from ..screen import office_time

    if context.args.watch and context.screen.as_json:
        raise UsageError(_("--watch is for people; it does not go with --output json."))
    answer = Answer()
    while True:
        try:
            view, watched = look(context)
        except KeyboardInterrupt:
            if not context.args.watch:
                raise
            return answer
        answer = status_answer(context, view, watched)
        if not context.args.watch:
            return answer
        try:
            time.sleep(max(context.args.every, 1.0))
        except KeyboardInterrupt:
            return answer
        context.screen.line()
        context.screen.line(f"{context.office.heading}  {office_time(time.time(), context.office.time_zone)}")


VERBS = (Verb(BARE, HELP, _status, _arguments, Operation("status")),)

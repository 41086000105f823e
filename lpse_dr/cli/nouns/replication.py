"""`replication`: what travels from the active site to the other, and whether it arrives."""

from __future__ import annotations

import argparse

from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb

HELP = N_("what travels between the sites, and whether it arrives")

STATUS = Operation("replication.status")
# Writes a marker that travels with the data and vanishes: the service is as it was, so nothing needs to be undone.
VERIFY = Operation("replication.verify")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help=_("wait until the other site is up to date"))


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "database", "files")


def _verify(context: Context) -> Answer:
    from ..go import answer_of, execute, show_guards

    variables = {"replication_wait": bool(context.args.wait)}
    watched = execute(context, VERIFY, variables, quiet=not context.args.wait)
    show_guards(context, [guard for guard in watched.guards if not guard.get("ok")])
    return answer_of(context, watched, {})


VERBS = (
    Verb("status", N_("streams, lag and slots of both sites"), _status, None, STATUS),
    Verb("verify", N_("send a row and a document, time their journey"), _verify, _verify_arguments, VERIFY),
)

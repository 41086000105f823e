"""`traffic`: where clients are led."""

from __future__ import annotations

import argparse

from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb
from ..site_verb import site_verb

HELP = N_("where clients are led")

STATUS = Operation("traffic.status")
# Says that a person has done what a letter or ticket asked for; the next switch-over asks for it anew.
CONFIRM = Operation("traffic.confirm", changes=True, inverse="switchover")


def _confirm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_("the run that waits for it (runs list)"))


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "traffic", "dns")


def _confirm(context: Context) -> Answer:
    from ...journal import user_name
    from ...runner.folder import find_run
    from ..ask import need_somebody_or_yes, type_to_confirm
    from ..go import answer_of, execute

    run = find_run(context.office.state, context.args.run)
    variables = run.request().get("extra_vars") or {}
    if not context.args.plan:
        need_somebody_or_yes(context.args.yes)
        if not context.args.yes:
            question = _("Clients are led to the new site by now? Type {word} to confirm:").format(word=_("yes"))
            type_to_confirm(_("yes"), question)
    # Who says so, and of which run, goes to the journal with the rest of the request.
    told = {"traffic_statement": f"{user_name()}: {run.id} {context.args.reason}".strip()}
    if variables.get("to_site"):
        told["at_site"] = variables["to_site"]
    watched = execute(context, CONFIRM, told, typed=f"traffic confirm {run.id}")
    return answer_of(context, watched, {})


VERBS = (
    Verb("status", N_("gateways and name records"), _status, None, STATUS),
    site_verb("traffic.switch", N_("lead clients to the active site"), inverse="switchover", every_site=True),
    Verb("confirm", N_("say that a manual change has been made"), _confirm, _confirm_arguments, CONFIRM),
)

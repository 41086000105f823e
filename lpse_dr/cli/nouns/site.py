"""`site`: a whole site, looked at and judged."""

from __future__ import annotations

import argparse

from ...content import content_root
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb

HELP = N_("look at the sites, check whether a switch-over would go")

CHECK = Operation("site.check")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="SITE", help=_("the site that would take over; otherwise proposed"))
    # Offered is what this version can do.
    root = content_root()
    known = tuple(name for name in ("switchover", "failover", "failback") if Operation(name).playbook(root).is_file())
    parser.add_argument(
        "--for", dest="purpose", choices=known, default="switchover", help=_("what for (default: switchover)")
    )


def _status(context: Context) -> Answer:
    from ..look import look, status_answer

    return status_answer(context, *look(context))


def _check(context: Context) -> Answer:
    from ...operations.start import check_inventory
    from ..go import answer_of, execute, show_guards
    from ..look import view_of
    from ..show import sites_payload

    target = context.args.to
    inventory = check_inventory(context.office, target)
    variables = {"purpose": context.args.purpose}
    if target is not None:
        variables["to_site"] = target
        others = [site for site in inventory.sites if site != target]
        if len(others) == 1:
            variables["from_site"] = others[0]
    watched = execute(context, CHECK, variables, quiet=True)
    direction: dict[str, str] = next((guard["data"] for guard in watched.guards if guard.get("data")), {})
    if direction.get("from_site") and direction.get("to_site"):
        source, target = direction["from_site"], direction["to_site"]
        context.screen.line(_("from {source} to {target}").format(source=source, target=target))
    show_guards(context, watched.guards)
    payload = {"guards": watched.guards, **sites_payload(view_of(context.office, watched.readings))}
    return answer_of(context, watched, payload)


VERBS = (
    Verb("status", N_("both sites as they are now"), _status, None, Operation("site.status")),
    Verb("check", N_("every guard of a switch-over; changes nothing"), _check, _check_arguments, CHECK),
)

"""`failback`: the site that was lost comes back: first as the standby, then, by a planned switch-over, as the active site."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import BARE, Verb

if TYPE_CHECKING:
    from ..go import Watched

HELP = N_("bring the site back that was lost: as standby, then by plan as the active site")

OPERATION = Operation("failback", changes=True, inverse="switchover", interlocks=("switchover", "failover"))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        dest="target",
        metavar="SITE",
        help=_("the site that comes back; otherwise the one that is not active"),
    )
    parser.add_argument(
        "--prepare-only", action="store_true", help=_("make it the standby, and leave the service where it is")
    )


def _target(context: Context) -> str:
    """Return the site that comes back: as named, or the one that is not active by a look at both."""
    from ...operations.start import check_inventory
    from ..look import look
    from ..show import show_sites

    inventory = check_inventory(context.office, context.args.target)
    if context.args.target:
        return str(context.args.target)
    view, _watched = look(context)
    show_sites(context, view)
    if len(view.active) != 1 or len(inventory.sites) != 2:
        raise RefusedError(
            _("It is not clear which site would come back."),
            detail=_("accepts writes: {sites}").format(sites=", ".join(view.active) or "-"),
            hint=context.command("lpse-dr failback --to SITE"),
        )
    return str(view.others(view.active[0])[0])


def _failback(context: Context) -> Answer:
    from ..ask import need_somebody_or_yes, type_to_confirm
    from ..go import execute
    from ..standby import other_site, show_way, tell

    args = context.args
    if not args.plan:
        need_somebody_or_yes(args.yes)
    target = _target(context)
    source = other_site(context, target)
    variables: dict[str, Any] = {"from_site": source, "to_site": target}
    if args.prepare_only:
        variables["failback_prepare_only"] = True
    typed = f"failback --to {target}" + (" --prepare-only" if args.prepare_only else "")
    if not args.plan and not args.yes:
        looked = _look(context, variables, typed)
        if looked.result.get("verdict") != "COMPLETED":
            return tell(context, looked)
        show_way(context, looked.loss)
        text = _("Make {target} the standby of {source}.") if args.prepare_only else _(
            "Make {target} the standby of {source}, then switch over to {target}."
        )  # fmt: skip
        context.screen.line(text.format(target=target, source=source))
        type_to_confirm(target, _("Type the target's name ({target}) to begin:").format(target=target))
    variables["switchover_drain_seconds"] = context.office.limits.drain_seconds
    return tell(context, execute(context, OPERATION, variables, typed=typed))


def _look(context: Context, variables: dict[str, Any], typed: str) -> Watched:
    """Ask all guards and choose the way, changing nothing."""
    from ..go import execute

    context.args.plan = True
    try:
        return execute(context, OPERATION, variables, typed=typed, quiet=True)
    finally:
        context.args.plan = False


VERBS = (Verb(BARE, HELP, _failback, _arguments, OPERATION),)

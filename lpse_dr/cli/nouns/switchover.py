"""`switchover`: the planned move of the service from one living site to the other."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ...errors import LpseDrError, RefusedError, UsageError
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context, DetachedRunError
from ..grammar import BARE, Verb

if TYPE_CHECKING:
    from ..go import Watched

HELP = N_("move the service to the other site; no bid is lost")

OPERATION = Operation("switchover", changes=True, inverse="switchover", interlocks=("switchover",))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", metavar="SITE", help=_("the site that is active now"))
    parser.add_argument("--to", dest="target", metavar="SITE", help=_("the site that takes over"))
    parser.add_argument(
        "--cut-uploads",
        action="store_true",
        help=_("end uploads that take longer than the limit, instead of giving up"),
    )


def _direction(context: Context) -> tuple[str | None, str | None]:
    """Return what was named, after checking it against the inventory."""
    from ...operations.inventory import SiteError
    from ...operations.start import check_inventory
    from ..wording import guard_texts

    source, target = context.args.source, context.args.target
    inventory = check_inventory(context.office, source, target)
    if source is not None and source == target:
        texts = guard_texts({"guard_id": "site.differ", "data": {"from_site": source, "to_site": target}})
        raise SiteError(
            "site.differ",
            _("Source and target are the same site: {site}.").format(site=source),
            expected=texts[1],
            found=texts[2],
            hint=texts[3],
        )
    if len(inventory.sites) == 2 and (source is None) != (target is None):
        missing = next(site for site in inventory.sites if site not in (source, target))
        return source or missing, target or missing
    return source, target


def _propose(context: Context, source: str | None, target: str | None) -> tuple[str, str]:
    """Show both sites and return the direction: as named, or from the active site to the other one."""
    from ..look import look
    from ..show import show_sites, warnings

    view, _watched = look(context)
    show_sites(context, view)
    for note in warnings(view, context.office.time_zone):
        context.screen.line(f"! {note}")
    if source and target:
        return source, target
    if len(view.active) != 1 or len(view.sites) != 2:
        raise RefusedError(
            _("It is not clear which site would take over."),
            detail=_("accepts writes: {sites}").format(sites=", ".join(view.active) or "-"),
            hint=context.command("lpse-dr switchover --from SITE --to SITE"),
        )
    return view.active[0], view.others(view.active[0])[0]


def _switchover(context: Context) -> Answer:
    from ..ask import need_somebody_or_yes, type_to_confirm
    from ..go import execute
    from ..look import view_of
    from ..show import show_sites

    args = context.args
    source, target = _direction(context)
    if not args.plan:
        named = f"lpse-dr switchover --from {source or 'SITE'} --to {target or 'SITE'} --yes"
        need_somebody_or_yes(args.yes, context.command(named))
    if args.yes and not (args.source and args.target):
        raise UsageError(
            _("--yes needs both sites, so that nothing is guessed."),
            hint=context.command("lpse-dr switchover --from SITE --to SITE --yes"),
        )
    if source is None or target is None or not (args.yes or args.plan):
        source, target = _propose(context, source, target)
    context.screen.line()
    context.screen.line(_("Switch over from {source} to {target}.").format(source=source, target=target))
    if not args.yes and not args.plan:
        type_to_confirm(target, _("Type the target's name ({target}) to begin:").format(target=target))
    variables: dict[str, Any] = {"from_site": source, "to_site": target}
    if args.cut_uploads:
        variables["switchover_cut_uploads"] = True
    variables["switchover_drain_seconds"] = context.office.limits.drain_seconds
    typed = f"switchover --from {source} --to {target}" + (" --cut-uploads" if args.cut_uploads else "")
    watched = execute(context, OPERATION, variables, typed=typed)
    if args.yes and watched.before:
        context.screen.line(_("before:"))
        show_sites(context, view_of(context.office, watched.before))
    return _tell(context, watched)


def _tell(context: Context, watched: Watched) -> Answer:
    from ..go import answer_of, show_guards
    from ..look import look, view_of
    from ..show import show_sites, sites_payload, warnings

    plan = context.args.plan
    failing = [guard for guard in watched.guards if not guard.get("ok")]
    show_guards(context, watched.guards if plan else failing)
    if plan:
        for number, step in enumerate(watched.steps, start=1):
            hosts = step.get("host") or ", ".join(step.get("at") or [])
            context.screen.line(f"{number:>3}. {step.get('name')}  {hosts}  {step.get('verb')}")
    # What the run read at its end is believed; where it read nothing, look now: reality outranks the plan.
    untouched = plan or not watched.result.get("changed", True)
    view = view_of(context.office, watched.readings)
    if not (watched.after or untouched):
        try:
            view, _watched = look(context)
        except (LpseDrError, DetachedRunError) as error:
            # Whatever this look came to, the verdict of the run must be told.
            context.screen.say(_("The sites could not be read afterwards: {error}").format(error=error))
    if not untouched:
        context.screen.line(_("after:"))
        show_sites(context, view)
        for note in warnings(view, context.office.time_zone):
            context.screen.line(f"! {note}")
    payload: dict[str, Any] = sites_payload(view)
    if plan or failing:
        payload["guards"] = watched.guards
    if plan:
        payload["steps"] = watched.steps
    return answer_of(context, watched, payload)


VERBS = (Verb(BARE, HELP, _switchover, _arguments, OPERATION),)

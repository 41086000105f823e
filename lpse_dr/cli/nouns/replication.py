"""`replication`: what travels from the active site to the other, whether it arrives, and how it is kept away."""

from __future__ import annotations

import argparse
from typing import Any

from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb

HELP = N_("what travels between the sites, and whether it arrives")

STATUS = Operation("replication.status")
# Writes a marker that travels with the data and vanishes: the service is as it was, so nothing needs to be undone.
VERIFY = Operation("replication.verify")
HALT = Operation("replication.halt", changes=True, inverse="replication resume")
# What was copied is not taken back (the old data directory stays beside); that nothing more comes is a halt.
SEED = Operation(
    "replication.seed", changes=True, inverse="replication halt", interlocks=("switchover", "failover", "failback")
)
RESUME = Operation("replication.resume", changes=True, inverse="replication halt")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help=_("wait until the other site is up to date"))


def _halt_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at", metavar="SITE", help=_("the standby site; otherwise the one that is not known as active")
    )
    parser.add_argument(
        "--both-sides", action="store_true", help=_("ask the other site too, and block the path at its gateway")
    )
    parser.add_argument(
        "--infected-since", metavar="TIME", help=_("first sign of the infection, e.g. 2026-11-24T08:00")
    )
    parser.add_argument(
        "--margin", metavar="DURATION", default="72h", help=_("how much earlier it may have begun (default: 72h)")
    )


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--at", metavar="SITE", required=True, help=_("the site that was halted"))
    parser.add_argument("--ordered-by", metavar="NAME", default="", help=_("the Koordinator who ordered it"))


def _seed_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", dest="target", metavar="SITE", required=True, help=_("the site that becomes a standby")
    )


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "database", "files")


def _verify(context: Context) -> Answer:
    from ..go import answer_of, execute, show_guards

    variables = {"replication_wait": bool(context.args.wait)}
    watched = execute(context, VERIFY, variables, quiet=not context.args.wait)
    show_guards(context, [guard for guard in watched.guards if not guard.get("ok")])
    return answer_of(context, watched, {})


def _halt(context: Context) -> Answer:
    from ...journal import user_name
    from ...operations.start import check_inventory
    from ..ask import need_somebody_or_yes, type_to_confirm
    from ..halting import infection, standby_site, tell_halt

    args = context.args
    _need_reason(context)
    variables: dict[str, Any] = infection(context, args.infected_since, args.margin)
    if not args.plan:
        need_somebody_or_yes(args.yes)
    inventory = check_inventory(context.office, args.at)
    site = args.at or standby_site(context, inventory)
    context.screen.line(
        _("Halt replication to {site}: nothing new comes there until somebody resumes it.").format(site=site)
    )
    if not args.plan and not args.yes:
        type_to_confirm(site, _("Type the site's name ({site}) to begin:").format(site=site))
    variables |= {"at_site": site, "replication_reason": args.reason, "replication_by": user_name()}
    if args.both_sides:
        variables["replication_both_sides"] = True
    return tell_halt(context, HALT, variables)


def _resume(context: Context) -> Answer:
    from ...errors import UsageError
    from ...operations.start import check_inventory
    from ..ask import ask, need_somebody_or_yes, type_to_confirm
    from ..halting import tell_resume

    args = context.args
    _need_reason(context)
    if not args.plan:
        need_somebody_or_yes(args.yes)
    site = check_inventory(context.office, args.at).require_site(args.at)
    ordered_by = args.ordered_by.strip()
    if not ordered_by and not (args.yes or args.plan):
        ordered_by = ask(_("Which Koordinator ordered it? Name:"))
    if not ordered_by and not args.plan:
        hint = context.command(f"lpse-dr replication resume --at {site} --reason TEXT --ordered-by NAME")
        raise UsageError(_("Replication is resumed by order of the Koordinator; nobody was named."), hint=hint)
    context.screen.line(
        _("Resume replication to {site}: everything newer at the other site comes there.").format(site=site)
    )
    if not args.plan and not args.yes:
        type_to_confirm(site, _("Type the site's name ({site}) to begin:").format(site=site))
    variables = {"at_site": site, "replication_reason": args.reason, "replication_ordered_by": ordered_by or "plan"}
    return tell_resume(context, RESUME, variables)


def _seed(context: Context) -> Answer:
    from ..ask import need_somebody_or_yes, type_to_confirm
    from ..go import execute
    from ..standby import other_site, tell

    args = context.args
    if not args.plan:
        need_somebody_or_yes(args.yes)
    source = other_site(context, args.target)
    context.screen.line(
        _("Copy all of {source} to {target}; what {target} has now is kept beside.").format(
            source=source, target=args.target
        )
    )
    if not args.plan and not args.yes:
        type_to_confirm(args.target, _("Type the target's name ({target}) to begin:").format(target=args.target))
    variables = {"from_site": source, "to_site": args.target}
    return tell(context, execute(context, SEED, variables, typed=f"replication seed --to {args.target}"))


def _need_reason(context: Context) -> None:
    """Refuse early what the journal could not explain later."""
    from ...errors import UsageError

    if not context.args.reason.strip():
        command = context.command(f"lpse-dr {context.words} --reason TEXT")
        raise UsageError(_("A reason is needed; it is kept in the journal and on the hosts."), hint=command)


VERBS = (
    Verb("status", N_("streams, lag and slots of both sites"), _status, None, STATUS),
    Verb("verify", N_("send a row and a document, time their journey"), _verify, _verify_arguments, VERIFY),
    Verb("halt", N_("keep everything new away from the standby site"), _halt, _halt_arguments, HALT),
    Verb("seed", N_("make a standby from nothing, by a base backup"), _seed, _seed_arguments, SEED),
    Verb("resume", N_("let it come again, by order of the Koordinator"), _resume, _resume_arguments, RESUME),
)

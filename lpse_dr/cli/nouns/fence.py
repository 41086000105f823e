"""`fence`: what keeps a site from writing that is not permitted to, and one permitted exception."""

from __future__ import annotations

import argparse

from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb
from ..site_verb import site_verb

HELP = N_("what keeps a site from writing that is not permitted to")

STATUS = Operation("fence.status")
ARM = Operation("fence.arm", changes=True, inverse="fence lift")
LIFT = Operation("fence.lift", changes=True, inverse="fence arm")


def _host_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help=_("the database host"))


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "fence")


def _arm(context: Context) -> Answer:
    return _act(context, ARM, {}, "")


def _lift(context: Context) -> Answer:
    from ...errors import UsageError
    from ...journal import user_name

    reason = str(context.args.reason or "").strip()
    if not reason:
        raise UsageError(
            _("A lift needs its reason: why the other site surely does not write."),
            hint=context.command('lpse-dr fence lift HOST --reason "..."'),
        )
    warning = _("{host} may then open for writing once without the other site's word. Two writable sites lose bids.")
    told = {"fence_lift_by": user_name(), "fence_lift_reason": reason}
    return _act(context, LIFT, told, warning.format(host=context.args.host))


def _act(context: Context, operation: Operation, variables: dict[str, str], warning: str) -> Answer:
    from ...errors import UsageError
    from ...operations.start import check_inventory
    from ..ask import need_somebody_or_yes, type_to_confirm
    from ..go import answer_of, execute, show_guards
    from ..screen import office_time

    args = context.args
    if getattr(args, "plan", False):
        raise UsageError(_("This command has no plan to show."), hint=context.command("lpse-dr fence status"))
    need_somebody_or_yes(args.yes)
    inventory = check_inventory(context.office)
    known = [host for site in inventory.sites for host in inventory.hosts(site, "database")]
    if args.host not in known:
        raise UsageError(
            _("There is no database host '{host}'.").format(host=args.host),
            hint=_("One of: {hosts}").format(hosts=", ".join(known)),
        )
    if warning:
        context.screen.say(warning)
    if not args.yes:
        type_to_confirm(args.host, _("Type {word} to begin:").format(word=args.host))
    typed = f"{context.words} {args.host}"
    watched = execute(context, operation, {"at_host": args.host, **variables}, typed=typed)
    show_guards(context, [guard for guard in watched.guards if not guard.get("ok")])
    if operation is not LIFT:
        return answer_of(context, watched, {})
    lifts = [reading["fence"]["lift"] for reading in watched.readings if (reading.get("fence") or {}).get("lift")][
        -1:
    ]
    for given in lifts:
        until = office_time(given["until"], context.office.time_zone)
        words = _("{by} lifts the fence of {host} for epoch {epoch}, once, until {until}.")
        context.screen.line(words.format(by=given["by"], host=args.host, epoch=given["epoch"], until=until))
    return answer_of(context, watched, {"lifts": lifts})


VERBS = (
    Verb("status", N_("guards: at work, armed, what they last heard"), _status, None, STATUS),
    site_verb("fence.install", N_("put the guards on the hosts"), inverse="fence remove", every_site=True),
    site_verb("fence.remove", N_("take the guards from the hosts"), inverse="fence install", every_site=True),
    Verb("arm", N_("let every later start of a database be read-only"), _arm, _host_argument, ARM),
    Verb("lift", N_("permit a database one opening for writing"), _lift, _host_argument, LIFT),
)

"""`lab`: two sites in containers on this machine, to try everything on."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from ...errors import UsageError
from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import Verb, positive, positive_count

HELP = N_("two sites in containers on this machine, to try things on")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help=_("which lab (default: demo)"))


def _up_arguments(parser: argparse.ArgumentParser) -> None:
    from ...lab.model import BOOKWORM, VARIANTS

    _name_argument(parser)
    parser.add_argument(
        "--variant", choices=tuple(VARIANTS), default=BOOKWORM.name, help=_("the release of Debian it is made of")
    )


def _load_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--seconds", type=positive, default=30.0, metavar="N", help=_("how long vendors submit bids"))
    parser.add_argument("--clients", type=positive_count, default=4, metavar="C", help=_("how many vendors at once"))
    parser.add_argument(
        "--slow-upload", type=float, default=0.0, metavar="SECONDS", help=_("add an upload this slow")
    )


def _name(context: Context) -> str:
    """Return the lab that is meant, and print its name first, as every screen does."""
    named, option = getattr(context.args, "name", None), context.options.lab
    if named and option and named != option:
        raise UsageError(_("--name and --lab name two different labs."), hint=_("Name one of them."))
    if context.options.office:
        raise UsageError(_("--office and the lab exclude each other."), hint="lpse-dr lab --help")
    return str(named or option or "demo")


def _headed(context: Context) -> str:
    name = _name(context)
    context.screen.line(f"LAB {name}")
    return name


def _sayer(context: Context) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: context.screen.say(f"{time.monotonic() - began:6.1f} s  {text}")


def _up(context: Context) -> Answer:
    from ...lab.manage import up

    lab = up(_headed(context), _sayer(context), variant=context.args.variant)
    context.screen.line(_("next: {command}").format(command=f"lpse-dr --lab {lab.name} status"))
    item = {"name": lab.name, "state": "up", "office": str(lab.office), "inventory": str(lab.inventory)}
    return Answer(changed=True, payload={"labs": [item]})


def _down(context: Context) -> Answer:
    from ...lab.manage import down

    name = _headed(context)
    existed = down(name, _sayer(context))
    context.screen.line(_("Removed.") if existed else _("There was none."))
    return Answer(changed=existed, payload={"labs": [{"name": name, "state": "absent"}]})


def _status(context: Context) -> Answer:
    from ...lab.manage import names, status

    wanted = context.args.name or context.options.lab
    found = [status(name) for name in ([wanted] if wanted else names())]
    context.screen.line("LAB" if not wanted else f"LAB {wanted}")
    if not found:
        context.screen.line(_("There is no lab. Build one: {command}").format(command="lpse-dr lab up"))
    states = {"up": _("up"), "down": _("down"), "partial": _("partly up"), "absent": _("absent")}
    for lab in found:
        context.screen.line(f"{lab.name}: {states.get(lab.state, lab.state)}")
        if lab.missing:
            context.screen.line(_("not running: {hosts}").format(hosts=", ".join(lab.missing)), indent="  ")
    items: list[dict[str, Any]] = [
        {
            "name": lab.name,
            "state": lab.state,
            "hosts": lab.containers,
            "missing": list(lab.missing),
            "office": str(lab.office) if lab.office else None,
        }
        for lab in found
    ]
    return Answer(payload={"labs": items})


def _inventory(context: Context) -> Answer:
    from ...lab.manage import load_lab

    # Nothing but the path: it stands in $(...) of another command.
    lab = load_lab(_name(context))
    context.screen.raw(str(lab.inventory))
    return Answer(payload={"inventories": [str(lab.inventory)]})


def _load(context: Context) -> Answer:
    from ...lab.load import LoadSession
    from ...lab.manage import load_lab

    args = context.args
    lab = load_lab(_headed(context))
    say = _sayer(context)
    session = LoadSession(lab, seconds=args.seconds, clients=args.clients, slow_upload_seconds=args.slow_upload)
    with session:
        try:
            session.follow(lambda figures: say("  ".join(f"{key} {value}" for key, value in figures.items())), 5.0)
        except KeyboardInterrupt:
            say(_("Stopping; requests under way are finished."))
            session.stop()
        result = session.collect()
    figures = result.to_json()
    context.screen.pairs({key: str(value) for key, value in figures.items()})
    return Answer(changed=True, payload={"figures": figures})


def _audit(context: Context) -> Answer:
    from ...lab.audit import audit
    from ...lab.manage import load_lab
    from ...runner.verdict import error_of

    name = _headed(context)
    result = audit(load_lab(name))
    figures = result.to_json()
    context.screen.pairs(
        {key: str(value) for key, value in figures.items() if key not in ("lost_receipts", "problems")}
    )
    for lost in result.lost:
        context.screen.line(f"! {lost.receipt}: {lost.reason}")
    if result.ok:
        context.screen.line(_("Every receipt has its row and its document."))
        return Answer(payload={"figures": figures})
    found = "; ".join([_("{count} receipts without it").format(count=len(result.lost)), *result.problems])
    error = error_of("audit.failed", _("every receipt with its row and its document"), found, "lpse-dr lab audit")
    return Answer("REFUSED", False, error, {"figures": figures})


VERBS = (
    Verb("up", N_("build the lab and start it"), _up, _up_arguments, changes_itself=True, inverse_itself="lab down"),
    Verb("down", N_("remove the lab; nothing stays"), _down, _name_argument, changes_itself=True, inverse_itself="lab up"),
    Verb("status", N_("which labs there are"), _status, _name_argument),
    Verb("inventory", N_("print the path of its inventory, for ansible-playbook -i"), _inventory, _name_argument),
    # Bids that were submitted stay submitted; the lab goes away as a whole.
    Verb("load", N_("vendors submit bids and keep the receipts"), _load, _load_arguments,
         changes_itself=True, inverse_itself="lab down"),
    Verb("audit", N_("check every receipt of the last load"), _audit, _name_argument),
)  # fmt: skip

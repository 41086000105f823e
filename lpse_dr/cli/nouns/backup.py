"""`backup`: which sets there are, taking one, finding the last clean one, bringing one up where it can do no harm."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ...errors import UsageError
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb

HELP = N_("sets of backups, and the last one that is clean")

LIST = Operation("backup.list")
# A set is only ever added. What it adds is seen in the list, and taken away by whoever keeps the medium.
TAKE = Operation("backup.take", changes=True, inverse="backup list")
# Neither a set nor anything in production is changed by looking.
FIND_CLEAN = Operation("backup.find_clean")
RESTORE = Operation("backup.restore", changes=True, inverse="backup cleanup")
CLEANUP = Operation("backup.cleanup", changes=True, inverse="backup restore")

_QUARANTINE = "quarantine"


def _take_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", metavar="TEXT", default="", help=_("what is written on the medium"))


def _find_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--infected-since", metavar="TIME", help=_("first sign of the infection, e.g. 2026-11-24T08:00")
    )
    parser.add_argument(
        "--margin", metavar="DURATION", default="72h", help=_("how much earlier it may have begun (default: 72h)")
    )
    parser.add_argument(
        "--all", action="store_true", help=_("look into every set, not only until the first clean one")
    )


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", metavar="SET", help=_("the name of a set (backup list)"))
    parser.add_argument("--into", metavar="PLACE", required=True, choices=(_QUARANTINE,), help=_("quarantine: a place without a network"))  # fmt: skip


def _cleanup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", metavar="SET", help=_("the name of a set (backup list)"))


def _variables(context: Context) -> dict[str, Any]:
    """Return what the journal of this machine knows: it outranks what the vault says of itself."""
    from ..backups import recorded

    return {"backup_recorded": recorded(context.office)}


def _list(context: Context) -> Answer:
    from ..backups import age_text, known_text
    from ..go import answer_of, execute
    from ..screen import size_text

    watched = execute(context, LIST, _variables(context), quiet=True)
    found: Mapping[str, Any] = next((item["backup"] for item in reversed(watched.readings) if "backup" in item), {})
    sets = found.get("sets") or []
    if sets:
        head = [_("set"), _("age"), _("size"), _("what is known")]
        context.screen.table(head, [[str(item["set"]), age_text(item.get("taken_at")), size_text(item.get("bytes")), known_text(item)] for item in sets])  # fmt: skip
    elif found.get("sets") is not None:
        context.screen.line(_("There is no set yet. Take one: {command}").format(command=context.command("lpse-dr backup take")))  # fmt: skip
    for item in found.get("quarantine") or []:
        context.screen.line(_("in the quarantine: {set}").format(set=item["set"]))
    if found.get("at_work"):
        context.screen.line(_("at work: {job}").format(job=found["at_work"]))
    payload = {"sets": sets, "quarantine": found.get("quarantine") or []}
    return answer_of(context, watched, payload, show=bool(watched.result.get("error")))


def _take(context: Context) -> Answer:
    from ..go import answer_of, execute_typed
    from ..screen import size_text

    label = context.args.label.strip()
    watched = execute_typed(context, TAKE, {"backup_label": label} if label else {}, "backup take", "take")
    figures = watched.result.get("figures") or {}
    if figures.get("set"):
        rows = {
            _("set"): str(figures["set"]),
            _("size"): size_text(figures.get("bytes")),
            _("documents"): str(figures.get("documents")),
            _("from"): str(figures.get("source")),
            _("manifest"): str(figures.get("manifest_sha256")),
        }
        context.screen.pairs(rows)
    return answer_of(context, watched, {}, show_figures=False)


def _find_clean(context: Context) -> Answer:
    from ..backups import show_inspection
    from ..go import answer_of, execute
    from ..halting import duration, point_in_time
    from ..screen import office_time

    args = context.args
    since = args.infected_since or _ask_since(context)
    variables = {
        **_variables(context),
        "backup_infected_since": point_in_time(context, since),
        "backup_margin_seconds": duration(args.margin),
        "backup_all": bool(args.all),
    }
    typed = f"backup find-clean --infected-since {since} --margin {args.margin}" + (" --all" if args.all else "")
    watched = execute(context, FIND_CLEAN, variables, typed=typed)
    figures = watched.result.get("figures") or {}
    for item in figures.get("sets") or []:
        show_inspection(context, item)
    if figures.get("clean_set"):
        context.screen.line(
            _("The newest clean set from before {time}: {set}").format(
                time=office_time(figures["before"], context.office.time_zone), set=figures["clean_set"]
            )
        )
        context.screen.line(
            _("A scanner knows what it knows. Two persons confirm this choice before anything of it is used.")
        )
    return answer_of(context, watched, {}, show_figures=False)


def _ask_since(context: Context) -> str:
    """Return the time of the first sign; a step of an instruction is started without one."""
    from ..ask import ask, somebody_is_there

    found = ask(_("When was the first sign of the infection?")) if somebody_is_there() else ""
    if not found.strip():
        raise UsageError(
            _("It must be known since when the infection may be there."),
            hint=context.command("lpse-dr backup find-clean --infected-since TIME"),
        )
    return found


def _restore(context: Context) -> Answer:
    from ..backups import VERDICTS
    from ..go import answer_of, execute_typed

    name = context.args.set
    typed = f"backup restore {name} --into {_QUARANTINE}"
    watched = execute_typed(context, RESTORE, {**_variables(context), "backup_set": name}, typed, name)
    figures = watched.result.get("figures") or {}
    if figures.get("bids") is not None:
        verdict = VERDICTS.get(str(figures.get("verdict")))
        rows = {
            _("what is known"): _(verdict) if verdict else _("not looked into yet"),
            _("tenders"): str(figures.get("tenders")),
            _("bids"): f"{figures['bids']} ({figures.get('expected_bids') if figures.get('expected_bids') is not None else '?'})",
            _("documents"): f"{figures.get('documents')} ({figures.get('expected_documents')})",
            _("bids without their document"): str(figures.get("without_document")),
            _("network"): ", ".join(figures.get("network") or []) or "-",
            _("database"): str(figures.get("socket")),
        }  # fmt: skip
        context.screen.pairs(rows)
        context.screen.line(_("In brackets what was counted before. Take it down again: {command}").format(
            command=context.command(f"lpse-dr backup cleanup {name}")))  # fmt: skip
    return answer_of(context, watched, {}, show_figures=False)


def _cleanup(context: Context) -> Answer:
    from ..go import answer_of, execute_typed

    name = context.args.set
    watched = execute_typed(context, CLEANUP, {"backup_set": name}, f"backup cleanup {name}", name)
    return answer_of(context, watched, {}, show_figures=False)


VERBS = (
    Verb("list", N_("which sets there are, and what is known of each"), _list, None, LIST),
    Verb("take", N_("take a set from the active site"), _take, _take_arguments, TAKE),
    Verb("find-clean", N_("find the newest set that an infection has not reached"), _find_clean, _find_arguments, FIND_CLEAN),
    Verb("restore", N_("bring a set up without a network, and count what is in it"), _restore, _restore_arguments, RESTORE),
    Verb("cleanup", N_("take it out of the quarantine again"), _cleanup, _cleanup_arguments, CLEANUP),
)  # fmt: skip

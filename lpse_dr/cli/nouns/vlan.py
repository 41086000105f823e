"""`vlan`: who can talk to whom, and keeping segments apart."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb

if TYPE_CHECKING:
    from ..go import Watched

HELP = N_("who can talk to whom; keep segments apart")

STATUS = Operation("vlan.status")
ISOLATE = Operation("vlan.isolate", changes=True, inverse="vlan release")
RELEASE = Operation("vlan.release", changes=True, inverse="vlan isolate")
# Says that a person has done what no program can do at his gear; the next isolation or release asks for it anew.
CONFIRM = Operation("vlan.confirm", changes=True, inverse="vlan release")

_NAMED = "segment"
_SIGNS = {"open": N_("open"), "closed": N_("closed")}


def _isolate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "level", metavar="LEVEL", help=_("total, office, ... as the inventory names them; or segment")
    )
    parser.add_argument("segments", metavar="SEGMENT", nargs="*", help=_("for level segment: which"))
    parser.add_argument("--path-stays", metavar="TEXT", default="", help=_("who says that you will not be cut off, and how he knows"))  # fmt: skip


def _confirm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_("the run that waits for it (runs list)"))


def _passage(cell: Mapping[str, Any]) -> str:
    """Return a cell of the matrix: what was measured, and, where that is not so, what was expected."""
    ways = [way for way in ("tcp", "icmp") if cell.get(way) == "open"]
    measured = "open" if ways else "closed" if cell.get("tcp") else None
    if measured is None:
        return "." if cell.get("expected") is None else "?"
    text = "+".join(ways) or "-"
    return text if cell.get("expected") in (None, measured) else f"{text} !"


def _show_matrix(context: Context, told: Mapping[str, Any]) -> None:
    """Draw who reaches whom; on a narrow screen one block a row."""
    cells = {(cell["from"], cell["to"]): cell for cell in told.get("cells") or []}
    segments = [str(item["name"]) for item in told.get("segments") or []] or list(
        dict.fromkeys(pair[0] for pair in cells)
    )
    screen = context.screen
    screen.table([_("from / to"), *segments], [[one, *(_passage(cells[one, other]) for other in segments)] for one in segments])  # fmt: skip
    screen.line(_("tcp, icmp: comes through; - nothing does; ? nobody tries; . within one segment, never kept apart; ! otherwise than expected"))  # fmt: skip
    for path in told.get("unexpected") or []:
        one, _arrow, rest = str(path).partition(" > ")
        other, _space, state = rest.rpartition(" ")
        screen.line("! " + _("{one} to {other}: {state}, expected otherwise").format(one=one, other=other, state=_(_SIGNS[state])))  # fmt: skip
    screen.line(_("Hosts within one segment still reach each other, whatever the gateways do."))


def _gateway(item: Mapping[str, Any]) -> str:
    if item.get("provider") == "manual":
        return _("changed by hand; no program can read it")
    if not item.get("answers"):
        return _("does not answer: {found}").format(found=item.get("found") or "?")
    if item.get("level") is None:
        text = _("keeps nothing apart")
    else:
        text = _("isolates: {level}, {count} packets dropped").format(level=item["level"], count=item.get("dropped_packets"))  # fmt: skip
        text += ", " + (_("confirmed") if item.get("confirmed") else _("NOT confirmed"))
    if item.get("undo_armed"):
        text += ", " + _("an undo is armed: it ends by itself")
    elif item.get("undo_until") and item.get("level") is None:
        text += ", " + _("an isolation was not confirmed and has undone itself")
    return text


def _status(context: Context) -> Answer:
    from ..go import answer_of, execute

    watched = execute(context, STATUS, {}, quiet=True)
    told = watched.told.get("vlan", [{}])[-1]
    if told:
        _show_status(context, told)
    payload = {key: told.get(key) for key in ("level", "isolated", "gateways", "levels", "unexpected")}
    return answer_of(context, watched, {**payload, "paths": told.get("cells") or []}, show=bool(watched.result.get("error")))  # fmt: skip


def _show_status(context: Context, told: Mapping[str, Any]) -> None:
    screen = context.screen
    screen.pairs({str(item["name"]): _gateway(item) for item in told.get("gateways") or []})
    if told.get("isolated"):
        screen.line(_("isolated: {segments}").format(segments=", ".join(told["isolated"])))
    screen.line()
    _show_matrix(context, told)
    screen.line()
    rows = {f"isolate {item['name']}": str(item["description"]) for item in told.get("levels") or []}
    screen.pairs({**rows, f"isolate {_NAMED} ...": _("the named ones: {segments}").format(segments=", ".join(str(item["name"]) for item in told.get("segments") or []))})  # fmt: skip


def _begin(context: Context, operation: Operation, variables: Mapping[str, Any], typed: str, word: str) -> Watched:
    from ..go import execute_typed

    watched = execute_typed(context, operation, variables, typed, word)
    for told in watched.told.get("vlan", []):
        if told.get("rules"):
            context.screen.line()
            context.screen.line(f"# {', '.join(told['gateways'])} ({told['provider']})")
            for line in str(told["rules"]).rstrip().splitlines():
                context.screen.raw(line.expandtabs(4))
    return watched


def _isolate(context: Context) -> Answer:
    from ..go import answer_of

    args = context.args
    if (args.level == _NAMED) != bool(args.segments):
        raise UsageError(
            _("Level segment wants names of segments, other levels none."),
            hint=context.command("lpse-dr vlan isolate segment NAME..."),
        )
    variables = {"vlan_level": args.level, "vlan_names": args.segments, "vlan_statement": args.path_stays}
    typed = " ".join(["vlan isolate", args.level, *args.segments])
    watched = _begin(context, ISOLATE, variables, typed, args.segments[0] if args.segments else args.level)
    if watched.result.get("verdict") in ("COMPLETED", "INCOMPLETE") and not args.plan:
        context.screen.line(_("Hosts within one segment still reach each other, whatever the gateways do."))
    return answer_of(context, watched, _payload(watched))


def _release(context: Context) -> Answer:
    from ..go import answer_of

    watched = _begin(context, RELEASE, {}, "vlan release", "release")
    return answer_of(context, watched, _payload(watched))


def _payload(watched: Watched) -> dict[str, Any]:
    rules = [told for told in watched.told.get("vlan", []) if told.get("rules")]
    found = [{key: told[key] for key in ("gateways", "provider", "rules")} for told in rules]
    return {"guards": watched.guards, **({"rules": found} if found else {})}


def _confirm(context: Context) -> Answer:
    from ...journal import user_name
    from ...runner.folder import find_run
    from ..go import answer_of

    run = find_run(context.office.state, context.args.run)
    request = run.request()
    if request.get("operation") not in (ISOLATE.id, RELEASE.id):
        raise UsageError(_("This run was no isolation and no release."), hint=context.command("lpse-dr runs list"))
    given = request.get("extra_vars") or {}
    variables = {key: given[key] for key in ("vlan_level", "vlan_names") if key in given}
    # Who says so, and of which run, goes to the journal with the rest of the request.
    variables["vlan_statement"] = f"{user_name()}: {run.id} {context.args.reason}".strip()
    watched = _begin(context, CONFIRM, variables, f"vlan confirm {run.id}", _("yes"))
    return answer_of(context, watched, {})


VERBS = (
    Verb("status", N_("who can talk to whom, expected and measured"), _status, None, STATUS),
    Verb("isolate", N_("keep segments apart; undone by itself unless it proves right"), _isolate, _isolate_arguments, ISOLATE),
    Verb("release", N_("let the segments together again, as before"), _release, None, RELEASE),
    Verb("confirm", N_("say that a change at gear without a driver has been made"), _confirm, _confirm_arguments, CONFIRM),
)  # fmt: skip

"""`failover`: the other site takes over from one that is lost."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from ...errors import LpseDrError, RefusedError, UsageError
from ...i18n import N_, _
from ...operations.model import Operation
from ..context import Answer, Context, DetachedRunError
from ..grammar import BARE, Verb

if TYPE_CHECKING:
    from ..go import Watched

HELP = N_("let the other site take over from one that is lost; what was not copied is lost")

OPERATION = Operation("failover", changes=True, inverse="failback", interlocks=("switchover", "failover"))
# What a person answers is not asked for twice: these a look may say no to, and the command still asks.
_ASKED = ("failover.proof",)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SHOWN = 20


def duration(text: str) -> int:
    """Return seconds of `90`, `90s`, `15m`, `2h`, `1d`; ValueError otherwise. For argparse."""
    match = re.fullmatch(r"(\d{1,7})([smhd]?)", text.strip())
    if not match or int(match[1]) == 0:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", dest="target", metavar="SITE", required=True, help=_("the site that takes over"))
    parser.add_argument(
        "--assume-primary-dead",
        dest="statement",
        metavar="TEXT",
        help=_("your word that the old site is off, and how you know; kept in the journal"),
    )
    parser.add_argument(
        "--accept-loss-older-than",
        dest="accept",
        type=duration,
        metavar="DURATION",
        help=_("go on although the target's copy is older than the limit, up to this age (90s, 15m, 2h, 1d)"),
    )


def _source(context: Context) -> str:
    """Return the site that is given up: the one that is not the target."""
    from ...operations.start import check_inventory

    inventory = check_inventory(context.office, context.args.target)
    others = [site for site in inventory.sites if site != context.args.target]
    if len(others) != 1:
        raise RefusedError(
            _("It is not clear which site is given up."), detail=_("sites: {sites}").format(sites=", ".join(others))
        )
    return others[0]


def _variables(context: Context, source: str, statement: str) -> dict[str, Any]:
    args = context.args
    found: dict[str, Any] = {"from_site": source, "to_site": args.target, "failover_statement": statement}
    if args.accept is not None:
        found["failover_accept_age_seconds"] = args.accept
    return found


def _typed(context: Context, statement: str) -> str:
    import shlex

    words = ["failover", "--to", context.args.target]
    if statement:
        words += ["--assume-primary-dead", statement]
    if context.args.accept is not None:
        words += ["--accept-loss-older-than", f"{context.args.accept}s"]
    return shlex.join(words)


def _failover(context: Context) -> Answer:
    from ..ask import need_somebody_or_yes
    from ..go import execute

    args = context.args
    if not args.plan:
        need_somebody_or_yes(args.yes)
    statement = (args.statement or "").strip()
    if args.statement is not None and not statement:
        raise UsageError(
            _("--assume-primary-dead needs words: why the old site is surely off."),
            hint=_('for example: --assume-primary-dead "fire, power cut at 09:12, seen by Budi"'),
        )
    source = _source(context)
    if args.plan or not args.yes:
        looked = _look(context, source, statement)
        if args.plan or looked.result.get("verdict") != "COMPLETED":
            refused = [guard for guard in looked.guards if not guard.get("ok")]
            if args.plan or not refused or any(guard.get("guard_id") not in _ASKED for guard in refused):
                return _tell(context, looked, planned=True)
        elif not looked.steps:
            return _tell(context, looked, planned=True)
        statement = _ask(context, source, statement, looked)
    args.reason = args.reason or statement
    watched = execute(context, OPERATION, _variables(context, source, statement), typed=_typed(context, statement))
    if args.yes:
        _show_before(context, watched, source)
    return _tell(context, watched)


def _look(context: Context, source: str, statement: str) -> Watched:
    """Look at both sites and ask all guards, changing nothing; show what was seen and what may be lost."""
    from ..go import execute

    wanted = context.args.plan
    context.args.plan = True
    try:
        looked = execute(
            context, OPERATION, _variables(context, source, statement), typed=_typed(context, statement), quiet=True
        )
    finally:
        context.args.plan = wanted
    _show_before(context, looked, source)
    return looked


def _show_before(context: Context, watched: Watched, source: str) -> None:
    from ..look import view_of
    from ..show import show_sites

    if not watched.before:
        return
    view = view_of(context.office, watched.before)
    show_sites(context, view)
    if watched.loss.get("stage") in ("living", "shielded", "gone"):
        _show_loss(context, watched, source)


def _show_loss(context: Context, watched: Watched, source: str) -> None:
    """Print where the old site was looked for and what was found, and what may be lost."""
    from ...i18n import pgettext
    from ...operations.loss import moment, pending
    from ...operations.sites import merge
    from ..screen import office_time, seconds_text

    screen, zone, loss = context.screen, context.office.time_zone, watched.loss

    def word(text: Any) -> str:
        return pgettext("guard.word", str(text)) if text else ""

    screen.line()
    screen.line(_("Where {site} was looked for:").format(site=source))
    rows: dict[str, str] = {}
    for sight in loss.get("sights") or []:
        detail = f" ({word(sight['detail'])})" if sight.get("detail") else ""
        rows[f"  {sight['vantage']}: {word(sight['what'])}"] = f"{word(sight['answer'])}{detail}"
    screen.pairs(rows)
    screen.line(_("What may be lost: everything that {site} accepted after these.").format(site=source))
    at, read = moment(loss.get("received_at")), moment(loss.get("read_at"))
    age = seconds_text(max(0.0, read - at)) if at is not None and read is not None else "?"
    rows = {
        "  " + _("last WAL received"): _("{lsn}, {at}, {age} before this look").format(
            lsn=loss.get("receive_lsn") or "?", at=office_time(at, zone), age=age
        ),
        "  " + _("last commit received"): office_time(moment(loss.get("last_commit_at")), zone),
    }
    readings = merge(watched.before)
    for item in loss.get("files") or []:
        newest = next(
            (
                (reading["database"].get("documents") or {}).get("newest")
                for reading in readings.values()
                if isinstance(reading.get("database"), dict) and reading.get("site") == context.args.target
            ),
            None,
        )
        count, more = pending(newest, [{"last_sync": item}])
        text = "?" if count is None else f"{count}+" if more else str(count)
        rows["  " + _("documents copied")] = _("{at}; rows since then: {count}").format(
            at=office_time(moment(item.get("at")), zone), count=text
        )
    screen.pairs(rows)


def _ask(context: Context, source: str, statement: str, looked: Watched) -> str:
    """Have a person type what is given up; return how he knows that it is off, where nothing proves it."""
    from ..ask import ask, type_to_confirm

    context.screen.line()
    if looked.loss.get("proof") == "power":
        context.screen.line(_("The power of {site}'s database will be cut first.").format(site=source))
    if statement or looked.loss.get("proof") in ("fence", "power"):
        target = context.args.target
        type_to_confirm(target, _("Type the target's name ({target}) to begin:").format(target=target))
        return statement
    phrase = _("{site} is dead").format(site=source)
    context.screen.line(
        _("Nothing proves that {site} is off. If it still accepts bids, they are lost.").format(site=source)
    )
    type_to_confirm(phrase, _("If you know that it is off, type: {phrase}").format(phrase=phrase))
    answer = ask(_("How do you know?"))
    if not answer:
        raise RefusedError(_("Not confirmed, nothing was changed."), detail=_("A reason is needed; it is recorded."))
    return answer


def _labels() -> dict[str, str]:
    return {
        "epoch": _("epoch"),
        "receive_lsn": _("last WAL received"),
        "replay_lsn": _("last WAL replayed"),
        "proof": _("old site off by"),
        "documents_checked": _("documents looked at"),
        "documents_absent": _("documents missing"),
        "documents_different": _("documents that differ"),
        "documents_list": _("the whole list"),
        "sequences": _("numbers moved on"),
        "not_done_at": _("could not be done at the old site"),
        "stage": _("stage"),
    }


def _listed(watched: Watched) -> list[dict[str, Any]]:
    """Return the rows whose documents are missing, as the run listed them."""
    found: list[dict[str, Any]] = []
    for answers in watched.told.get("documents", []):
        for answer in answers.values():
            if answer.get("list"):
                found += json.loads(answer["list"]).get("documents") or []
    return found


def _tell(context: Context, watched: Watched, *, planned: bool = False) -> Answer:
    from ..go import answer_of, show_guards
    from ..look import look, view_of
    from ..show import show_sites, sites_payload, warnings

    failing = [guard for guard in watched.guards if not guard.get("ok")]
    untouched = planned or not watched.result.get("changed", True)
    show_guards(context, watched.guards if planned and context.args.plan else failing if untouched else [])
    if planned and context.args.plan:
        for number, step in enumerate(watched.steps, start=1):
            hosts = step.get("host") or ", ".join(step.get("at") or [])
            context.screen.line(f"{number:>3}. {step.get('name')}  {hosts}  {step.get('verb')}")
    view = view_of(context.office, watched.readings)
    if not (watched.after or untouched):
        try:
            view, _watched = look(context)
        except (LpseDrError, DetachedRunError) as error:
            context.screen.say(_("The sites could not be read afterwards: {error}").format(error=error))
    documents = _listed(watched)
    if not untouched:
        context.screen.line(_("after:"))
        show_sites(context, view)
        for note in warnings(view):
            context.screen.line(f"! {note}")
        _show_documents(context, documents)
    payload: dict[str, Any] = {**sites_payload(view), "documents": documents, "loss": watched.loss}
    if untouched or failing:
        payload["guards"] = watched.guards
    if planned:
        payload["steps"] = watched.steps
    answer = answer_of(context, watched, payload, labels=_labels())
    if answer.verdict == "COMPLETED" and not planned:
        _show_next(context)
    return answer


def _show_documents(context: Context, documents: list[dict[str, Any]]) -> None:
    """Print the first of the documents that are missing, with what a person needs to call the vendor."""
    words = {"absent": _("missing"), "different": _("differs")}
    for item in documents[:_SHOWN]:
        context.screen.line(
            _("{what}: {path}, vendor {vendor}, tender {tender}").format(
                what=words.get(str(item.get("reason")), "?"), path=item.get("path"), vendor=item.get("vendor"),
                tender=item.get("tender"),
            ),
            following="    ",
        )  # fmt: skip
    if len(documents) > _SHOWN:
        context.screen.line(_("and {count} more").format(count=len(documents) - _SHOWN))


def _show_next(context: Context) -> None:
    """Say what a person must see to now: there is no standby, and the old site must not come back by itself."""
    source = _source(context)
    text = _(
        "Keep {source} away from clients. Before its database is started, see that standby.signal lies in its data directory."
    )
    context.screen.line(text.format(source=source), following="  ")
    text = _(
        "Keep its disks: what it had not sent is there alone. {target} has no standby until then: lpse-dr failback --to {source} --prepare-only"
    )
    context.screen.line(text.format(target=context.args.target, source=source), following="  ")


VERBS = (Verb(BARE, HELP, _failover, _arguments, OPERATION),)

"""Words for a halt of replication: when an infection began, which site is meant, what was reached."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from ..errors import UsageError
from ..i18n import _
from ..operations.inventory import Inventory
from ..operations.model import Operation
from .context import Answer, Context
from .go import Watched, answer_of, execute, show_guards
from .screen import office_time, seconds_text, size_text

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_RUNS_READ = 20


def duration(text: str) -> int:
    """Return a duration like 72h, 3d or 90m in seconds; UsageError for what is none."""
    found = re.fullmatch(r"(\d{1,6})([dhms])", text.strip())
    if not found:
        raise UsageError(_("'{text}' is not a duration.").format(text=text), hint=_("Like this: 72h, 3d, 90m"))
    return int(found[1]) * _UNITS[found[2]]


def point_in_time(context: Context, text: str) -> str:
    """Return a time as ISO 8601 in UTC; without a zone it is the office's. UsageError for none, and for one that is to come."""
    try:
        found = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(
            _("'{text}' is not a time.").format(text=text),
            hint=_("Like this: 2026-11-24T08:00, in the office's zone"),
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(context.office.time_zone))
    if found > datetime.datetime.now(datetime.UTC):
        shown = office_time(found.timestamp(), context.office.time_zone)
        raise UsageError(
            _("{time} has not come yet.").format(time=shown),
            hint=_("Name the time of the first sign of the infection."),
        )
    return found.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _long(seconds: float) -> str:
    """Show a duration of hours or days without its minutes."""
    return _("{hours} h").format(hours=int(seconds // 3600)) if seconds >= 7200 else seconds_text(seconds)


def infection(context: Context, since: str | None, margin: str) -> dict[str, Any]:
    """Return the variables that say when an infection may have begun; none where nobody said it."""
    seconds = duration(margin)
    if since is None:
        return {}
    return {"replication_infected_since": point_in_time(context, since), "replication_margin_seconds": seconds}


def standby_site(context: Context, inventory: Inventory) -> str:
    """Return the site that is not active, as this machine's own runs have last seen it; else the inventory's second.

    No host is asked: one of them is suspect. Where this is wrong, the halt is refused and names the other site.
    """
    from ..operations.sites import merge
    from ..runner.folder import runs

    sites = list(inventory.sites)
    newest: tuple[int, str] = (0, sites[0])
    for run in list(runs(context.office.state))[-_RUNS_READ:]:
        events, _offset = run.events(0)
        readings = [event["reading"] for event in events if event.get("kind") == "reading"]
        for reading in merge(readings).values():
            epoch = (reading.get("state") or {}).get("epoch") or {}
            if isinstance(epoch.get("number"), int) and epoch.get("site") in sites:
                newest = max(newest, (epoch["number"], epoch["site"]))
    return next(site for site in sites if site != newest[1])


def tell_halt(context: Context, operation: Operation, variables: Mapping[str, Any]) -> Answer:
    """Halt, and say where it stands still, since when that is surely clean, and how long a resume is possible."""
    site = str(variables["at_site"])
    watched = execute(context, operation, variables, typed=f"replication halt --at {site}")
    figures = _begin(context, watched)
    zone = context.office.time_zone
    point = figures.get("point") or {}
    rows: dict[str, str] = {}
    if point:
        at = (
            office_time(point["at"], zone)
            if point.get("at")
            else _("time unknown: nothing was replayed since the start")
        )
        rows[_("halted at")] = f"{point.get('lsn')}, {at}"
    for host, said in (figures.get("documents") or {}).items():
        rows[_("documents")] = _("{count} on {host}, {size}, manifest {hash}").format(
            count=said.get("files"), host=host, size=size_text(said.get("bytes")), hash=str(said.get("sha256"))[:16]
        )
        if said.get("as_halted") is False:
            context.screen.line(
                "! " + _("The documents of {host} have changed since it was halted.").format(host=host)
            )
    if point.get("moved_from"):
        text = _("Replay had moved on from {lsn} since it was halted first.")
        context.screen.line("! " + text.format(lsn=point["moved_from"]))
    if figures.get("before_infection"):
        rows[_("infection")] = _before(figures, zone)
    if figures.get("slot"):
        rows[_("resumable")] = _slot(figures["slot"])
    if figures.get("first_effect_seconds") is not None and figures.get("proven_seconds") is not None:
        rows[_("took effect")] = _("after {first}, proven after {proven}").format(
            first=seconds_text(figures["first_effect_seconds"]), proven=seconds_text(figures["proven_seconds"])
        )
    context.screen.pairs(rows)
    return answer_of(context, watched, {"steps": watched.steps} if context.args.plan else {}, show_figures=False)


def _before(figures: Mapping[str, Any], zone: str) -> str:
    since = office_time(figures["infected_since"], zone)
    margin = _long(figures["margin_seconds"])
    text = {
        "yes": _("the point lies BEFORE {since} less {margin}"),
        "no": _("the point lies NOT before {since} less {margin}: what is here may be infected"),
    }.get(str(figures["before_infection"]), _("whether the point lies before {since} less {margin} is not known"))
    return text.format(since=since, margin=margin)


def _slot(slot: Mapping[str, Any]) -> str:
    if slot.get("wal_status") == "lost":
        return _("no longer: the slot is lost; a resume would be a seed from the suspect site")
    limit = size_text(slot["limit_bytes"]) if slot.get("limit_bytes") else None
    if limit is None:
        return _("as long as the active site has room on its disk; it keeps everything for this slot")
    left = slot.get("lost_in_seconds")
    if left is None:
        return _("until the active site has written {limit}; after that only by a seed from the suspect site").format(
            limit=limit
        )
    text = _(
        "about {time}, until the active site has written {limit}; after that only by a seed from the suspect site"
    )
    return text.format(time=_long(left), limit=limit)


def tell_resume(context: Context, operation: Operation, variables: Mapping[str, Any]) -> Answer:
    """Resume, and say how long it took until nothing was missing."""
    site = str(variables["at_site"])
    watched = execute(context, operation, variables, typed=f"replication resume --at {site}")
    figures = _begin(context, watched)
    if figures.get("caught_up_seconds") is not None:
        context.screen.line(
            _("{site} has everything again after {time}.").format(
                site=site, time=seconds_text(figures["caught_up_seconds"])
            )
        )
    return answer_of(context, watched, {"steps": watched.steps} if context.args.plan else {}, show_figures=False)


def _begin(context: Context, watched: Watched) -> Mapping[str, Any]:
    plan = bool(context.args.plan)
    show_guards(context, watched.guards if plan else [guard for guard in watched.guards if not guard.get("ok")])
    for number, step in enumerate(watched.steps if plan else [], start=1):
        context.screen.line(f"{number:>3}. {step.get('name')}  {', '.join(step.get('at') or [])}  {step.get('verb')}")
    found: Mapping[str, Any] = watched.result.get("figures") or {}
    return found

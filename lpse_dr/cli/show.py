"""The sites, side by side where the screen is wide enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..i18n import N_, _
from ..operations.loss import Loss, loss_now
from ..operations.sites import Overview, Site
from .context import Context
from .screen import office_time, size_text

_ROLES = {
    "active": N_("ACTIVE (accepts writes)"),
    "standby": N_("standby"),
    "down": N_("database is down"),
    "unread": N_("cannot be read"),
}
_HEALTH = {
    "serving": N_("serving"),
    "standby": N_("waiting (warm)"),
    "failed": N_("FAILED"),
    "unreachable": N_("does not answer"),
}
_GATE = {
    "open": N_("open"),
    "hold": N_("clients wait"),
    "maintenance": N_("maintenance page"),
    "unknown": N_("unclear"),
}


def _lag(site: Site, _zone: str) -> str:
    if site.role != "standby" or site.database is None:
        return "-"
    lag = size_text(site.database.get("lag_bytes"))
    receiver = site.database.get("receiver")
    streaming = isinstance(receiver, Mapping) and receiver.get("status") == "streaming"
    if site.halted:
        return _("HALTED")
    return lag if streaming else _("{lag}, does not receive").format(lag=lag)


def _applications(site: Site, _zone: str) -> str:
    words = [str(item.get("health")) for item in site.applications]
    return ", ".join(_(_HEALTH[word]) if word in _HEALTH else word for word in words) or "?"


def _documents(site: Site, zone: str) -> str:
    if site.role == "active":
        return _("source")
    found = []
    for item in site.files:
        last = item.get("last_sync")
        if not isinstance(last, Mapping):
            found.append(_("never copied"))
        elif last.get("ok"):
            found.append(_("copied {at}").format(at=office_time(last.get("at"), zone, date=False)))
        else:
            found.append(_("copy FAILED {at}").format(at=office_time(last.get("at"), zone, date=False)))
        if item.get("conflicts"):
            found.append(_("{count} differing documents").format(count=len(item["conflicts"])))
    return ", ".join(found) or "?"


def _gateway(site: Site, _zone: str) -> str:
    found = []
    for item in site.traffic:
        state = str(item.get("state"))
        text = _(_GATE[state]) if state in _GATE else state
        found.append(f"{text} -> {item['target']}" if item.get("target") else text)
    return ", ".join(found) or "?"


def _epoch(site: Site, _zone: str) -> str:
    return str(site.epoch.get("number")) if site.epoch else "-"


def _timeline(site: Site, _zone: str) -> str:
    return str(site.database.get("timeline") or "?") if site.database is not None else "?"


_ROWS: tuple[tuple[str, Callable[[Site, str], str]], ...] = (
    (N_("database"), lambda site, _zone: _(_ROLES[site.role])),
    (N_("timeline"), _timeline),
    (N_("behind by"), _lag),
    (N_("application"), _applications),
    (N_("documents"), _documents),
    (N_("gateway"), _gateway),
    (N_("epoch"), _epoch),
)


def show_sites(context: Context, view: Overview) -> None:
    """Print what each site is, row by row."""
    zone = context.office.time_zone
    head = ["", *(site.name for site in view.sites)]
    rows = [[_(label), *(cell(site, zone) for site in view.sites)] for label, cell in _ROWS]
    if sum(max(len(row[i]) for row in [head, *rows]) + 2 for i in range(len(head))) <= context.screen.width + 2:
        context.screen.table(head, rows)
    else:
        for index, site in enumerate(view.sites, start=1):
            context.screen.line(site.name)
            context.screen.pairs({f"  {row[0]}": row[index] for row in rows})
    loss = loss_now(view)
    if loss:
        context.screen.line(loss_text(loss))
    for site in view.sites:
        if site.unread:
            context.screen.line(_("{site}: not read: {hosts}").format(site=site.name, hosts=", ".join(site.unread)))


def loss_text(loss: Loss) -> str:
    """Say what the death of the active site would cost now."""
    wal = (
        _("an unknown amount of WAL")
        if loss.wal_bytes is None
        else _("{bytes} bytes of WAL").format(bytes=loss.wal_bytes)
    )
    if loss.documents is None:
        files = _("an unknown number of files")
    else:
        files = (_("{count} or more files") if loss.or_more else _("{count} files")).format(count=loss.documents)
    return _("If {site} dies now: {wal}, {files} would be lost.").format(site=loss.site, wal=wal, files=files)


def warnings(view: Overview, zone: str = "UTC") -> list[str]:
    """Return what is wrong at first sight, worst first; times in this zone."""
    found: list[str] = []
    if len(view.active) > 1:
        found.append(
            _("TWO SITES ACCEPT WRITES: {sites}. Stop one of them now.").format(sites=", ".join(view.active))
        )
    elif not view.active and not view.unread:
        found.append(_("No site accepts writes: the service is down."))
    if view.unread:
        text = _("Cannot be read: {sites}. Whether it accepts writes is not known.")
        found.append(text.format(sites=", ".join(view.unread)))
    found += [halt_notice(site, zone) for site in view.sites if site.halted]
    operation = view.operation
    if operation:
        run, holder = operation.get("run") or "?", operation.get("holder") or "?"
        found.append(_("Operation {number} is open: run {run} by {holder}.").format(
            number=operation.get("number"), run=run, holder=holder))  # fmt: skip
    found += [
        _("{site}: a promotion was ordered and is not finished.").format(site=s.name) for s in view.sites if s.fired
    ]
    for site in view.sites:
        targets = {item.get("target") for item in site.traffic if item.get("target")}
        if len(view.active) == 1 and targets and targets != set(view.active):
            text = _("The gateway of {site} leads to {target}, the active site is {active}.")
            found.append(
                text.format(site=site.name, target=", ".join(sorted(map(str, targets))), active=view.active[0])
            )
    return found


def halt_notice(site: Site, zone: str) -> str:
    """Return what everybody must know who looks at a site whose replication is halted."""
    halted = site.halted or {}
    point = halted.get("point") or {}
    text = _(
        "REPLICATION TO {site} IS HALTED since {at} by {by}: {reason}. It stands at {lsn}. No switch-over before: {command}"
    )
    return text.format(
        site=site.name, at=office_time(halted.get("at"), zone), by=halted.get("by"), reason=halted.get("reason") or "-", lsn=point.get("lsn") or "?",
        command=f"lpse-dr replication resume --at {site.name}",
    )  # fmt: skip


def sites_payload(view: Overview) -> dict[str, Any]:
    """Return the part of the envelope that describes the sites."""
    loss = loss_now(view)
    return {
        "active": list(view.active),
        "sites": [site.as_json() for site in view.sites],
        "if_it_dies_now": loss.as_json() if loss else None,
        "warnings": warnings(view),
    }

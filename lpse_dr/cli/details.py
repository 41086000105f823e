"""`NOUN status`: what each host says about one noun, in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..i18n import _
from ..operations.model import Operation
from ..operations.sites import merge
from ..runner.verdict import error_of
from .context import Answer, Context
from .go import answer_of, execute
from .look import view_of
from .screen import value_text
from .show import halt_notice

_PLURAL = {
    "database": "databases",
    "application": "applications",
    "files": "files",
    "traffic": "gateways",
    "fence": "guards",
    "dns": "names",
}


def noun_status(context: Context, operation: Operation, *nouns: str) -> Answer:
    """Run a noun's status and print what was read; the names are those of the readings and of the JSON."""
    office = context.office
    watched = execute(context, operation, {}, quiet=True)
    by_host = merge(watched.readings)
    payload: dict[str, Any] = {}
    for noun in nouns:
        items = [
            {"host": host, "site": reading.get("site"), **reading[noun]}
            for host, reading in by_host.items()
            if isinstance(reading.get(noun), Mapping)
        ]
        payload[_PLURAL[noun]] = items
        for item in items:
            context.screen.line(f"{item['host']} ({item['site']})")
            rows = {f"  {key}": value_text(value) for key, value in item.items() if key not in ("host", "site")}
            context.screen.pairs(rows)
    if not by_host:
        return answer_of(context, watched, payload)
    unreachable = watched.result.get("unreachable") or []
    view = view_of(office, by_host.values())
    for site in view.sites:
        if site.halted:
            context.screen.line(f"! {halt_notice(site, office.time_zone)}")
    payload["active"] = list(view.active)
    payload["halted"] = [site.halted for site in view.sites if site.halted]
    if unreachable:
        found = _("not read: {hosts}").format(hosts=", ".join(unreachable))
        error = error_of("site.unread", _("every host to be readable"), found, context.command("lpse-dr status"))
        return Answer("UNKNOWN", False, error, {"run": watched.run.id, **payload})
    return answer_of(context, watched, payload, show=bool(watched.result.get("error")))

"""Read both sites and show them: what `status`, the bare command and the two looks of a switch-over share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..i18n import _
from ..office import Office
from ..operations.inventory import Inventory, read_inventory
from ..operations.model import Operation
from ..operations.sites import Overview, merge, overview
from ..runner.verdict import error_of
from .context import Answer, Context
from .go import Watched, answer_of, execute
from .show import show_sites, sites_payload, warnings

STATUS = Operation("status")
_SERVING_GROUPS = ("database", "application", "gateway")


def read_hosts(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Return, by site, the hosts that a reading covers."""
    return {
        site: tuple(dict.fromkeys(host for group in _SERVING_GROUPS for host in inventory.hosts(site, group)))
        for site in inventory.sites
    }


def view_of(office: Office, readings: Iterable[Mapping[str, Any]]) -> Overview:
    """Put readings together by the sites of the office's inventory."""
    return overview(read_hosts(read_inventory(office.inventory)), merge(readings))


def look(context: Context, *, quiet: bool = True) -> tuple[Overview, Watched]:
    """Read all hosts once."""
    office = context.office
    watched = execute(context, STATUS, {}, typed="status", quiet=quiet)
    return view_of(office, watched.readings), watched


def status_answer(context: Context, view: Overview, watched: Watched) -> Answer:
    """Show the sites. What could not be read is UNKNOWN, not fine."""
    if not view.readings and watched.result.get("error"):
        return answer_of(context, watched, sites_payload(view))
    show_sites(context, view)
    notes = warnings(view, context.office.time_zone)
    for note in notes:
        context.screen.line(f"! {note}")
    error = None
    hosts = ", ".join(host for site in view.sites for host in site.unread)
    if hosts or view.unread:
        command = context.command(f"lpse-dr runs show {watched.run.id} --failed")
        error = error_of(
            "site.unread",
            _("every host to be readable"),
            _("not read: {hosts}").format(hosts=hosts or ", ".join(view.unread)),
            command,
        )
    payload = {"run": watched.run.id, **sites_payload(view)}
    return Answer("UNKNOWN" if error else "COMPLETED", False, error, payload, told=error is None)


def next_command(view: Overview, open_run: str | None) -> str:
    """Return what to type next, as far as a machine can tell."""
    if open_run:
        return f"lpse-dr runs show {open_run} --follow"
    operation = view.operation
    if operation and operation.get("run"):
        return f"lpse-dr runs show {operation['run']}"
    if view.unread:
        return "lpse-dr runs show last --failed"
    if any(site.halted for site in view.sites):
        return "lpse-dr replication status"
    if len(view.active) == 1 and len(view.sites) == 2:
        return f"lpse-dr site check --to {view.others(view.active[0])[0]}"
    return "lpse-dr site check"

"""`journal`: the record, shown and checked."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import Verb

if TYPE_CHECKING:
    from ...journal import Journal

HELP = N_("the record of what was done, and its proof")

# verify() gives its reasons in English, for the record; people read them here.
_REASONS = (
    N_("not a journal event"),
    N_("does not follow the line before it"),
    N_("has the wrong number"),
    N_("was changed after it was written"),
    N_("is not written the way the journal writes"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", nargs="?", metavar="RECORD", help=_("one record; otherwise every one"))


def _chosen(context: Context) -> list[Journal]:
    from ...journal import incidents

    found = incidents(context.office.state)
    wanted = context.args.incident
    if wanted is None:
        return found
    chosen = [journal for journal in found if journal.folder.name.startswith(wanted)]
    if not chosen:
        known = "\n".join(journal.folder.name for journal in found[-10:])
        raise UsageError(_("There is no record '{name}'.").format(name=wanted), detail=known)
    return chosen


def _verify(context: Context) -> Answer:
    from ...runner.verdict import error_of

    journals, bad = [], None
    for journal in _chosen(context):
        proof = journal.verify()
        name = journal.folder.name
        journals.append(
            {
                "record": name,
                "ok": proof.ok,
                "events": proof.events,
                "head": proof.head,
                "bad_line": proof.bad_line,
                "reason": proof.reason or None,
                "torn_bytes": proof.torn_bytes,
            }
        )
        if proof.ok:
            text = _("{name}: {count} lines, unbroken; head {head}")
            context.screen.line(text.format(name=name, count=proof.events, head=proof.head[:16]))
        else:
            reason = _(proof.reason)
            text = _("{name}: line {line} {reason}").format(name=name, line=proof.bad_line, reason=reason)
            context.screen.line("! " + text)
            command = context.command(f"lpse-dr journal show {name}")
            bad = bad or error_of("journal.broken", _("an unbroken chain"), text, command)
        if proof.torn_bytes:
            context.screen.line(
                _("Half a last line ({count} bytes), left by a crash.").format(count=proof.torn_bytes), indent="  "
            )
    if not journals:
        context.screen.line(_("There is no record yet."))
    context.screen.line(
        _("The chain shows an edited line. It does not show that the whole file was rewritten or its end cut off.")
    )
    return Answer("REFUSED" if bad else "COMPLETED", False, bad, {"journals": journals})


def _show(context: Context) -> Answer:
    from ..screen import office_time

    events = []
    for journal in _chosen(context):
        context.screen.line(journal.folder.name)
        for event in journal.events():
            events.append({"record": journal.folder.name, **event})
            data = event.get("data") or {}
            told = " ".join(str(data[key]) for key in ("operation", "run", "verdict", "reason") if data.get(key))
            at = office_time(event.get("at"), context.office.time_zone)
            by = (event.get("by") or {}).get("user")
            context.screen.line(f"{event.get('n'):>4}  {at}  {by}  {event.get('kind')}  {told}".rstrip())
    if not events:
        context.screen.line(_("There is no record yet."))
    return Answer(payload={"events": events})


VERBS = (
    Verb("verify", N_("check that no line was edited"), _verify, _arguments),
    Verb("show", N_("print the record"), _show, _arguments),
)

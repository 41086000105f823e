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


# What one line shows of an event; the whole of it is in the JSON.
_TOLD = (
    "condition", "reporter", "step", "act", "operation", "run", "verdict", "name", "note", "text", "ordered_by", "reason", "break_glass",
)  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", nargs="?", metavar="RECORD", help=_("one record; otherwise every one"))


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", metavar="RECORD", help=_("the record (journal verify lists them)"))
    parser.add_argument("--to", metavar="FILE", help=_("where to write it; otherwise bukti-RECORD.tar.gz, here"))


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
                "proven_by": {"chain": proof.ok, "signatures": None, "mirror": None},
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
    _tell_what_is_proven(context)
    return Answer("REFUSED" if bad else "COMPLETED", False, bad, {"journals": journals})


def _tell_what_is_proven(context: Context) -> None:
    screen = context.screen
    screen.line(
        _(
            "The chain proves that no line was changed, removed, inserted or moved. A file written anew from its start, or cut off at its end, it does not show."
        )
    )
    screen.line(_("Signatures: not available in this version; they would show a file written anew."))
    if context.office.mirror:
        screen.line(
            _("Mirror: {mirror} is named in office.yml, but this version does not write it; it would show a cut end.").format(mirror=context.office.mirror)
        )  # fmt: skip
    else:
        screen.line(_("Mirror: none; compare the head with one that was noted elsewhere to find a cut end."))


def _export(context: Context) -> Answer:
    from pathlib import Path

    from ...journal.export import export
    from ..screen import size_text

    chosen = _chosen(context)
    if len(chosen) > 1:
        known = "\n".join(journal.folder.name for journal in chosen)
        raise UsageError(_("Several records are called '{name}'.").format(name=context.args.incident), detail=known)
    name = chosen[0].folder.name
    target = Path(context.args.to or f"bukti-{name}.tar.gz").expanduser().absolute()
    pack = export(chosen[0], target)
    context.screen.raw(str(pack.path))
    rows = {
        _("files"): str(pack.files),
        _("size"): size_text(pack.bytes),
        "sha256": pack.sha256,
        _("head"): pack.head,
        _("check"): "tar xzf FILE && python3 bukti-*/check_pack.py",
    }
    for label, value in rows.items():
        context.screen.raw(f"{label}: {value}")
    context.screen.line(
        _("Note the two hashes elsewhere, on paper for instance: they show a pack that was made anew.")
    )
    figures = {
        "file": str(pack.path),
        "files": pack.files,
        "bytes": pack.bytes,
        "sha256": pack.sha256,
        "head": pack.head,
    }
    return Answer(payload={"packs": [{"record": name, **figures}]})


def _show(context: Context) -> Answer:
    from ..screen import office_time

    events = []
    for journal in _chosen(context):
        context.screen.line(journal.folder.name)
        for event in journal.events():
            events.append({"record": journal.folder.name, **event})
            data = event.get("data") or {}
            told = " ".join(str(data[key]) for key in _TOLD if data.get(key))
            at = office_time(event.get("at"), context.office.time_zone)
            by = (event.get("by") or {}).get("user")
            context.screen.line(f"{event.get('n'):>4}  {at}  {by}  {event.get('kind')}  {told}".rstrip())
    if not events:
        context.screen.line(_("There is no record yet."))
    return Answer(payload={"events": events})


VERBS = (
    Verb("verify", N_("check that no line was edited"), _verify, _arguments),
    Verb("show", N_("print the record"), _show, _arguments),
    Verb("export", N_("one record as evidence, with a program that checks it"), _export, _export_arguments),
)

"""Words for sets of backups: what is known of each, how far work on one is, what an inspection has found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..i18n import N_, _
from ..journal.folders import incidents
from ..office import Office
from .context import Context
from .screen import office_time, seconds_text, size_text

VERDICTS = {
    "clean": N_("clean"),
    "infected": N_("INFECTED"),
    "damaged": N_("DAMAGED"),
    "unknown": N_("CANNOT BE CHECKED"),
}
PROOFS = {
    "journal": N_("proven by the journal"),
    "vault": N_("proven by the vault's own record only"),
    "none": N_("cannot be proven to be what was taken"),
    "forged": N_("NOT what was taken"),
}
PHASES = {
    "dump": N_("dump the database"),
    "fetch": N_("fetch documents"),
    "archive": N_("archive documents"),
    "hash": N_("compute hashes"),
    "copy": N_("copy into the quarantine"),
    "scanner": N_("start the virus scanner"),
    "documents": N_("look through the documents"),
    "database": N_("look through the database"),
    "compare": N_("compare with the older set"),
    "check": N_("count tenders and bids"),
}
# What an inspection found, could not look at, or noticed.
FINDINGS = {
    "virus": N_("virus"),
    "ransomware_trace": N_("trace of ransomware"),
    "forged": N_("the manifest is not the one that was recorded"),
    "unproven": N_("nobody has recorded this manifest"),
    "manifest_unreadable": N_("the manifest cannot be read"),
    "part_missing": N_("a part is missing"),
    "part_differs": N_("a part is not what the manifest says"),
    "not_plain": N_("something is no plain file"),
    "strangers": N_("files that do not belong there"),
    "list_unreadable": N_("the list of documents cannot be read"),
    "path_outside": N_("a path leads outside"),
    "archive_bomb": N_("the archive is larger inside than outside"),
    "archive_unreadable": N_("the archive cannot be read to its end"),
    "archive_differs": N_("the archive is not what its list says"),
    "dump_unreadable": N_("the dump cannot be read to its end"),
    "dump_bomb": N_("the dump swells beyond measure"),
    "row_without_document": N_("bids without their document"),
    "signatures_missing": N_("there are no virus signatures"),
    "signatures_old": N_("the virus signatures are too old"),
    "engine_failed": N_("the virus scanner failed"),
    "scan_failed": N_("files that the scanner could not read"),
    "too_large": N_("too large for the scanner"),
    "encrypted": N_("encrypted, so not looked into"),
    "rows_unknown": N_("no bid was found in the dump"),
    "no_older_set": N_("no older set to compare with: a trace of ransomware cannot be seen"),
    "no_older_code": N_("the older set's functions cannot be read"),
    "surplus_documents": N_("documents that no bid names"),
    "documents_touched": N_("documents differ from the older set"),
    "code_changed": N_("functions, triggers or extensions differ from the older set"),
}


# Findings with figures: the sentence in place of the bare words.
_COMPARED = N_("{changed} changed, {renamed} renamed, {vanished} gone of {before} documents in {older}")
FIGURES = {
    "ransomware_trace": _COMPARED,
    "documents_touched": _COMPARED,
    "signatures_old": N_("{days} days, at most {limit}"),
    "row_without_document": N_("{count}, e.g. {examples}"),
}


def recorded(office: Office) -> dict[str, str]:
    """Return {set: hash of its manifest} as the journals of this machine have them; of a broken one nothing is believed."""
    found: dict[str, str] = {}
    for journal in incidents(office.state):
        taken = [
            event["data"]["figures"]
            for event in journal.events()
            if event.get("kind") == "run.finished" and ((event.get("data") or {}).get("figures") or {}).get("manifest_sha256")
        ]  # fmt: skip
        if taken and journal.verify().ok:
            found |= {str(item["set"]): str(item["manifest_sha256"]) for item in taken}
    return found


def progress_text(event: Mapping[str, Any]) -> str:
    """Return how far work on a set is."""
    phase = PHASES.get(str(event.get("phase")))
    text = f"{event.get('subject') or ''}: {_(phase) if phase else event.get('phase') or ''}"
    if event.get("total_bytes"):
        text += ", " + _("{done} of {total}").format(done=size_text(event.get("done_bytes")), total=size_text(event.get("total_bytes")))  # fmt: skip
        if event.get("eta_seconds") is not None:
            text += ", " + _("about {time} left").format(time=seconds_text(event["eta_seconds"]))
    elif event.get("done_bytes"):
        text += ", " + size_text(event["done_bytes"])
    return text


def age_text(taken_at: Any) -> str:
    """Show how old a set is."""
    try:
        taken = datetime.fromisoformat(str(taken_at).replace("Z", "+00:00"))
    except ValueError:
        return "?"
    seconds = (datetime.now(UTC) - taken).total_seconds()
    return _("{days} d").format(days=int(seconds // 86400)) if seconds >= 172800 else seconds_text(seconds)


def known_text(item: Mapping[str, Any]) -> str:
    """Say of a set in a list what is known of it, the worst first."""
    if item.get("problem"):
        identity, _colon, words = str(item["problem"]).partition(": ")
        return f"{_(VERDICTS['damaged'])}: {finding_text(identity, words)}"
    if item.get("proof") in ("none", "forged"):
        return _(PROOFS[str(item["proof"])])
    verdict = (item.get("verdict") or {}).get("verdict")
    return _(VERDICTS[verdict]) if verdict in VERDICTS else _("not looked into yet")


def finding_text(identity: str, words: str, data: Mapping[str, Any] | None = None) -> str:
    """Return a piece of evidence in the reader's language: its figures where it has some, else the free words behind it."""
    known = FINDINGS.get(identity)
    if data and identity in FIGURES:
        words = _(FIGURES[identity]).format(**data)
    return f"{_(known) if known else identity}: {words}".rstrip(": ")


def _finding(item: Mapping[str, Any]) -> str:
    return finding_text(str(item["id"]), str(item["found"]), item.get("data"))


def show_inspection(context: Context, item: Mapping[str, Any]) -> None:
    """Print what was found about one set."""
    screen = context.screen
    word = _(VERDICTS.get(str(item.get("verdict")), VERDICTS["unknown"]))
    screen.line(f"{item.get('set')}: {word}, {_(PROOFS.get(str(item.get('proof')), PROOFS['none']))}")
    if item.get("again"):
        screen.line(_("looked into at {time} already").format(time=office_time(item.get("at"), context.office.time_zone)), indent="  ")  # fmt: skip
    for evidence in item.get("evidence") or []:
        screen.line("! " + _finding(evidence), indent="  ", following="    ")
    for gap in item.get("uninspected") or []:
        screen.line("? " + _finding(gap), indent="  ", following="    ")
    for note in item.get("notes") or []:
        screen.line("- " + _finding(note), indent="  ", following="    ")
    figures = item.get("figures") or {}
    if figures.get("engine"):
        screen.line(
            _("{documents} documents, {rows} bids, {values} binary values, {objects} large objects; {engine}").format(
                documents=figures.get("documents", "?"), rows=figures.get("rows", "?"), values=figures.get("values", "?"),
                objects=figures.get("large_objects", "?"), engine=figures["engine"],
            ),
            indent="  ", following="    ",
        )  # fmt: skip

"""Texts that arrive by id, from playbooks and guards, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..i18n import N_, _, pgettext

# What a phase is for, by its id. The playbook's own title names sites and hosts; it is kept where none stands here.
PHASES = {
    "read": N_("Read both sites"),
    "guard": N_("Check both sites"),
    "lock": N_("Claim every host for this operation"),
    "arm": N_("Prepare the target, copy documents"),
    "switch": N_("Move the active role"),
    "act": N_("Do it"),
    "fence": N_("Cut the power of the old site"),
    "isolate": N_("Fence what answers of the old site"),
    "documents": N_("List the documents that are missing"),
    "salvage": N_("Salvage what only the old site has"),
    "copy": N_("Make the new database"),
    "documents_copy": N_("Copy documents"),
    "reprotect": N_("Turn the replication round"),
    "prove": N_("Prove the result"),
}


def phase_title(event: Mapping[str, Any]) -> str:
    """Return the title of a phase event."""
    known = PHASES.get(str(event.get("phase")).lower())
    return _(known) if known else str(event.get("title") or event.get("phase") or "")


def guard_texts(guard: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return (title, expected, found, todo) of a guard, or of an error that came from one.

    The sentences are put together anew from the guard's data, in the reader's language. What a role or a verb
    reports has a title in the reader's language, and the English words behind it; of any other id they stand alone.
    """
    from ..plugins.module_utils.lpse_dr_guards.texts import GUARDS, REPORTS, report, sentences

    identity = str(guard.get("guard_id") or guard.get("id") or "")
    data = guard.get("data")
    if identity in REPORTS:
        return report(identity, guard, pgettext)
    if identity in GUARDS and isinstance(data, dict):
        return sentences(identity, data, pgettext)
    return (
        pgettext(identity, GUARDS[identity].title) if identity in GUARDS else identity,
        str(guard.get("expected") or ""),
        str(guard.get("found") or ""),
        str(guard.get("todo") or ""),
    )

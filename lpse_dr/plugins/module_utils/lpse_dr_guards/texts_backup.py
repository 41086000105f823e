"""The titles of what roles and verbs say of backups; ``texts`` puts them beside all others."""

from __future__ import annotations

from typing import Dict, Tuple

BACKUP_REPORTS: Dict[str, Tuple[str, str, str, str]] = {
    "backup.readable": ("The medium can be read", "", "", "Have its keeper load the medium, then lpse-dr backup list"),
    "backup.idle": ("Nothing else works on the vault", "no other work on the vault", "", ""),
    "backup.source_known": ("It is known from where to take a set", "an active site that takes writes and stands in backup_sources", "", ""),
    "backup.taken": ("The set is on the medium", "the new set on the medium, with the manifest that was written", "", ""),
    "backup.infection_known": ("It is known since when the infection may be there", "the time of the first sign of the infection, in the past", "", ""),
    "backup.set_before": ("There is a set from before the infection", "", "", "Have the keeper of the backups bring older media, then lpse-dr backup list"),
    "backup.clean_found": ("A clean set was found", "", "", "Have the keeper of the backups bring older media, then type the same command again."),
    "backup.set_known": ("The set is known", "the name of a set", "", ""),
    "backup.set_named": ("The set is named", "the name of a set", "", ""),
    "backup.proven": ("The set is proven to be what was taken", "a set that is proven to be what was taken", "", ""),
    "backup.restored": ("The set is up in the quarantine", "a database that runs in the quarantine and takes no writes", "", ""),
    "backup.whole": ("Every bid has its document", "every bid with its document", "", ""),
    "backup.cleaned": ("The quarantine is empty of it", "", "", ""),
    "backup.account_missing": ("The quarantine has an account without rights", "", "", ""),
    "backup.busy": ("Nothing else works on the vault", "no other work on the vault", "", ""),
    "backup.cut_off": ("Work on the vault comes to its end", "the work to go on", "it has ended without a result", "Type the same command again."),
    "backup.medium_missing": ("The medium is there", "", "nothing there", "Have its keeper load the medium, then lpse-dr backup list"),
    "backup.no_room": ("The quarantine has room for the set", "", "", ""),
    "backup.quarantine_failed": ("The database starts in the quarantine", "a database that starts in the quarantine", "", ""),
    "backup.quarantine_open": ("The quarantine is closed", "no network and no rights in the quarantine", "", ""),
    "backup.set_damaged": ("The set is whole, and what was taken", "a set that is what was taken", "", ""),
    "backup.set_unknown": ("The set is known", "the name of a set", "", ""),
    "backup.source_failed": ("The active site gives what is asked of it", "", "", ""),
}  # fmt: skip

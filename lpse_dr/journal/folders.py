"""The folder of records: ``STATE/incidents/``, one folder each, named by its time and what it is about."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from ..errors import JournalError
from ..i18n import _
from .writer import Journal, free_reserve, sync_folder, take_reserve

ENDS = ("incident.closed", "incident.dismissed")


def incidents(state: Path) -> list[Journal]:
    """Return every incident's journal, oldest first (ids begin with their time)."""
    root = state / "incidents"
    try:
        found = root.iterdir() if root.is_dir() else iter(())
        return [Journal(folder) for folder in sorted(found) if (folder / "journal.jsonl").is_file()]
    except OSError as error:
        raise JournalError(
            _("The journal cannot be read."),
            detail=f"{error.filename}: {error.strerror}",
            hint=_("Log in as a member of the team, or correct the rights of this folder."),
        ) from error


def open_incidents(state: Path) -> list[Journal]:
    """Return those that are not closed, the newest first. Nothing is added to one whose chain is broken."""
    found = []
    for journal in reversed(incidents(state)):
        events = journal.events()
        if events and not any(event.get("kind") in ENDS for event in events) and journal.verify().ok:
            found.append(journal)
    return found


def open_incident(state: Path) -> Journal | None:
    """Return the newest incident that is not closed."""
    return next(iter(open_incidents(state)), None)


def new_record(state: Path, name: str) -> Journal:
    """Make the folder of a new record; its first event is the caller's. `name` says what it is about."""
    root = state / "incidents"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for attempt in range(1, 100):
        folder = root / (f"{stamp}-{name}" + (f"-{attempt}" if attempt > 1 else ""))
        try:
            _make(root, folder)
        except FileExistsError:
            continue
        except OSError as error:
            raise JournalError(
                _("No record can be opened, so nothing is done."),
                detail=f"{folder}: {error.strerror or error}",
                hint=_("Make room or repair the file system, then type the command again."),
            ) from error
        return Journal(folder)
    raise JournalError(_("No record can be opened, so nothing is done."), detail=str(root))


def _make(root: Path, folder: Path) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        folder.mkdir(mode=0o750)
    except FileExistsError:
        raise
    except OSError:
        # An emergency may begin on a full disk: what was taken beforehand is for this moment.
        if not free_reserve(root):
            raise
        folder.mkdir(mode=0o750)
    else:
        take_reserve(root)
    with contextlib.suppress(OSError):
        sync_folder(root)


def open_maintenance(state: Path, reason: str) -> tuple[Journal, bool]:
    """Return the open record, or a new maintenance record (pemeliharaan), and whether it is new."""
    present = open_incident(state)
    if present is not None:
        return present, False
    journal = new_record(state, "pemeliharaan")
    journal.append("incident.opened", {"type": "maintenance", "id": journal.folder.name, "reason": reason})
    return journal, True

"""Operations and incidents: where a run is written down, and what must not run meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import JournalError
from ..i18n import _, language
from ..journal import open_incidents
from ..office import Office
from ..operations.model import Operation
from ..sop import Interlock, load_sop
from .ledger import REPORTED, Ledger, Record
from .model import BEFORE_RECOVERED, Incident, Kind, Progress
from .refusal import IncidentError


@dataclass(frozen=True)
class Place:
    """Where a run goes: to an open emergency or drill, or (`record` None) to a maintenance record of its own.

    `open` tells whether any record is open at all, so that a reason need not be asked for.
    """

    record: Record | None
    open: bool


def place(office: Office, operation: Operation, *, wanted: str | None = None, plan: bool = False) -> Place:
    """Return where an operation is recorded. IncidentError where an interlock forbids it: nothing has been done."""
    try:
        going_on = open_incidents(office.state)
    except JournalError:
        # Who only looks is not stopped by a record that cannot be read, unless an interlock might forbid the look.
        if operation.changes or wanted or _may_be_forbidden(operation):
            raise
        return Place(None, False)
    emergencies = [journal for journal in going_on if journal.events()[0].get("kind") == REPORTED]
    if not emergencies and not wanted:
        return Place(None, bool(going_on))
    ledger = Ledger(office)
    chosen = _chosen(ledger, operation, wanted)
    watched = [record.incident for record in ledger.open_records() if record.incident.kind is Kind.DARURAT]
    if chosen is not None and chosen.incident.drill:
        watched.append(chosen.incident)
    lock = None if plan else standing_against(ledger.sop.interlocks, watched, operation)
    if lock is not None:
        raise _forbidden(*lock)
    return Place(chosen, True)


def _may_be_forbidden(operation: Operation) -> bool:
    return any(lock.stands_against(operation.id, changes=operation.changes) for lock in load_sop().interlocks)


def _chosen(ledger: Ledger, operation: Operation, wanted: str | None) -> Record | None:
    known = ledger.open_records()
    # Of several, one that changes something must say to which it belongs; choose() asks for that.
    return ledger.choose(wanted) if wanted or len(known) == 1 or (known and operation.changes) else None


def standing_against(
    locks: Iterable[Interlock], incidents: Iterable[Incident], operation: Operation
) -> tuple[Interlock, Incident] | None:
    """Return the interlock, and the incident, that forbids an operation now."""
    for lock in locks:
        if not lock.stands_against(operation.id, changes=operation.changes):
            continue
        for incident in incidents:
            if _holds(lock, incident):
                return lock, incident
    return None


def _holds(lock: Interlock, incident: Incident) -> bool:
    if incident.phase.ended or (lock.until is not None and _reached(incident) >= lock.until):
        return False
    if lock.condition is not None:
        return incident.condition is not None and incident.condition.id == lock.condition
    status = incident.step(lock.step or "")
    return status is not None and status.progress is not Progress.DONE and incident.phase in BEFORE_RECOVERED


def _reached(incident: Incident) -> int:
    """Return the last activity that was recorded, 2 for the report."""
    from .model import ACTS

    return max([2, *(ACTS[item.act].activity for item in incident.done)])


def _forbidden(lock: Interlock, incident: Incident) -> IncidentError:
    from ..operations.start import installed

    verb = "run" if lock.step is None and installed(lock.first) else "done"
    more = "" if verb == "run" else " --by NAME"
    return IncidentError(
        f"interlock.{lock.id.partition('.')[2]}",
        lock.english if language() == "en" else lock.text,
        expected=_("{step} first").format(step=lock.first),
        found=_("{incident} is open").format(incident=incident.id),
        hint=f"lpse-dr step {verb} {lock.first}{more}",
    )

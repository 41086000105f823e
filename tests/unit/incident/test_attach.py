"""Where a run is written down, and what must not run meanwhile."""

from __future__ import annotations

import pytest

from lpse_dr.errors import JournalError, UsageError
from lpse_dr.incident.attach import place
from lpse_dr.incident.authority import Claim
from lpse_dr.incident.ledger import Ledger
from lpse_dr.incident.refusal import IncidentError
from lpse_dr.incident.steps import Told, done
from lpse_dr.operations.model import Operation

from .conftest import report, until

PEOPLE = "people.evacuate"
SWITCHOVER = Operation("switchover", changes=True)
STATUS = Operation("status")


def _forbidden(ledger: Ledger, operation: Operation) -> str:
    try:
        place(ledger.office, operation)
    except IncidentError as error:
        return error.error_id
    return ""


@pytest.mark.parametrize(
    "operation", ["replication.verify", "replication.seed", "replication.resume", "files.sync", "switchover"]
)
def test_an_open_virus_incident_forbids_every_copy_towards_the_drc(ledger: Ledger, operation: str) -> None:
    wanted = Operation(operation, changes=operation != "replication.verify")
    assert _forbidden(ledger, wanted) == ""
    record = report(ledger, "virus")
    with pytest.raises(IncidentError) as caught:
        place(ledger.office, wanted)
    assert caught.value.error_id == "interlock.no_sync"
    assert "replication.halt" in caught.value.hint
    assert place(ledger.office, wanted, plan=True).record, "a plan only reads"
    assert _forbidden(ledger, STATUS) == ""
    assert _forbidden(ledger, Operation("replication.halt", changes=True)) == ""
    # Not even under another incident, which is nearer.
    record_two = report(ledger, "demo", name="dua")
    done(ledger, record_two, PEOPLE, Told(), Claim("ani"))
    with pytest.raises(IncidentError):
        place(ledger.office, wanted, wanted="dua")
    ledger.act(record, "dismiss", Claim("kepala"), text="bukan virus")
    assert _forbidden(ledger, wanted) == ""


def test_a_record_that_cannot_be_read_stops_nobody_who_only_looks(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_state: object) -> None:
        raise JournalError("no")

    monkeypatch.setattr("lpse_dr.incident.attach.open_incidents", unreadable)
    assert place(ledger.office, STATUS).record is None
    # One that changes something is, and one that copies, which an open virus incident would forbid.
    for operation in (SWITCHOVER, Operation("replication.verify")):
        with pytest.raises(JournalError):
            place(ledger.office, operation)


def test_the_order_to_return_lifts_it(ledger: Ledger) -> None:
    record = until(ledger, "recovered", "virus")
    assert _forbidden(ledger, SWITCHOVER) == "interlock.no_sync"
    ledger.act(record, "return", Claim("kepala"))
    assert _forbidden(ledger, SWITCHOVER) == ""


def test_operations_started_directly_wait_for_people_too(ledger: Ledger) -> None:
    record = report(ledger, "banjir")
    assert _forbidden(ledger, SWITCHOVER) == "interlock.first"
    assert _forbidden(ledger, STATUS) == ""
    done(ledger, record, PEOPLE, Told(), Claim("ani"))
    where = place(ledger.office, SWITCHOVER)
    assert where.record is not None and where.record.incident.id == record.incident.id


def test_a_drill_does_not_stand_in_the_way_of_an_emergency(ledger: Ledger) -> None:
    report(ledger, "virus", drill=True)
    assert _forbidden(ledger, SWITCHOVER) == "interlock.no_sync", "within the drill it does"
    real = report(ledger, "banjir", name="nyata")
    done(ledger, real, PEOPLE, Told(), Claim("ani"))
    assert place(ledger.office, SWITCHOVER, wanted="nyata").record


def test_with_two_open_an_operation_names_one(ledger: Ledger) -> None:
    report(ledger, "banjir")
    report(ledger, "wabah", name="dua")
    with pytest.raises(UsageError):
        place(ledger.office, SWITCHOVER)
    assert place(ledger.office, STATUS).record is None

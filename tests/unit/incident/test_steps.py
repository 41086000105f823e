"""Steps: people first, questions before acts, every step retried, skipped with a reason, or done by hand by somebody."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.errors import UsageError
from lpse_dr.incident.authority import Claim
from lpse_dr.incident.ledger import Ledger, Record
from lpse_dr.incident.model import Progress
from lpse_dr.incident.refusal import IncidentError
from lpse_dr.incident.steps import Told, answer, done, ready, skip
from lpse_dr.incident.targets import figures
from lpse_dr.office import Limits

from .conftest import report, until

VERIFY, MOVE, PEOPLE = "replication.verify", "service.relocate", "people.evacuate"


def _progress(record: Record) -> dict[str, str]:
    return {status.step.id: status.progress.value for status in record.incident.steps}


def _safe(ledger: Ledger, record: Record) -> Record:
    return done(ledger, record, PEOPLE, Told("Ani Tim", "", "semua di luar"), Claim("ani"))


def _run(record: Record, run: str, operation: str, verdict: str | None, step: str = "") -> None:
    """Write what a run writes."""
    asked = {"run": run, "operation": operation, "argv": [], "reason": ""}
    record.journal.append("run.requested", {**asked, "step": step} if step else asked)
    if verdict:
        record.journal.append("run.finished", {"run": run, "verdict": verdict})


@pytest.mark.parametrize(
    "condition", ["banjir", "kebakaran", "kebakaran-terisolasi", "demo", "wabah", "teror", "bom"]
)
def test_technical_steps_wait_until_people_are_safe(ledger: Ledger, condition: str) -> None:
    record = until(ledger, "order", condition)
    technical = [status.step.id for status in record.incident.steps if not status.step.manual]
    assert technical
    for step in technical:
        for attempt in (
            lambda step=step: ready(ledger, record, step, Claim("ani")),
            lambda step=step: ready(ledger, record, step, Claim("ani", break_glass="cepat")),
            lambda step=step: done(ledger, record, step, Told(note="x"), Claim("ani", break_glass="cepat")),
        ):
            with pytest.raises(IncidentError) as caught:
                attempt()
            assert caught.value.error_id == "step.life_first"
            assert caught.value.hint.startswith(f"lpse-dr step done {PEOPLE}")
    record = _safe(ledger, record)
    assert not [status for status in record.incident.steps if status.waits_for]


def test_a_virus_has_no_people_to_wait_for(ledger: Ledger) -> None:
    record = until(ledger, "order", "virus")
    assert ready(ledger, record, "replication.halt", Claim("ani"))


@pytest.mark.parametrize(
    ("told", "nobody", "name", "note"),
    [
        (Told("Ani Tim", "", "di titik kumpul"), False, "Ani Tim", "di titik kumpul"),
        (Told(), True, "Budi Tim", "tidak ada orang di lokasi"),
        (Told("Danru Pemadam", "09:55", ""), False, "Danru Pemadam", ""),
    ],
)
def test_safety_is_ticked_by_a_named_person_even_before_the_order(
    ledger: Ledger, told: Told, nobody: bool, name: str, note: str
) -> None:
    record = report(ledger, "banjir", happened="09:00")
    record = done(ledger, record, PEOPLE, told, Claim("budi"), nobody_on_site=nobody)
    status = record.incident.step(PEOPLE)
    assert status is not None
    assert (status.progress, status.name, status.note) == (Progress.DONE, name, note)
    event = record.journal.events()[-1]["data"]
    assert event["listed"] == (name != "Danru Pemadam")


def test_saving_lives_is_not_skipped(ledger: Ledger) -> None:
    record = until(ledger, "order", "banjir")
    with pytest.raises(IncidentError) as caught:
        skip(ledger, record, PEOPLE, Told(note="tidak sempat"), Claim("ani", break_glass="cepat"))
    assert "nobody-on-site" in caught.value.hint


def test_a_question_comes_before_its_step_and_can_be_answered_anew(ledger: Ledger) -> None:
    record = _safe(ledger, until(ledger, "order", "teror"))
    with pytest.raises(IncidentError) as caught:
        ready(ledger, record, MOVE, Claim("ani"))
    assert caught.value.error_id == "step.unanswered"
    assert "apakah akses ke Data Center terhalang?" in caught.value.message
    record = answer(ledger, record, MOVE, False, Told("Budi Tim"), Claim("ani"))
    assert _progress(record)[MOVE] == "not_needed"
    with pytest.raises(IncidentError) as refused:
        ready(ledger, record, MOVE, Claim("ani"))
    assert (refused.value.error_id, "Budi Tim" in refused.value.found) == ("step.not_needed", True)
    record = answer(ledger, record, MOVE, True, Told("Budi Tim"), Claim("ani"))
    assert ready(ledger, record, MOVE, Claim("ani"))[0].answer is True
    assert [event["data"]["answer"] for event in record.journal.events() if event["kind"] == "step.answered"] == [
        False,
        True,
    ]


@pytest.mark.parametrize("condition", ["banjir", "kebakaran"])
def test_some_rows_move_the_service_without_a_question(ledger: Ledger, condition: str) -> None:
    record = _safe(ledger, until(ledger, "order", condition))
    assert ready(ledger, record, MOVE, Claim("ani"))
    with pytest.raises(UsageError):
        answer(ledger, record, MOVE, True, Told(), Claim("ani"))


@pytest.mark.parametrize(
    ("runs", "progress"),
    [
        ([("r1", "COMPLETED")], "done"),
        ([("r1", "INCOMPLETE")], "failed"),
        ([("r1", "UNKNOWN")], "failed"),
        ([("r1", "ROLLED_BACK")], "failed"),
        ([("r1", "REFUSED"), ("r2", "COMPLETED")], "done"),
        ([("r1", "COMPLETED"), ("r2", "REFUSED")], "failed"),
        # Started and never ended, and no process of it lives: killed. Not "going on" for ever.
        ([("r1", None)], "failed"),
        ([("r1", None), ("r2", "COMPLETED")], "done"),
    ],
)
@pytest.mark.parametrize("step", [VERIFY, ""])
def test_a_step_is_what_its_last_run_came_to(
    ledger: Ledger, runs: list[tuple[str, str | None]], progress: str, step: str
) -> None:
    """With the step's id or, where the operation was started directly, by the operation."""
    record = _safe(ledger, until(ledger, "order", "wabah"))
    for run, verdict in runs:
        _run(record, run, VERIFY, verdict, step)
    record = ledger.again(record)
    assert _progress(record)[VERIFY] == progress
    if progress == "failed":
        assert ready(ledger, record, VERIFY, Claim("ani")), "every step can be tried again"
        record = skip(ledger, record, VERIFY, Told(note="PDC mati"), Claim("ani"))
        assert _progress(record)[VERIFY] == "skipped"


def test_the_way_back_is_no_step_of_the_instruction(ledger: Ledger) -> None:
    record = until(ledger, "return", "banjir")
    before = _progress(record)
    _run(record, "back", "switchover", "INCOMPLETE")
    assert _progress(ledger.again(record)) == before


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda ledger, record: ready(ledger, record, "people.evacuat", Claim("ani")), "did you mean 'people.evacuate'?"),
        (lambda ledger, record: ready(ledger, record, "9", Claim("ani")), "no step '9'"),
        (lambda ledger, record: skip(ledger, record, MOVE, Told(note=" "), Claim("ani")), "why it is left out"),
        (lambda ledger, record: done(ledger, record, MOVE, Told(), Claim("ani")), "how it was done"),
        (lambda ledger, record: done(ledger, record, MOVE, Told(note="x"), Claim("ani"), nobody_on_site=True), "life-safety"),
        (lambda ledger, record: done(ledger, record, PEOPLE, Told(at="10:01"), Claim("ani")), "in the future"),
        (lambda ledger, record: done(ledger, record, PEOPLE, Told(at="08:59"), Claim("ani")), "before the event"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(ledger: Ledger, act: Any, error: str) -> None:
    record = until(ledger, "order", "banjir", happened="09:00")
    before = record.journal.path.read_bytes()
    with pytest.raises(UsageError) as caught:
        act(ledger, record)
    assert error in caught.value.message
    assert record.journal.path.read_bytes() == before


@pytest.mark.parametrize("user", ["kepala", "mallory"])
def test_only_the_team_works_on_technical_steps(ledger: Ledger, user: str) -> None:
    record = _safe(ledger, until(ledger, "order", "banjir"))
    with pytest.raises(IncidentError):
        ready(ledger, record, MOVE, Claim(user))
    with pytest.raises(IncidentError):
        skip(ledger, record, MOVE, Told(note="x"), Claim(user))
    _status, grant = ready(ledger, record, MOVE, Claim(user, break_glass="sendirian"))
    assert grant.forced


def test_before_the_order_only_broken_glass_moves_the_service(ledger: Ledger) -> None:
    record = _safe(ledger, report(ledger, "banjir"))
    with pytest.raises(IncidentError) as caught:
        ready(ledger, record, MOVE, Claim("ani"))
    assert caught.value.error_id == "incident.not_ordered"
    _status, grant = ready(ledger, record, MOVE, Claim("ani", break_glass="telepon mati"))
    assert grant.data["refused"] == "The recovery has not been ordered."


def test_after_the_recovery_report_its_steps_are_closed(ledger: Ledger) -> None:
    record = until(ledger, "recovered", "banjir")
    with pytest.raises(IncidentError) as caught:
        ready(ledger, record, MOVE, Claim("ani", break_glass="x"))
    assert caught.value.error_id == "incident.order"


# --- target against achieved --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "limits", "met"),
    [
        ({"service_at": "09:20"}, {"rto_seconds": 1200}, (True, True, None)),
        ({"service_at": "09:20"}, {"rto_seconds": 1199}, (False, True, None)),
        ({"service_at": "09:20", "lost_seconds": 0}, {"rto_seconds": 1200}, (True, True, True)),
        ({"service_at": "09:20", "lost_seconds": 61}, {"rpo_seconds": 60}, (True, True, False)),
        ({"no_outage": True, "lost_seconds": 0}, {"rto_seconds": 0, "mtd_seconds": 0}, (True, True, True)),
        ({"service_at": "10:00"}, {"mtd_seconds": 3599}, (True, False, None)),
    ],
)
def test_what_was_promised_against_what_was_reached(
    ledger: Ledger, told: dict[str, Any], limits: dict[str, int], met: tuple[bool | None, ...]
) -> None:
    record = until(ledger, "steps", "gempa", happened="09:00")
    data = {**told, "service_at": ledger.time(told["service_at"]) if "service_at" in told else ""}
    record = ledger.act(record, "recovered", Claim("ani"), text="pulih", data=data).record
    found = figures(record.incident, Limits(**limits), ledger.time(""))
    assert [item.name for item in found] == ["rto", "mtd", "rpo"]
    assert tuple(item.met for item in found) == met


def test_while_it_goes_on_a_target_can_be_missed_but_not_met(ledger: Ledger) -> None:
    record = report(ledger, "banjir", happened="09:00")
    kept, missed, _lost = figures(record.incident, Limits(rto_seconds=7200, mtd_seconds=60), ledger.time(""))
    assert (kept.met, kept.achieved_seconds, missed.met) == (None, 3600.0, False)

"""The state machine, by tables: what may follow what, whose turn it is, and what has to be complete before it."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.errors import LpseDrError, UsageError
from lpse_dr.incident.authority import Claim
from lpse_dr.incident.fold import fold
from lpse_dr.incident.ledger import Ledger
from lpse_dr.incident.model import ACTS, Kind, Phase
from lpse_dr.incident.refusal import IncidentError
from lpse_dr.journal import open_incidents
from lpse_dr.sop import load_sop

from .conftest import report, until

STAGES = ("report", "declare", "order", "steps", "recovered", "return", "analyse", "close")
# What each stage is followed by; everything else is refused there. An act that was done stays done.
FOLLOWERS = {
    "report": {"declare", "dismiss"},
    "declare": {"order"},
    "order": set(),  # the steps come first
    "steps": {"recovered"},
    "recovered": {"return"},
    "return": {"analyse"},
    "analyse": {"analyse", "close"},
    "close": set(),
}
TURNS = {
    "report": ("koordinator", 3, "incident declare"),
    "declare": ("koordinator", 4, "incident order"),
    "order": ("tim", 6, "respond"),
    "steps": ("tim", 7, "incident recovered"),
    "recovered": ("koordinator", 8, "incident return"),
    "return": ("tim", 9, "incident analyse"),
    "analyse": ("koordinator", 10, "incident close"),
    "close": None,
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("act", ACTS)
def test_only_what_follows_is_recorded(ledger: Ledger, stage: str, act: str) -> None:
    record = until(ledger, stage)
    before = record.journal.path.read_bytes()
    user = "ani" if ACTS[act].role.value == "tim" else "kepala"
    if act in FOLLOWERS[stage]:
        outcome = ledger.act(record, act, Claim(user), text="kata")
        assert outcome.changed
        assert outcome.record.incident.phase is ACTS[act].after
        assert outcome.record.journal.verify().ok
        return
    if record.incident.last(act) and act != "analyse":
        assert not ledger.act(record, act, Claim(user), text="kata").changed
    else:
        with pytest.raises(IncidentError) as caught:
            ledger.act(record, act, Claim(user), text="kata")
        assert caught.value.exit_code == 3
        assert caught.value.expected and caught.value.found and caught.value.hint.startswith("lpse-dr ")
    assert record.journal.path.read_bytes() == before


@pytest.mark.parametrize("stage", STAGES)
def test_whose_turn_it_is(ledger: Ledger, stage: str) -> None:
    turn = until(ledger, stage).incident.turn
    assert (turn and (turn[0].value, turn[1], turn[2])) == TURNS[stage]


def test_the_state_is_what_the_journal_tells_and_nothing_else(ledger: Ledger) -> None:
    """Another person at another jump host reads the same from the same lines."""
    record = until(ledger, "analyse", "teror")
    events = record.journal.events()
    assert fold(record.incident.id, events, load_sop()) == record.incident
    # Each beginning of the journal is a state that was once real.
    phases = [fold("x", events[: count + 1], load_sop()).phase for count in range(len(events))]
    assert phases[0] is Phase.REPORTED
    assert [phase for phase, before in zip(phases[1:], phases, strict=False) if phase is not before] == [
        Phase.DECLARED, Phase.ORDERED, Phase.RECOVERED, Phase.RETURNING, Phase.ANALYSED,
    ]  # fmt: skip


def test_unknown_events_and_a_condition_that_was_removed_stop_nobody(ledger: Ledger) -> None:
    record = report(ledger)
    record.journal.append("from.the.future", {"x": 1})
    events = record.journal.events()
    events[0]["data"]["condition"] = "atap-bocor"
    incident = fold("x", events, load_sop())
    assert (incident.phase, incident.condition and incident.condition.id) == (Phase.REPORTED, "atap-bocor")
    assert incident.turn


def test_nothing_without_an_open_incident(ledger: Ledger) -> None:
    with pytest.raises(IncidentError) as caught:
        ledger.choose(None)
    assert caught.value.error_id == "incident.none"
    assert "incident report" in caught.value.hint
    until(ledger, "close")
    with pytest.raises(IncidentError):
        ledger.choose(None)


def test_a_second_incident_is_named_and_then_each_command_names_one(ledger: Ledger) -> None:
    first = report(ledger, "banjir")
    with pytest.raises(IncidentError) as caught:
        report(ledger, "kebakaran")
    assert caught.value.error_id == "incident.unnamed"
    second = report(ledger, "kebakaran", name="Gedung B / lantai 2")
    assert second.incident.id.endswith("-kebakaran-gedung-b-lantai-2")
    with pytest.raises(UsageError) as several:
        ledger.choose(None)
    assert first.incident.id in several.value.detail and second.incident.id in several.value.detail
    assert ledger.choose("gedung-b").incident.id == second.incident.id
    assert ledger.choose(first.incident.id).incident.id == first.incident.id
    with pytest.raises(UsageError):
        ledger.choose("2026")


def test_a_drill_is_stamped_in_its_very_name(ledger: Ledger) -> None:
    record = report(ledger, "virus", drill=True)
    assert record.incident.kind is Kind.LATIHAN
    assert "-latihan-virus" in record.incident.id


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"happened": "10:30"}, "future"),
        ({"heard": "10:01"}, "future"),
        ({"happened": "09:00", "heard": "08:00"}, "before it happened"),
        ({"happened": "kemarin"}, "not a time"),
        ({"happened": "2026-02-30 07:00"}, "not a time"),
        ({"reporter": " \n "}, "--from"),
        ({"via": ""}, "--via"),
    ],
)
def test_a_report_that_cannot_be_true_is_not_taken_in(ledger: Ledger, told: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        report(ledger, **told)
    assert said in caught.value.message
    assert not ledger.records()


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("07:30", "2026-11-23T23:30:00.000Z"),
        ("09:59:59", "2026-11-24T01:59:59.000Z"),
        ("2026-11-20 07:30", "2026-11-19T23:30:00.000Z"),
        ("20-11-2026 07:30", "2026-11-19T23:30:00.000Z"),
        ("2026-11-20T07:30:00Z", "2026-11-20T07:30:00.000Z"),
        ("2026-11-20T07:30:00+07:00", "2026-11-20T00:30:00.000Z"),
    ],
)
def test_times_are_said_in_the_offices_zone_and_kept_in_utc(ledger: Ledger, words: str, moment: str) -> None:
    assert report(ledger, happened=words).incident.report["happened_at"] == moment


def test_words_of_people_stay_words(ledger: Ledger, folder: Any) -> None:
    nasty = "O'Neil \"x\"\n!! BREAK-GLASS\t=cmd|' /C calc'!A0 <script>alert(1)</script> \u202e $(reboot)"
    record = report(ledger, reporter=nasty, text=nasty, name="../../etc/passwd")
    assert record.incident.report["reporter"] == " ".join(nasty.split())
    assert record.journal.folder.parent == ledger.office.state / "incidents"
    assert record.journal.folder.name.endswith("-banjir-etc-passwd")
    assert record.journal.verify().ok


def test_a_recovery_is_not_reported_while_steps_are_open(ledger: Ledger) -> None:
    record = until(ledger, "order", "demo")
    with pytest.raises(IncidentError) as caught:
        ledger.act(record, "recovered", Claim("ani"), text="selesai")
    assert caught.value.found == "people.evacuate, replication.verify, service.relocate"


@pytest.mark.parametrize("act", ["recovered", "analyse"])
def test_a_report_has_its_words(ledger: Ledger, act: str) -> None:
    record = until(ledger, "steps" if act == "recovered" else "return")
    with pytest.raises(UsageError):
        ledger.act(record, act, Claim("ani"), text="  ")


def test_of_two_who_declare_at_once_one_has_declared(ledger: Ledger) -> None:
    record = report(ledger)
    assert ledger.act(record, "declare", Claim("kepala")).changed
    # The second one still holds what was read before the first wrote.
    outcome = ledger.act(record, "declare", Claim("kepala"))
    assert not outcome.changed
    assert outcome.record.journal.verify().events == 2
    with pytest.raises(IncidentError):
        ledger.act(record, "dismiss", Claim("kepala"), text="bukan")


def test_nothing_is_added_to_an_edited_journal_and_a_new_incident_can_be_reported(ledger: Ledger) -> None:
    record = report(ledger)
    record.journal.path.write_text(record.journal.path.read_text().replace("Satpam", "Camat"))
    with pytest.raises(IncidentError) as caught:
        ledger.choose(None)
    assert caught.value.error_id == "journal.broken"
    assert not open_incidents(ledger.office.state)
    assert report(ledger, "kebakaran").incident.phase is Phase.REPORTED


@pytest.mark.parametrize("file", ["people.yml", "conditions.d/x.yml"])
def test_a_typo_in_a_file_of_the_office_stops_nobody_in_an_emergency(ledger: Ledger, folder: Any, file: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("peple: []\n")
    again = Ledger(ledger.office)
    assert [type(problem).__mro__[1:] and isinstance(problem, LpseDrError) for problem in again.warnings] == [True]
    assert "x.yml:1" in again.warnings[0].detail or "people.yml:1" in again.warnings[0].detail
    assert report(again).incident.phase is Phase.REPORTED

"""An emergency from the report to its closing, typed without a terminal and with one; tiny playbooks stand for operations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..incident.conftest import PEOPLE
from .conftest import HEALTHY, SWITCHED, Call, Playbook, Spoken, reading

DONE = {"kind": "verdict", "verdict": "COMPLETED", "changed": True, "error": None}
As = Callable[..., Spoken]
REPORT = ("incident", "report", "banjir", "air di ruang server", "--from", "Pak Satpam", "--via", "telepon")


@pytest.fixture
def as_user(call: Call, office: Path, monkeypatch: pytest.MonkeyPatch) -> As:
    """Type a command as somebody of the team."""
    (office / "people.yml").write_text(PEOPLE)

    def run(user: str, *words: object) -> Spoken:
        monkeypatch.setenv("SUDO_USER", user)
        return call(*words, "--office", office)

    return run


@pytest.fixture
def ordered(as_user: As) -> As:
    """A flood that was reported, declared and answered by an order."""
    assert as_user("ani", *REPORT).code == 0
    assert as_user("kepala", "incident", "declare").code == 0
    assert as_user("kepala", "incident", "order").code == 0
    return as_user


def _events(office: Path) -> list[dict[str, Any]]:
    (path,) = (office.parent / "state" / "incidents").glob("*/journal.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_from_the_report_to_the_closing_without_a_terminal(
    ordered: As, office: Path, playbook: Playbook, tmp_path: Path
) -> None:
    playbook("status", *HEALTHY)
    playbook("switchover", *HEALTHY, *SWITCHED, DONE)
    assert ordered("ani", "step", "run", "service.relocate", "--yes").code == 3, "people first"
    assert ordered("ani", "step", "done", "people.evacuate", "--by", "Ani Tim", "--note", "semua di luar").code == 0
    spoken = ordered("ani", "respond", "--output", "json")
    assert spoken.code == 5
    assert spoken.envelope["error"]["next_command"].endswith("step run service.relocate --yes")
    ran = ordered("ani", "step", "run", "service.relocate", "--yes", "--output", "json").envelope
    assert (ran["verdict"], ran["changed"]) == ("COMPLETED", True)
    assert [step["state"] for step in ran["steps"]] == ["done", "done"]
    assert ordered("ani", "incident", "recovered", "--text", "layanan di DRC").code == 0
    assert ordered("kepala", "incident", "return").code == 0
    # The way back belongs to the same record.
    assert ordered("ani", "switchover", "--from", "drc", "--to", "pdc", "--yes").code == 0
    assert ordered("ani", "incident", "analyse", "--text", "berjalan baik").code == 0
    closed = ordered("kepala", "incident", "close", "--output", "json").envelope["incidents"][0]
    assert (closed["phase"], closed["turn"], closed["journal"]["ok"]) == ("closed", None, True)
    assert [item["met"] for item in closed["targets"]] == [True, True, True]
    kinds = [event["kind"] for event in _events(office)]
    assert kinds == [
        "incident.reported", "incident.declared", "incident.ordered", "step.done",
        "run.requested", "run.started", "run.finished", "incident.recovered", "incident.returned",
        "run.requested", "run.started", "run.finished", "incident.analysed", "incident.closed",
    ]  # fmt: skip
    requested = next(event for event in _events(office) if event["kind"] == "run.requested")
    assert (requested["data"]["step"], requested["data"]["operation"]) == ("service.relocate", "switchover")
    shown = " ".join(ordered("ani", "incident", "show", "banjir").out.split())
    assert "Koordinator Kelangsungan Layanan LPSE mengumumkan dan menutup keadaan kondisi darurat." in shown
    assert ordered("ani", "journal", "export", closed["id"], "--to", tmp_path / "bukti.tgz").code == 0
    assert "No incident is open." in ordered("ani", "step", "list").err


def test_a_reading_step_is_in_the_record_too(as_user: As, office: Path, playbook: Playbook) -> None:
    playbook("replication_verify", {**DONE, "changed": False})
    as_user("ani", "incident", "report", "wabah", "--from", "Dinkes", "--via", "surat")
    as_user("kepala", "incident", "declare")
    as_user("kepala", "incident", "order")
    as_user("ani", "step", "done", "people.evacuate", "--nobody-on-site")
    ran = as_user("ani", "step", "run", "2", "--yes", "--output", "json").envelope
    assert [(step["id"], step["state"]) for step in ran["steps"]][1] == ("replication.verify", "done")
    request = json.loads(next(office.parent.glob("state/incidents/*/runs/*/run.json")).read_text())
    assert request["extra_vars"]["replication_wait"] is True, "brings the other site up to date"


def test_a_step_that_failed_says_so_and_can_be_tried_again(ordered: As, playbook: Playbook) -> None:
    playbook("status", *HEALTHY)
    ordered("ani", "step", "done", "people.evacuate")
    playbook("switchover", fails=True)
    failed = ordered("ani", "step", "run", "service.relocate", "--yes", "--output", "json")
    assert failed.code == 3
    assert failed.envelope["steps"][1]["state"] == "failed"
    playbook("switchover", *SWITCHED, DONE)
    again = ordered("budi", "step", "run", "service.relocate", "--yes", "--output", "json")
    assert again.envelope["steps"][1]["state"] == "done"


@pytest.mark.parametrize(
    ("events", "words", "code", "said"),
    [
        # The primary site is silent: a failover, which this installation lacks and does not pretend.
        ([reading("drc-db", writable=False)], (), 3, "failover is not available in this version: do it by hand"),
        ([reading("pdc-db", writable=False), reading("drc-db", writable=False)], (), 3, "one site that answers"),
        ([reading("pdc-db", writable=True), reading("drc-db", writable=True)], (), 3, "one active site"),
        ([], (), 3, "one site that answers"),
        (SWITCHED, (), 3, "at the alternate site already"),
        (HEALTHY, ("--to", "mars"), 2, "There is no site 'mars'"),
        (HEALTHY, ("--to", "pdc"), 3, "another site than the active one"),
    ],
)
def test_where_the_service_goes_is_read_from_the_hosts(
    ordered: As,
    office: Path,
    playbook: Playbook,
    events: list[dict[str, Any]],
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    playbook("status", *events)
    playbook("switchover", DONE)
    ordered("ani", "step", "done", "people.evacuate")
    spoken = ordered("ani", "step", "run", "service.relocate", "--yes", *words)
    assert spoken.code == code
    assert said in " ".join(spoken.err.split())
    assert not [event for event in _events(office) if event["kind"].startswith("run.")]


@pytest.mark.parametrize(
    ("step", "words", "told"),
    [
        ("vlan.isolate", [], {"vlan_level": "total"}),
        ("vlan.isolate", ["--with", "office"], {"vlan_level": "office"}),
        ("replication.halt", [], {"replication_infected_since": "2026-11-20T02:00:00Z"}),
        (
            "replication.halt",
            ["--with=--infected-since 2026-11-19T02:00:00Z"],
            {"replication_infected_since": "2026-11-19T02:00:00Z"},
        ),
    ],
)
def test_a_step_brings_its_own_words_or_those_of_a_person(
    as_user: As, office: Path, playbook: Playbook, step: str, words: list[str], told: dict[str, str]
) -> None:
    playbook(step.replace(".", "_"), DONE)
    report = ("incident", "report", "virus", "--from", "TTIS", "--via", "surat", "--happened", "2026-11-20T02:00:00Z")
    assert as_user("ani", *report, "--drill").code == 0
    as_user("kepala", "incident", "declare")
    as_user("kepala", "incident", "order")
    spoken = as_user("ani", "step", "run", step, "--yes", *words)
    assert spoken.code == 0, spoken.err
    (run,) = (office.parent / "state" / "incidents").glob("*/runs/*/run.json")
    variables = json.loads(run.read_text())["extra_vars"]
    assert {key: variables[key] for key in told} == told


def test_what_is_not_installed_is_done_by_hand_and_said_so(as_user: As, playbook: Playbook) -> None:
    playbook("status")
    as_user("ani", "incident", "report", "virus", "--from", "TTIS", "--via", "surat", "--drill")
    as_user("kepala", "incident", "declare")
    as_user("kepala", "incident", "order")
    spoken = as_user("ani", "step", "run", "vlan.isolate", "--yes", "--output", "json")
    assert (spoken.code, spoken.envelope["error"]["id"]) == (3, "step.not_available")
    spoken = as_user("ani", "step", "done", "vlan.isolate", "--note", "kabel uplink dicabut", "--output", "json")
    assert spoken.envelope["steps"][0]["state"] == "done_by_hand"
    assert "LATIHAN" in as_user("ani", "step", "list").out.splitlines()[1]


def test_an_operation_started_directly_is_held_back_and_then_attached(
    ordered: As, office: Path, playbook: Playbook
) -> None:
    playbook("switchover", *HEALTHY, *SWITCHED, DONE)
    direct = ("switchover", "--from", "pdc", "--to", "drc", "--yes", "--output", "json")
    spoken = ordered("ani", *direct)
    assert (spoken.code, spoken.envelope["error"]["id"]) == (3, "interlock.first")
    ordered("ani", "step", "done", "people.evacuate", "--nobody-on-site")
    assert ordered("ani", *direct).code == 0
    assert ordered("ani", "step", "list", "--output", "json").envelope["steps"][1]["state"] == "done"
    assert len(list((office.parent / "state" / "incidents").iterdir())) == 2, (
        "the incident, and the reserve beside it"
    )


def _person(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Iterator[str]:
    waiting = iter(answers)

    def answer() -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("lpse_dr.cli.ask.somebody_is_there", lambda: True)
    monkeypatch.setattr("lpse_dr.cli.go.somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    return waiting


def test_without_an_incident_a_reason_is_asked_for(
    as_user: As, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("status", *HEALTHY)
    playbook("switchover", *HEALTHY, *SWITCHED, DONE)
    _person(monkeypatch, "drc", "ganti UPS")
    assert as_user("ani", "switchover").code == 0
    opened, requested, *_rest = _events(office)
    assert (opened["kind"], opened["data"]["type"]) == ("incident.opened", "maintenance")
    assert (opened["data"]["reason"], requested["data"]["reason"]) == ("ganti UPS", "ganti UPS")


def test_respond_is_walked_left_and_taken_up_by_another_person(
    as_user: As, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("replication_verify", {**DONE, "changed": False})
    as_user("ani", "incident", "report", "teror", "--from", "Polres", "--via", "telepon", "--happened", "00:00")
    as_user("kepala", "incident", "declare")
    as_user("kepala", "incident", "order")
    # A time in the future is said to be one, and asked again; then safe, then left.
    left = _person(monkeypatch, "d", "Ani Tim", "2999-01-01 00:00", "x", "t", "n", "", "", "", "")
    assert as_user("ani", "respond").code == 5
    assert not list(left)
    _person(monkeypatch, "r", "tidak", "Budi Tim")
    spoken = as_user("budi", "respond", "--output", "json")
    assert spoken.code == 0, spoken.err
    told = [(step["id"], step["state"], step["by"]) for step in spoken.envelope["steps"]]
    assert told == [
        ("people.evacuate", "done", "Ani Tim"),
        ("replication.verify", "done", "budi"),
        ("service.relocate", "not_needed", "Budi Tim"),
    ]
    assert "2999" not in json.dumps(_events(office))


def test_bare_says_what_is_open_whose_turn_it_is_and_what_to_type(as_user: As, playbook: Playbook) -> None:
    playbook("status", *HEALTHY)
    as_user("ani", *REPORT)
    spoken = as_user("ani")
    words = " ".join(spoken.out.split())
    assert "turn: koordinator, activity 3" in words
    assert words.count("incident declare") == 2
    envelope = as_user("ani", "--output", "json").envelope
    assert envelope["next_command"].endswith("incident declare")
    assert [(item["phase"], item["turn"]) for item in envelope["incidents"]] == [("reported", "koordinator")]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("incident", "report", "bnajir", "--from", "x", "--via", "y"), 2, "Did you mean 'banjir'?"),
        (("incident", "report", "kebak", "--from", "x", "--via", "y"), 2, "'kebakaran', 'kebakaran-terisolasi'"),
        (("incident", "report"), 2, "missing: CONDITION"),
        (("incident", "report", "banjir"), 2, "missing: --from"),
        (("incident", "declare"), 3, "No incident is open."),
        (("step", "list"), 3, "No incident is open."),
        (("respond",), 3, "No incident is open."),
        (("step", "run", "service.relocate"), 3, "No incident is open."),
        (("incident", "show", "nirgendwo"), 2, "There is no open incident"),
        (("incident", "analyse", "--answer", "x"), 3, "No incident is open."),
        (("incident", "declar"), 2, "Did you mean 'declare'?"),
        (
            ("switchover", "--incident", "banjir", "--from", "pdc", "--to", "drc", "--yes"),
            2,
            "There is no open incident",
        ),
    ],
)
def test_bad_input_is_answered_and_nothing_recorded(
    as_user: As, office: Path, playbook: Playbook, words: tuple[str, ...], code: int, said: str
) -> None:
    playbook("switchover", DONE)
    spoken = as_user("ani", *words)
    assert (spoken.code, said in " ".join(spoken.err.split())) == (code, True), spoken.err
    assert not list(office.parent.glob("state/incidents/*/journal.jsonl"))


def test_no_name_steers_a_terminal_or_passes_for_a_line_of_ours(as_user: As) -> None:
    nasty = "Sat\x1b[2Jpam\nDONE (COMPLETED)\u202e"
    spoken = as_user("ani", "incident", "report", "banjir", nasty, "--from", nasty, "--via", "lisan")
    shown = as_user("ani", "incident", "show")
    as_json = as_user("ani", "incident", "show", "--output", "json")
    for said in (spoken.out, shown.out, as_json.out):
        assert "\x1b" not in said and "\u202e" not in said
        assert not [line for line in said.splitlines() if line.startswith("DONE")]
    assert as_json.envelope["incidents"][0]["report"]["reporter"] == " ".join(nasty.split())


def test_broken_glass_stands_on_every_screen(as_user: As) -> None:
    as_user("ani", *REPORT)
    as_user("budi", "incident", "declare", "--break-glass", "semua sinyal mati")
    for words in (("incident", "show"), ("step", "list"), ("respond",)):
        assert "!! BREAK-GLASS line 2: declare by Budi Tim" in as_user("ani", *words).out
    listed = as_user("ani", "incident", "list", "--output", "json").envelope["incidents"]
    assert [glass["reason"] for glass in listed[0]["break_glass"]] == ["semua sinyal mati"]


def test_every_screen_fits_a_phone(as_user: As) -> None:
    as_user("ani", *REPORT)
    for words in (
        ("incident", "show"),
        ("incident", "list"),
        ("step", "list"),
        ("respond",),
        ("incident", "show", "--lang", "id"),
    ):
        said = as_user("ani", *words).out
        # Ids and commands are not broken.
        assert all(len(line) <= 60 or " " not in line.strip() for line in said.splitlines()), said

"""Commands against tiny playbooks: screens, envelopes, exit codes, questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import HEALTHY, SWITCHED, Call, Playbook, application, reading

GUARD_PHASE = {"kind": "phase", "phase": "guard", "title": "Check both sites"}
SWITCH_PHASE = {"kind": "phase", "phase": "switch", "title": "Move the active role to drc"}
DONE = {
    "kind": "verdict",
    "verdict": "COMPLETED",
    "changed": True,
    "error": None,
    "figures": {"database_outage_seconds": 0.2},
}
GUARDS = {
    "kind": "guards",
    "stage": "ready",
    "guards": [
        {"guard_id": "database.streaming", "ok": True, "host": "drc-db", "expected": "e", "found": "f", "todo": "t"},
        {
            "guard_id": "database.lag_bytes",
            "ok": False,
            "host": "drc-db",
            "expected": "at most 5 bytes behind",
            "found": "9 bytes",
            "todo": "wait",
            "data": {"limit_bytes": 5, "lag_bytes": 9, "from_site": "pdc", "to_site": "drc"},
        },
    ],
}
REFUSED = {
    "kind": "verdict",
    "verdict": "REFUSED",
    "changed": False,
    "error": {
        "id": "database.lag_bytes",
        "data": {"limit_bytes": 5, "lag_bytes": 9},
        "next_command": "lpse-dr status",
    },
}
_SILENT_DATA = {
    "missing": "database.lag_seconds", "missing_host": "drc-db", "limit_seconds": 5, "host": "drc-db", "to_site": "drc",
}  # fmt: skip
_SILENT = {"guard_id": "database.lag_seconds", "ok": False, "host": "drc-db", "data": _SILENT_DATA}
_SILENT_ERROR = {"id": "database.lag_seconds", "host": "drc-db", "data": _SILENT_DATA}
YES = ("switchover", "--from", "pdc", "--to", "drc", "--yes")


def test_status(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("status", *HEALTHY)
    spoken = call("--office", office, "status")
    assert spoken.code == 0
    lines = spoken.out.splitlines()
    assert lines[0] == "LPSE Uji"
    assert all(len(line) <= 60 for line in lines)
    assert "ACTIVE" in spoken.out and "standby" in spoken.out
    envelope = call("--office", office, "status", "--output", "json").envelope
    assert list(envelope)[:6] == ["schema", "command", "verdict", "exit_code", "changed", "error"]
    assert (envelope["command"], envelope["verdict"], envelope["active"]) == ("status", "COMPLETED", ["pdc"])
    assert [site["role"] for site in envelope["sites"]] == ["active", "standby"]


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        (HEALTHY[:1], 6, "Cannot be read: drc"),
        (HEALTHY[:3], 6, "drc: not read: drc-app"),
        ([HEALTHY[0], reading("drc-db", writable=True), *HEALTHY[2:]], 0, "TWO SITES ACCEPT WRITES"),
        ([reading("pdc-db", writable=False), *HEALTHY[1:]], 0, "No site accepts writes"),
        (
            [
                reading("pdc-db", writable=False, state={"operation": {"number": 7, "run": "r7", "open": True}}),
                *HEALTHY[1:],
            ],
            0,
            "Operation 7 is open: run r7",
        ),
        ([*HEALTHY, application("pdc-app", "failed")], 0, "FAILED"),
    ],
)
def test_status_says_what_is_wrong(
    call: Call, office: Path, playbook: Playbook, events: list[dict[str, Any]], code: int, said: str
) -> None:
    playbook("status", *events)
    spoken = call("--office", office, "status")
    assert spoken.code == code
    assert said in " ".join(spoken.out.split())


def test_status_without_any_reading_is_no_good_news(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("status", fails=True)
    spoken = call("--office", office, "status", "--output", "json")
    assert spoken.code == 3
    assert spoken.envelope["error"]["id"] == "task.failed"
    playbook("status")
    assert call("--office", office, "status").code == 6


def test_bare_command_says_what_is_next(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("status", *HEALTHY)
    spoken = call("--office", office)
    assert spoken.code == 0
    assert f"lpse-dr --office {office} site check --to drc" in " ".join(spoken.out.split())
    assert "open record: none" in spoken.out


def test_switchover(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover", GUARD_PHASE, *HEALTHY, SWITCH_PHASE, *SWITCHED, DONE)
    spoken = call(*YES, "--office", office, "--reason", "uji")
    assert spoken.code == 0
    assert spoken.out.splitlines()[0] == "LPSE Uji"
    assert [line for line in spoken.err.splitlines() if "Move the active role" in line]
    assert "before:" in spoken.out and "after:" in spoken.out
    assert "database_outage_seconds: 0.2" in spoken.out
    assert "DONE (COMPLETED)" in spoken.out
    shown = call("--office", office, "runs", "list", "--output", "json").envelope["runs"]
    assert [(item["operation"], item["verdict"], item["reason"]) for item in shown] == [
        ("switchover", "COMPLETED", "uji")
    ]
    assert call("--office", office, "journal", "verify").code == 0
    kinds = [
        event["kind"] for event in call("--office", office, "journal", "show", "--output", "json").envelope["events"]
    ]
    assert kinds == ["incident.opened", "run.requested", "run.started", "run.finished", "incident.closed"]


def test_switchover_envelope(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover", GUARD_PHASE, *HEALTHY, SWITCH_PHASE, *SWITCHED, DONE)
    envelope = call(*YES, "--office", office, "--output", "json").envelope
    assert (envelope["verdict"], envelope["changed"], envelope["figures"]) == (
        "COMPLETED",
        True,
        {"database_outage_seconds": 0.2},
    )
    assert envelope["active"] == ["drc"]


def test_a_refusal_names_the_guard(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover", GUARD_PHASE, *HEALTHY, GUARDS, REFUSED, fails=True)
    spoken = call(*YES, "--office", office, "--output", "json")
    assert spoken.code == 3
    assert spoken.envelope["changed"] is False
    error = spoken.envelope["error"]
    assert (error["id"], error["expected"], error["found"]) == (
        "database.lag_bytes",
        "at most 5 bytes behind",
        "9 bytes",
    )
    assert error["next_command"] == f"lpse-dr --office {office} status"
    indonesian = call(*YES, "--office", office, "--lang", "id")
    assert "tertinggal paling banyak 5 bita" in indonesian.out
    assert "DITOLAK (REFUSED)" in indonesian.out


def test_plan_changes_nothing(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover", GUARD_PHASE, *HEALTHY, GUARDS, {**DONE, "changed": False})
    spoken = call("switchover", "--from", "pdc", "--to", "drc", "--plan", "--office", office)
    assert "database.lag_bytes" in spoken.out
    assert not (office.parent / "state" / "incidents").exists()


def test_site_check_shows_every_guard(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("site_check", *HEALTHY, GUARDS, REFUSED, fails=True)
    spoken = call("--office", office, "site", "check", "--to", "drc")
    assert spoken.code == 3
    assert "from pdc to drc" in spoken.out
    assert "ok    The standby is streaming (drc-db)" in spoken.out
    assert "NO    The standby keeps up (bytes) (drc-db)" in spoken.out
    assert "at most 5 bytes behind" in spoken.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("switchover", 2),
        ("switchover --from pdc --to drc", 2),
        ("switchover --yes", 2),
        ("switchover --to drc --yes", 2),
        ("switchover --from pdc --to pdc --yes", 3),
        ("switchover --from pdc --to dcr --yes", 3),
        ("switchover --from drc --to nowhere --plan", 3),
        ("database stop --at pdc", 2),
        ("database stop --at nowhere --yes", 3),
    ],
)
def test_orders_that_are_not_clear(call: Call, office: Path, playbook: Playbook, words: str, code: int) -> None:
    playbook("switchover", DONE)
    playbook("database_stop", DONE)
    assert call(*words.split(), "--office", office).code == code
    assert not (office.parent / "state" / "incidents").exists()


def _person(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("lpse_dr.cli.ask.somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: answer)


def test_a_person_types_the_name_of_the_target(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("status", *HEALTHY)
    playbook("switchover", GUARD_PHASE, *HEALTHY, SWITCH_PHASE, *SWITCHED, DONE)
    _person(monkeypatch, "pdc")
    assert call("switchover", "--office", office).code == 3
    assert not (office.parent / "state" / "incidents").exists()
    _person(monkeypatch, "drc")
    spoken = call("switchover", "--office", office)
    assert spoken.code == 0
    assert "Switch over from pdc to drc." in spoken.out


def test_nothing_is_proposed_when_two_sites_are_active(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("status", HEALTHY[0], reading("drc-db", writable=True))
    playbook("switchover", DONE)
    _person(monkeypatch, "drc")
    assert call("switchover", "--office", office).code == 3


def test_runs_show(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover", GUARD_PHASE, SWITCH_PHASE, fails=True)
    assert call(*YES, "--office", office).code == 6
    spoken = call("--office", office, "runs", "show", "last", "--failed")
    assert spoken.code == 0
    assert "it broke" in spoken.out and "UNKNOWN" in spoken.out
    followed = call("--office", office, "runs", "show", "last", "--follow")
    assert followed.code == 6
    assert call("--office", office, "runs", "show", "zzz").code == 2


def test_leaving_a_run_says_how_to_get_back(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("switchover", GUARD_PHASE, DONE)

    def interrupted(run: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("lpse_dr.cli.go.follow", interrupted)
    spoken = call(*YES, "--office", office, "--output", "json")
    assert spoken.code == 6
    assert spoken.envelope["error"]["id"] == "run.detached"
    assert "--follow" in spoken.envelope["error"]["next_command"]
    monkeypatch.undo()
    shown = call("--office", office, "runs", "show", spoken.envelope["run"], "--follow", "--output", "json")
    assert shown.envelope["verdict"] == "COMPLETED"


def test_an_interrupted_look_ends(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading is nothing to go on by itself: it is cancelled, and no question is asked."""
    playbook("status", *HEALTHY, naps=60)

    def interrupted(run: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("lpse_dr.cli.go.follow", interrupted)
    spoken = call("--office", office, "status", "--output", "json")
    assert (spoken.code, spoken.envelope["exit_code"]) == (130, 130)
    monkeypatch.undo()
    shown = call("--office", office, "runs", "show", "last", "--follow", "--output", "json")
    assert shown.envelope["error"]["id"] == "run.cancelled"


def test_a_command_to_type_next_names_the_office(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("site_check", *HEALTHY, {**GUARDS, "guards": [_SILENT]}, {**REFUSED, "error": _SILENT_ERROR}, fails=True)
    spoken = call("--office", office, "site", "check", "--output", "json")
    assert f"Look at drc-db: lpse-dr --office {office} status -v" in spoken.envelope["error"]["next_command"]
    assert "at most 5 s" in spoken.envelope["error"]["expected"]


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("pdc", "mars", {"id": "site.known", "expected": "one of the sites pdc, drc", "found": "mars"}),
        ("pdc", "DCR", {"id": "site.known", "found": "DCR", "next_command": "Did you mean 'drc'?"}),
        ("pdc", "pdc", {"id": "site.differ", "expected": "two different sites", "found": "from pdc to pdc"}),
    ],
)
def test_a_wrong_site_is_refused_by_the_guards_own_id(
    call: Call, office: Path, source: str, target: str, error: dict[str, str]
) -> None:
    spoken = call("switchover", "--from", source, "--to", target, "--yes", "--office", office, "--output", "json")
    assert spoken.code == 3
    assert {key: spoken.envelope["error"][key] for key in error} == error
    assert all(spoken.envelope["error"].values())


def test_an_edited_journal_is_found(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover", GUARD_PHASE, DONE)
    call(*YES, "--office", office)
    path = next((office.parent / "state" / "incidents").glob("*/journal.jsonl"))
    path.write_text(path.read_text().replace("switchover", "failover", 1))
    spoken = call("--office", office, "journal", "verify")
    assert spoken.code == 3
    assert "line 2 was changed after it was written" in " ".join(spoken.out.split())


def test_bad_inventory_starts_nothing(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("status", *HEALTHY)
    (office / "inventory" / "hosts.yml").write_text("all: [\n")
    spoken = call("--office", office, "status")
    assert spoken.code == 3
    assert "hosts.yml:2" in spoken.err.replace("\n", "")
    assert not (office.parent / "state" / "runs").exists()


def test_ctrl_c_asks_and_cancels(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lpse_dr.cli import go
    from lpse_dr.operations.start import follow
    from lpse_dr.runner.folder import Run

    playbook("switchover", GUARD_PHASE, naps=40)
    answers = iter(["", "c"])
    interrupts = iter([True, True])

    def interrupted_twice(run: Run) -> object:
        for event in follow(run):
            yield event
            if event["kind"] == "playbook" and next(interrupts, False):
                raise KeyboardInterrupt

    monkeypatch.setattr(go, "follow", interrupted_twice)
    monkeypatch.setattr(go, "somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: next(answers))
    spoken = call(*YES, "--office", office, "--output", "json")
    assert spoken.code == 3, "nothing had been changed"
    assert spoken.envelope["error"]["id"] == "run.cancelled"
    assert spoken.err.count("Check both sites") == 1, "what was shown is not shown again"

"""`failover` at the keyboard: what is shown before it asks, what a person must type, what a script must say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.cli.nouns.failover import duration

from .conftest import HEALTHY, Call, Playbook, reading

LOSS = {
    "stage": "gone", "proof": "", "receive_lsn": "0/5000000", "received_at": 1_790_000_000.0, "last_commit_at": 1_790_000_000.0,
    "read_at": 1_790_000_030.0, "files": [{"host": "drc-app", "at": "2026-09-21T12:53:00Z", "ok": True}],
    "sights": [
        {"vantage": "jump", "what": "ssh", "answer": "silent", "detail": "timed out"},
        {"vantage": "drc-db", "what": "database", "answer": "silent", "detail": "No route to host"},
    ],
}  # fmt: skip
PROOF = {
    "guard_id": "failover.proof", "ok": False, "host": "", "expected": "e", "found": "f", "todo": "t",
    "data": {"from_site": "pdc", "to_site": "drc", "proof": "none", "power": "none"},
}  # fmt: skip
AGE = {
    "guard_id": "failover.age", "ok": False, "host": "drc-db", "expected": "e", "found": "f", "todo": "t",
    "data": {"from_site": "pdc", "to_site": "drc", "limit_seconds": 3600, "age_seconds": 7200, "age_minutes": 121},
}  # fmt: skip
LOST = [reading("drc-db", writable=False), *HEALTHY[3:]]
TAKEN = [reading("drc-db", writable=True)]
GUARD = {"kind": "phase", "phase": "guard", "title": "Check"}
SWITCH = {"kind": "phase", "phase": "switch", "title": "Make drc active"}
ROWS = [
    {"id": str(number), "path": f"2026/{number}.bid", "vendor": f"PT {number}", "tender": "T1", "reason": "absent"}
    for number in range(25)
]
TOLD = {"kind": "told", "step": "documents", "answers": {"drc-app": {"list": json.dumps({"documents": ROWS})}}}
DONE = {
    "kind": "verdict", "verdict": "COMPLETED", "changed": True, "error": None,
    "figures": {"documents_absent": 25, "sequences": {"public.bid_number": {"from": 7, "to": 1007}}},
}  # fmt: skip
WORD = "fire, power cut at 09:12"


def guards(*failing: dict[str, Any], **loss: Any) -> dict[str, Any]:
    return {"kind": "guards", "stage": "gone", "guards": list(failing), "loss": {**LOSS, **loss}}


def refused(guard: dict[str, Any]) -> dict[str, Any]:
    error = {"id": guard["guard_id"], "data": guard["data"], "todo": "t", "next_command": "t"}
    return {"kind": "verdict", "verdict": "REFUSED", "changed": False, "error": error}


def person(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    waiting = list(answers)
    monkeypatch.setattr("lpse_dr.cli.ask.somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: waiting.pop(0))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), (" 5m ", 300)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-5m", "5 m", "1.5h", "2w", "forever"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        duration(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--yes"], "--to"),
        (["--to", "drc"], "no terminal"),
        (["--to", "drc", "--yes", "--assume-primary-dead", "  "], "needs words"),
        (["--to", "drc", "--yes", "--accept-loss-older-than", "soon"], "not a valid value"),
    ],
)
def test_usage(call: Call, office: Path, words: list[str], said: str) -> None:
    spoken = call("failover", "--office", office, *words)
    assert spoken.code == 2
    assert said in " ".join((spoken.out + spoken.err).split())
    assert not (office.parent / "state" / "incidents").exists()


def test_an_unknown_site_is_refused_before_anything_starts(call: Call, office: Path) -> None:
    spoken = call("failover", "--to", "drcc", "--yes", "--office", office, "--output", "json")
    assert (spoken.code, spoken.envelope["error"]["id"]) == (3, "site.known")


def test_a_script_says_why_and_gets_the_list(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("failover", *LOST, GUARD, guards(proof="statement"), SWITCH, TOLD, *TAKEN, DONE)
    spoken = call("failover", "--to", "drc", "--yes", "--assume-primary-dead", WORD, "--office", office)
    words = " ".join(spoken.out.split())
    assert spoken.code == 0
    assert "Where pdc was looked for:" in words
    assert "0/5000000" in words
    assert "missing: 2026/0.bid, vendor PT 0, tender T1" in words
    assert "and 5 more" in words
    assert "standby.signal" in words
    assert all(len(line) <= 60 for line in spoken.out.splitlines())
    envelope = call(
        "failover", "--to", "drc", "--yes", "--assume-primary-dead", WORD, "--office", office, "--output", "json"
    ).envelope
    assert [item["id"] for item in envelope["documents"]] == [row["id"] for row in ROWS]
    assert envelope["loss"]["receive_lsn"] == "0/5000000"
    # The word is the reason that the journal keeps.
    journal = call("--office", office, "journal", "show", "--output", "json").envelope["events"]
    assert WORD in json.dumps(journal)


def test_yes_alone_is_not_enough(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("failover", *LOST, GUARD, guards(PROOF), refused(PROOF), fails=True)
    spoken = call("failover", "--to", "drc", "--yes", "--office", office, "--output", "json")
    assert (spoken.code, spoken.envelope["verdict"]) == (3, "REFUSED")
    assert (
        f"lpse-dr --office {office} failover --to drc --assume-primary-dead"
        in spoken.envelope["error"]["next_command"]
    )


def test_a_person_types_that_it_is_dead_and_how_he_knows(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("failover", *LOST, GUARD, guards(PROOF), refused(PROOF), fails=True)
    for answers in (["yes"], ["drc"], ["pdc is dead", ""]):
        person(monkeypatch, *answers)
        assert call("failover", "--to", "drc", "--office", office).code == 3
    assert not (office.parent / "state" / "incidents").exists()
    person(monkeypatch, "pdc is dead", WORD)
    spoken = call("failover", "--to", "drc", "--office", office)
    assert "Nothing proves that pdc is off." in spoken.out
    assert "What may be lost" in spoken.out
    # It was executed now; this playbook refuses it again.
    assert (office.parent / "state" / "incidents").exists()
    person(monkeypatch, "pdc mati", "kebakaran")
    assert call("failover", "--to", "drc", "--office", office, "--lang", "id").code == 3


def test_where_a_guard_says_no_nobody_is_asked(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("failover", *LOST, GUARD, guards(PROOF, AGE), refused(AGE), fails=True)
    person(monkeypatch)
    spoken = call("failover", "--to", "drc", "--office", office)
    assert spoken.code == 3
    assert "--accept-loss-older-than 121m" in spoken.out
    assert not (office.parent / "state" / "incidents").exists()


def test_with_a_power_fence_the_targets_name_is_enough_and_the_power_is_announced(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {"kind": "steps", "planned": True, "steps": [{"name": "claim", "at": ["drc-db"], "verb": "host.claim"}]}
    playbook("failover", *LOST, GUARD, guards(proof="power"), steps, {**DONE, "changed": False, "figures": {}})
    person(monkeypatch, "drc")
    spoken = call("failover", "--to", "drc", "--office", office)
    assert "power of pdc's database will be cut" in " ".join(spoken.out.split())
    assert spoken.code == 0


def test_status_says_what_a_failover_would_cost(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("status", *HEALTHY)
    spoken = call("--office", office, "status")
    assert "If pdc dies now: an unknown amount of WAL" in " ".join(spoken.out.split())
    assert call("--office", office, "status", "--output", "json").envelope["if_it_dies_now"] == {
        "site": "pdc", "wal_bytes": None, "documents": None, "documents_or_more": False,
    }  # fmt: skip

"""What a person types to halt replication, and what he is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lpse_dr.cli.halting import duration
from lpse_dr.errors import UsageError

from .conftest import HEALTHY, Call, Playbook, reading

HALT = ("replication", "halt", "--yes", "--reason", "virus")
RESUME = ("replication", "resume", "--at", "drc", "--yes", "--reason", "clean")
POINT = {"lsn": "0/401A390", "at": "2026-11-24T09:24:53.444Z", "received_lsn": "0/401A390", "timeline": 1}
SLOT = {
    "slot": "lpse_dr_drc",
    "known_by": "standby",
    "limit_bytes": 1 << 30,
    "wal_status": None,
    "lost_in_seconds": 9000,
}
FIGURES = {
    "site": "drc", "point": POINT, "documents": {"drc-app": {"sha256": "ab" * 32, "files": 3, "bytes": 9, "as_halted": True}},
    "first_effect_seconds": 0.4, "proven_seconds": 1.6, "slot": SLOT, "infected_since": "2026-11-28T00:00:00Z",
    "margin_seconds": 259200, "before_infection": "yes",
}  # fmt: skip
FACT = {"site": "drc", "at": "2026-11-24T09:25:13Z", "by": "tim", "reason": "virus", "point": POINT}
HALTED = [HEALTHY[0], reading("drc-db", writable=False, state={"halted": FACT}), *HEALTHY[2:]]


def ended(verdict: str = "COMPLETED", figures: dict[str, Any] | None = None, **error: Any) -> dict[str, Any]:
    return {"kind": "verdict", "verdict": verdict, "changed": True, "error": error or None, "figures": figures or {}}


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_halt_says_where_it_stands_and_how_long_a_resume_is_possible(
    call: Call, office: Path, playbook: Playbook
) -> None:
    playbook("replication_halt", ended(figures=FIGURES))
    spoken = call("--office", office, *HALT, "--at", "drc")
    assert spoken.code == 0
    said = flat(spoken.out)
    assert "0/401A390, 24-11-2026 17:24:53 WITA" in said
    assert "BEFORE 28-11-2026 08:00:00 WITA less 72 h" in said
    assert "about 2 h, until the active site has written 1.0 GB" in said
    assert "after 0.4 s, proven after 1.6 s" in said
    assert all(len(line) <= 60 for line in spoken.out.splitlines())
    assert call("--office", office, *HALT, "--at", "drc", "--output", "json").envelope["figures"] == FIGURES


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"before_infection": "no"}, "NOT before"),
        ({"before_infection": "unknown"}, "is not known"),
        ({"slot": {**SLOT, "wal_status": "lost"}}, "the slot is lost"),
        ({"slot": {**SLOT, "limit_bytes": None}}, "as long as the active site has room"),
        ({"slot": {**SLOT, "lost_in_seconds": None}}, "until the active site has written 1.0 GB"),
        ({"point": {**POINT, "at": None}}, "time unknown"),
        ({"point": {**POINT, "moved_from": "0/1"}}, "Replay had moved on from 0/1"),
        ({"documents": {"drc-app": {"as_halted": False}}}, "documents of drc-app have changed"),
        ({"point": {}, "slot": None}, "DONE"),
    ],
)
def test_bad_news_are_told(call: Call, office: Path, playbook: Playbook, figures: dict[str, Any], words: str) -> None:
    playbook("replication_halt", ended(figures={**FIGURES, **figures}))
    assert words in flat(call("--office", office, *HALT, "--at", "drc").out)


def test_what_is_left_open_is_named(call: Call, office: Path, playbook: Playbook) -> None:
    error = {
        "id": "replication.left_open",
        "expected": "x",
        "found": "drc-app: timed out",
        "todo": "lpse-dr replication halt --at drc",
    }
    playbook("replication_halt", ended("INCOMPLETE", FIGURES, **error))
    spoken = call("--office", office, *HALT, "--at", "drc")
    assert spoken.code == 5
    assert "drc-app: timed out" in spoken.out
    assert f"lpse-dr --office {office} replication halt --at drc" in flat(spoken.out)


def test_the_standby_is_found_without_asking_a_host(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("replication_halt", ended())
    assert "Halt replication to drc" in flat(call("--office", office, *HALT).out)
    # As this machine's own runs have last seen it, pdc is the standby by now.
    newer = {"epoch": {"number": 5, "site": "drc"}}
    playbook("status", *HEALTHY, reading("drc-db", writable=True, state=newer))
    call("--office", office, "status")
    assert "Halt replication to pdc" in flat(call("--office", office, *HALT).out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (HALT[:3], "A reason is needed"),
        ((*HALT, "--infected-since", "2999-01-01"), "has not come yet"),
        ((*HALT, "--infected-since", "yesterday"), "not a time"),
        ((*HALT, "--margin", "long"), "not a duration"),
        ((*HALT[:2], "--reason", "x"), "There is no terminal"),
        (RESUME, "nobody was named"),
        (RESUME[:5], "A reason is needed"),
        (RESUME[:2], "missing: --at"),
    ],
)
def test_bad_words_change_nothing(call: Call, office: Path, words: tuple[str, ...], said: str) -> None:
    spoken = call("--office", office, *words)
    assert spoken.code == 2
    assert said in flat(spoken.err)


def test_an_unknown_site_is_refused(call: Call, office: Path) -> None:
    assert call("--office", office, *HALT, "--at", "drk").code == 3


def test_resume(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("replication_resume", ended(figures={"site": "drc", "caught_up_seconds": 3.2}))
    spoken = call("--office", office, *RESUME, "--ordered-by", "Koordinator")
    assert spoken.code == 0
    assert "drc has everything again after 3.2 s" in flat(spoken.out)


@pytest.mark.parametrize("words", ["", "status", "replication status"])
def test_everybody_who_looks_is_told(call: Call, office: Path, playbook: Playbook, words: str) -> None:
    playbook("status", *HALTED)
    playbook("replication_status", *HALTED)
    said = flat(call("--office", office, *words.split()).out)
    assert (
        "REPLICATION TO drc IS HALTED since 24-11-2026 17:25:13 WITA by tim: virus. It stands at 0/401A390." in said
    )


def test_programs_are_told_too(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("status", *HALTED)
    sites = call("--office", office, "status", "--output", "json").envelope["sites"]
    assert [site["halted"] for site in sites] == [None, FACT]


@pytest.mark.parametrize(
    ("text", "seconds"), [("72h", 259200), ("3d", 259200), ("90m", 5400), (" 5s ", 5), ("0h", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "72", "h", "-1h", "1.5h", "1h30m", "9999999h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        duration(text)

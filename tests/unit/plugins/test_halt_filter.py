"""How a halt ended, from recorded reports of conductors: what is open is named, what is not known is not guessed."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.plugins.filter.replication import (
    before_infection,
    lost_in,
    lpse_dr_halt_ended,
    lpse_dr_resume_ended,
    slot_figure,
)

WANTED = ["drc-db", "drc-app", "drc-gateway"]
POINT = {"lsn": "0/401A390", "at": "2026-11-24T09:24:53.444Z", "received_lsn": "0/401A390", "timeline": 1}
SLOT = {"slot": "lpse_dr_drc", "limit_bytes": 1000, "written_bytes": 500, "in_seconds": 50}


def step(name: str, verb: str, host: str, at: float, changed: bool = True, ok: bool = True) -> dict[str, Any]:
    said = {"result": {"changed": changed}} if ok else {"error": {"id": "x"}}
    return {"name": name, "verb": verb, "host": host, "ok": ok, "started": 100.0 + at, "seconds": 0.1, **said}


def acted(changed: bool = True, left: dict[str, Any] | None = None) -> dict[str, Any]:
    steps = [
        step("claim", "host.claim", "drc-db", 0.3),
        step("block", "replication.block", "drc-gateway", 0.4, changed),
        step("halt", "database.halt", "drc-db", 0.5, changed),
        step("prove", "replication.prove", "drc-db", 0.9, False),
        step("unclaim", "host.unclaim", "drc-db", 2),
    ]
    answers = {
        "halt": {"drc-db": {"changed": changed, "point": POINT, "slot": SLOT}},
        "manifest": {"drc-app": {"sha256": "ab", "files": 3, "bytes": 9, "as_halted": True, "seconds": 1}},
    }
    report = {"kind": "steps", "began": 100.0, "steps": steps}
    return {"lpse_dr": report, "answers": answers, "left": left or {}, "changed": True}


def test_a_halt_of_all_hosts_is_done_and_timed() -> None:
    infection = {"since": "2026-11-28T00:00:00Z", "margin_seconds": 72 * 3600}
    ended = lpse_dr_halt_ended(acted(), WANTED, {}, "drc", infection)
    assert (ended["verdict"], ended["changed"], ended["error"]) == ("COMPLETED", True, None)
    figures = ended["figures"]
    assert figures["point"] == POINT
    assert (figures["first_effect_seconds"], figures["proven_seconds"]) == (0.5, 1.0)
    assert figures["documents"] == {"drc-app": {"sha256": "ab", "files": 3, "bytes": 9, "as_halted": True}}
    assert figures["before_infection"] == "yes"
    assert figures["slot"]["lost_in_seconds"] == 100


def test_halting_again_changes_nothing_though_hosts_were_claimed() -> None:
    assert lpse_dr_halt_ended(acted(changed=False), WANTED, {}, "drc", {})["changed"] is False


def test_a_host_that_could_not_be_read_is_open() -> None:
    ended = lpse_dr_halt_ended(acted(), WANTED, {"drc-app": "timed out"}, "drc", {})
    assert ended["verdict"] == "INCOMPLETE"
    assert ended["error"]["found"] == "drc-app: timed out"
    assert ended["error"]["todo"] == "lpse-dr replication halt --at drc"
    assert ended["figures"]["open"] == ["drc-app"]


def test_a_host_that_failed_is_open() -> None:
    left = {"drc-gateway": {"id": "replication.foreign_table", "found": "somebody else's", "step": "block"}}
    ended = lpse_dr_halt_ended(acted(left=left), WANTED, {}, "drc", {})
    assert (ended["verdict"], ended["error"]["id"]) == ("INCOMPLETE", "replication.left_open")


def test_where_every_host_refused_the_claim_nothing_was_changed() -> None:
    error = {"id": "operation.lock_free", "expected": "no other operation at work", "found": "run r8", "todo": "x"}
    refused = {
        "lpse_dr": {"began": 1.0, "steps": [step("claim", "host.claim", "drc-db", 0, ok=False)]},
        "left": dict.fromkeys(WANTED, error),
    }
    assert lpse_dr_halt_ended(refused, WANTED, {}, "drc", {}) == {
        "verdict": "REFUSED",
        "changed": False,
        "error": error,
        "figures": {},
    }


def test_a_conductor_that_could_not_begin_has_changed_nothing() -> None:
    failed = {"failed": True, "msg": "no", "error": {"id": "journal.unwritable", "found": "disk full"}}
    ended = lpse_dr_halt_ended(failed, WANTED, {}, "drc", {})
    assert (ended["verdict"], ended["error"]["id"]) == ("REFUSED", "journal.unwritable")


@pytest.mark.parametrize(
    ("point", "since", "margin", "said"),
    [
        ("2026-11-20T00:00:00Z", "2026-11-24T00:00:00Z", 259200, "yes"),
        ("2026-11-21T00:00:00Z", "2026-11-24T00:00:00Z", 259200, "no"),
        ("2026-11-20T23:59:59Z", "2026-11-24T00:00:00Z", 259200, "yes"),
        ("2026-11-20T07:59:59Z", "2026-11-24T08:00:00+08:00", 0, "yes"),
        ("2026-11-24T00:00:01Z", "2026-11-24T08:00:00+08:00", 0, "no"),
        (None, "2026-11-24T00:00:00Z", 0, "unknown"),
        ("2026-11-20T00:00:00Z", "yesterday", 0, "unknown"),
        ("2026-11-20T00:00:00", "2026-11-24T00:00:00Z", 0, "unknown"),
    ],
)
def test_the_point_against_the_first_sign(point: Any, since: str, margin: int, said: str) -> None:
    assert before_infection(point, since, margin) == said


@pytest.mark.parametrize(
    ("slot", "seconds"),
    [
        ({"limit_bytes": 1000, "bytes_per_second": 10}, 100),
        ({"limit_bytes": 1000, "bytes_per_second": 10, "retained_bytes": 900}, 10),
        ({"limit_bytes": 1000, "bytes_per_second": 10, "retained_bytes": 2000}, 0),
        ({"limit_bytes": 1000, "bytes_per_second": 10, "wal_status": "lost"}, 0),
        ({"limit_bytes": None, "bytes_per_second": 10}, None),
        ({"limit_bytes": 1000, "bytes_per_second": None}, None),
        ({}, None),
    ],
)
def test_how_long_a_slot_lasts(slot: dict[str, Any], seconds: float | None) -> None:
    assert lost_in(slot) == seconds


def test_the_active_site_knows_better_than_the_standby() -> None:
    source = {"slots": [{"slot_name": "lpse_dr_drc", "retained_bytes": 400, "wal_status": "reserved"}]}
    known = slot_figure(SLOT, "x", source, "lpse_dr_drc")
    assert (known["known_by"], known["retained_bytes"], known["lost_in_seconds"]) == ("active site", 400, 60)
    lately = slot_figure({**SLOT, "lately_bytes": 200, "lately_seconds": 2}, "x", None, "lpse_dr_drc")
    assert (lately["bytes_per_second"], lately["lost_in_seconds"]) == (100, 10)
    assert slot_figure({**SLOT, "in_seconds": 0.5}, "x", None, "lpse_dr_drc")["lost_in_seconds"] is None


def test_a_resume_that_failed_is_finished_by_the_same_command() -> None:
    report: dict[str, Any] = {
        "began": 100.0,
        "steps": [step("claim", "host.claim", "drc-db", 0.2), step("resume", "database.resume", "drc-db", 0.5)],
    }
    failed = {
        "failed": True,
        "lpse_dr": report,
        "error": {"id": "database.not_streaming", "found": "no receiver", "todo": "x"},
    }
    ended = lpse_dr_resume_ended(failed, "drc")
    assert (ended["verdict"], ended["changed"]) == ("INCOMPLETE", True)
    assert ended["error"]["todo"] == "lpse-dr replication resume --at drc"
    refused = {**failed, "lpse_dr": {"steps": [step("claim", "host.claim", "drc-db", 0.2, ok=False)]}}
    assert lpse_dr_resume_ended(refused, "drc")["verdict"] == "REFUSED"
    report["steps"].append(step("caught_up", "database.await_replay", "drc-db", 0.9))
    done = {"lpse_dr": report}
    assert lpse_dr_resume_ended(done, "drc")["figures"]["caught_up_seconds"] == 1.0

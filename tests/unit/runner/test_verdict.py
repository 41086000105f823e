"""What a run's events make of its verdict, without running anything."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.runner.events import translate
from lpse_dr.runner.verdict import Facts, judge

Event = dict[str, Any]

GUARD: Event = {"kind": "phase", "phase": "guard", "at": "2026-01-01T00:00:00Z"}
SWITCH: Event = {"kind": "phase", "phase": "switch", "at": "2026-01-01T00:00:01Z"}
FIRED: Event = {"kind": "fired"}
CHANGED: Event = {"kind": "task", "outcome": "changed", "host": "a", "task": "t"}
FAILED: Event = {"kind": "task", "outcome": "failed", "host": "a", "task": "t", "message": "no"}
IGNORED: Event = {**FAILED, "ignored": True}
GONE: Event = {"kind": "task", "outcome": "unreachable", "host": "a", "message": "timed out"}
STEPS: Event = {"kind": "steps", "steps": [{"ok": True, "result": {"changed": True}}], "fired": False}


def _verdict(name: str, **more: Any) -> Event:
    return {"kind": "verdict", "verdict": name, **more}


@pytest.mark.parametrize(
    ("events", "code", "verdict", "identity"),
    [
        ([], 0, "REFUSED", "run.no_verdict"),
        ([GUARD, FAILED], 2, "REFUSED", "task.failed"),
        ([GUARD, GONE], 4, "REFUSED", "host.unreachable"),
        ([GUARD, IGNORED], 2, "REFUSED", "ansible.stopped"),
        ([GUARD, SWITCH, FAILED], 2, "UNKNOWN", "task.failed"),
        ([GUARD, SWITCH], 0, "UNKNOWN", "run.no_verdict"),
        ([GUARD, CHANGED, FAILED], 2, "UNKNOWN", "task.failed"),
        ([GUARD, STEPS, FAILED], 2, "UNKNOWN", "task.failed"),
        ([FIRED], None, "UNKNOWN", "ansible.stopped"),
        ([GUARD, _verdict("COMPLETED", changed=True)], 0, "COMPLETED", None),
        ([GUARD, SWITCH, _verdict("COMPLETED"), FAILED], 2, "INCOMPLETE", "task.failed"),
        ([GUARD, SWITCH, FAILED, _verdict("ROLLED_BACK", error={"id": "x"})], 2, "ROLLED_BACK", "x"),
        ([_verdict("MAYBE")], 0, "REFUSED", "run.no_verdict"),
    ],
)
def test_verdict(events: list[Event], code: int | None, verdict: str, identity: str | None) -> None:
    facts = Facts()
    for event in events:
        facts.add(event)
    judged = judge(facts, return_code=code, cancelled=False, changes=True, command="lpse-dr switchover")
    assert judged["verdict"] == verdict
    assert (judged["error"] or {}).get("id") == identity
    if verdict == "REFUSED":
        assert judged["changed"] is False


def test_reading_operations_never_leave_anything_unknown() -> None:
    facts = Facts()
    facts.add(GONE)
    judged = judge(facts, return_code=4, cancelled=False, changes=False, command="lpse-dr status")
    assert judged["verdict"] == "REFUSED"
    assert judge(Facts(), return_code=0, cancelled=False, changes=False, command="")["verdict"] == "COMPLETED"


@pytest.mark.parametrize(
    ("message", "identity"),
    [
        ("Failed to connect: Host key verification failed.", "host.key_unknown"),
        ("lpse-dr@10.0.0.1: Permission denied (publickey).", "host.login_refused"),
        ("Missing sudo password", "host.no_sudo"),
        ("sudo: a password is required", "host.no_sudo"),
        ("Attempting to decrypt but no vault secrets found", "vault.locked"),
        ("Connection refused", "host.unreachable"),
    ],
)
def test_cause_is_named(message: str, identity: str) -> None:
    facts = Facts()
    facts.add({**GONE, "message": message})
    judged = judge(facts, return_code=4, cancelled=False, changes=True, command="x")
    assert judged["error"]["id"] == identity


def _runner_event(name: str, result: Event, **more: Any) -> Event:
    return {
        "event": name,
        "created": "2026-01-01T00:00:00+00:00",
        "event_data": {"host": "h", "task": "t", "res": result, **more},
    }


def test_events_are_translated() -> None:
    event = _runner_event("runner_on_ok", {"lpse_dr": {"kind": "phase", "phase": "guard"}, "changed": False})
    assert translate(event)[0] == {"kind": "phase", "phase": "guard", "at": "2026-01-01T00:00:00Z"}
    reading = _runner_event("runner_on_ok", {"reading": {"host": "h"}})
    assert [item["kind"] for item in translate(reading)] == ["reading", "task"]
    asked_again = _runner_event("runner_retry", {"lpse_dr": {"kind": "job", "phase": "copy"}, "attempts": 2})
    assert [item["kind"] for item in translate(asked_again)] == ["job"]
    assert translate(_runner_event("runner_retry", {"attempts": 2})) == []
    failed = _runner_event("runner_on_failed", {"error": {"id": "db.down", "found": "down"}, "msg": "long"})
    assert translate(failed)[0]["message"] == "db.down: down"
    loop = _runner_event("runner_on_ok", {"results": [{"lpse_dr": {"kind": "phase"}}], "changed": True})
    assert translate(loop) == []
    hidden = _runner_event("runner_on_failed", {"censored": "hidden"}, ignore_errors=True)
    assert (translate(hidden)[0]["message"], translate(hidden)[0]["ignored"]) == ("hidden", True)
    assert translate({"event": "runner_on_start"}) == []
    error = {"event": "error", "stdout": "\x1b[0;31m[ERROR]: broken\x1b[0m\r\n\r\nPLAY [x] ****"}
    assert [item["text"] for item in translate(error)] == ["[ERROR]: broken"]

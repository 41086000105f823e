"""From what happened and what is read afterwards to one of five verdicts, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.plugins.filter.lpse_dr import lpse_dr_outcome
from lpse_dr.plugins.module_utils.lpse_dr_guards.verdicts import judge

ERROR = {"id": "x", "expected": "a", "found": "b", "todo": ""}


def outcome(**values: Any) -> dict[str, Any]:
    return {"reread": True, "fired": False, "error": None, "lost": False, "open_ends": [], **values}


@pytest.mark.parametrize(
    ("happened", "stage", "verdict"),
    [
        (outcome(), "done", "COMPLETED"),
        (outcome(), "finish", "INCOMPLETE"),
        (outcome(), "blocked", "INCOMPLETE"),
        (outcome(), None, "INCOMPLETE"),
        (outcome(reread=False, error=ERROR), None, "REFUSED"),
        (outcome(error=ERROR), "ready", "ROLLED_BACK"),
        (outcome(error=ERROR), "continue", "INCOMPLETE"),
        (outcome(error=ERROR), "blocked", "INCOMPLETE"),
        (outcome(error=ERROR), None, "INCOMPLETE"),
        (outcome(error=ERROR, open_ends=[{"host": "pdc-db"}]), "ready", "INCOMPLETE"),
        (outcome(error=ERROR, fired=True), "finish", "INCOMPLETE"),
        (outcome(error=ERROR, fired=True), "done", "INCOMPLETE"),
        (outcome(error=ERROR, fired=True, lost=True), "blocked", "UNKNOWN"),
        (outcome(error=ERROR, fired=True, lost=True), None, "UNKNOWN"),
        (outcome(error=ERROR, fired=True, lost=True), "finish", "INCOMPLETE"),
        (outcome(error=ERROR, lost=True), "ready", "ROLLED_BACK"),
    ],
)
def test_verdict(happened: dict[str, Any], stage: str | None, verdict: str) -> None:
    found, _, error = judge(happened, {"stage": stage} if stage else {})
    assert found == verdict
    assert (error is None) == (verdict == "COMPLETED")


def test_what_is_left_open_is_named() -> None:
    _, _, error = judge(outcome(), {"stage": "finish", "open": ["pdc is no standby yet"]})
    assert error is not None
    assert error["found"] == "pdc is no standby yet"


@pytest.mark.parametrize(
    ("task", "result"),
    [
        (
            "Guard | All guards",
            {"refused": [{"guard_id": "database.lag", "host": "drc-db", "expected": "e", "found": "f"}]},
        ),
        ("Switchover | Move", {"error": ERROR, "failed_step": "claim"}),
        ("Switchover | Move", {"error": ERROR, "failed_step": "", "lost": True}),
    ],
)
def test_a_no_before_the_claim_changed_nothing(task: str, result: dict[str, Any]) -> None:
    happened = lpse_dr_outcome({"failed": True, **result}, task, {})
    assert not happened["reread"]
    assert happened["error"]["id"] in ("database.lag", "x")
    assert judge(happened, {})[0] == "REFUSED"


def test_a_failure_in_the_critical_section_carries_its_cause_and_whether_it_had_fired() -> None:
    failed = {"failed": True, "fired": True, "lost": True, "error": ERROR, "open_ends": [], "failed_step": "promote"}
    happened = lpse_dr_outcome(failed, "Switchover | Move", {})
    assert happened["fired"]
    assert happened["lost"]
    assert happened["error"]["found"] == "b"


def test_a_failure_after_the_switch_is_never_a_rollback() -> None:
    happened = lpse_dr_outcome({"failed": True, "error": ERROR}, "Prove | x", {"fired": True})
    assert judge(happened, {"stage": "ready"})[0] == "INCOMPLETE"

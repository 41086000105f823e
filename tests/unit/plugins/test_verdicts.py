"""From what happened and what is read afterwards to one of five verdicts, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.plugins.filter.lpse_dr import lpse_dr_failover_figures, lpse_dr_outcome
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
        (outcome(error=ERROR), "gone", "ROLLED_BACK"),
        (outcome(error=ERROR), "living", "ROLLED_BACK"),
        (outcome(error=ERROR, open_ends=["power fence"]), "living", "INCOMPLETE"),
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
        # The standby was made by the same run: that is not taken back, and "nothing was changed" would be wrong.
        (outcome(reread=False, error=ERROR, prepared=True), None, "INCOMPLETE"),
        (outcome(error=ERROR, prepared=True), "ready", "INCOMPLETE"),
        (outcome(prepared=True), "done", "COMPLETED"),
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


def test_guards_that_say_no_after_the_power_was_cut_did_not_leave_everything_as_it_was() -> None:
    refused = [{"guard_id": "failover.proof", "expected": "a", "found": "b", "todo": "c", "data": {}}]
    before = lpse_dr_outcome({"refused": refused}, "Guard | Ask all guards before anything changes", {})
    after = lpse_dr_outcome({"refused": refused}, "Fence | Ask the guards again", {})
    assert (before["reread"], before["open_ends"]) == (False, [])
    assert (after["reread"], after["open_ends"]) == (True, ["power fence"])
    assert judge(before, {})[0] == "REFUSED"
    assert judge(after, {"stage": "gone"})[0] == "INCOMPLETE"


def test_figures_of_a_failover_are_what_it_came_to() -> None:
    assert lpse_dr_failover_figures({}, "drc") == {}
    moved = {
        "answers": {
            "begin": {"drc-db": {"epoch": 4, "receive_lsn": "0/5", "replay_lsn": "0/5", "proof": "power"}},
            "list_documents": {"drc-app": {"epoch": 4, "checked": 9, "absent": 2, "different": 1}},
            "advance_sequences": {"drc-db": {"changed": True, "sequences": {"s": {"from": 1, "to": 2}}}},
        },
        "excused": [{"host": "pdc-app", "step": "stop_old_application", "error": {}}],
    }
    assert lpse_dr_failover_figures(moved, "drc") == {
        "epoch": 4, "receive_lsn": "0/5", "replay_lsn": "0/5", "proof": "power", "documents_checked": 9, "documents_absent": 2,
        "documents_different": 1, "documents_list": "drc: /var/lib/lpse-dr/failover-4-documents.json",
        "sequences": {"s": {"from": 1, "to": 2}}, "not_done_at": ["pdc-app: stop_old_application"],
    }  # fmt: skip

"""The stage of a switch-over is read from the hosts, at every border where a run can have been killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import evaluate

from . import pair
from .pair import BORDERS, Facts, healthy, killed_after, put, reversed_order

# Border, stage of the same command again, its epoch, stage of the command in the other direction.
AFTER_KILL = [
    (pair.lock, "ready", 4, "finish"),
    (pair.arm, "ready", 4, "finish"),
    (pair.hold, "ready", 4, "finish"),
    (pair.stop_application, "ready", 4, "finish"),
    (pair.fence, "ready", 4, "finish"),
    (pair.stop_source, "continue", 4, "blocked"),
    (pair.fire, "continue", 4, "blocked"),
    (pair.promote, "finish", 4, "blocked"),
    (pair.release, "finish", 4, "blocked"),
    (pair.dns, "finish", 4, "blocked"),
    (pair.start_standby, "finish", 4, "ready"),
    (pair.drop_slot, "finish", 4, "ready"),
    (pair.close, "finish", 4, "ready"),
    (pair.unlock, "done", 4, "ready"),
]


def test_every_border_is_in_the_table() -> None:
    assert [row[0] for row in AFTER_KILL] == BORDERS


@pytest.mark.parametrize(("border", "stage", "epoch", "_other"), AFTER_KILL)
def test_the_same_command_goes_on_after_a_kill(
    border: Callable[[Facts], None], stage: str, epoch: int, _other: str
) -> None:
    found = evaluate(killed_after(border))
    assert (found.stage, [(guard.guard_id, guard.found) for guard in found.refused]) == (stage, [])
    assert found.epoch_target == epoch
    assert found.operation_number == 9
    assert bool(found.open) == (stage == "finish")


@pytest.mark.parametrize(("border", "_stage", "_epoch", "other"), AFTER_KILL)
def test_the_other_direction_after_a_kill(
    border: Callable[[Facts], None], _stage: str, _epoch: int, other: str
) -> None:
    found = evaluate(reversed_order(killed_after(border)))
    assert found.stage == other
    if other == "blocked":
        assert found.refused
    if other == "finish":
        assert found.epoch_target == 3  # called off: the epoch is not raised


@pytest.mark.parametrize(("border", "_stage", "_epoch", "_other"), AFTER_KILL)
def test_status_names_a_direction_at_every_border(
    border: Callable[[Facts], None], _stage: str, _epoch: int, _other: str
) -> None:
    found = evaluate({**killed_after(border), "purpose": "status", "from": None, "to": None})
    early = BORDERS.index(border) < BORDERS.index(pair.stop_source)
    assert (found.from_site, found.to_site) == (("drc", "pdc") if early else ("pdc", "drc"))
    assert found.stage in ("finish", "continue", "done")


def test_status_of_a_healthy_pair_is_done() -> None:
    found = evaluate({**healthy(), "purpose": "status", "from": None, "to": None})
    assert (found.stage, found.to_site, found.open) == ("done", "pdc", [])


def test_what_is_open_is_named_until_nothing_is() -> None:
    left = [{item.open_id for item in evaluate(killed_after(border)).open} for border in BORDERS[7:]]
    assert left[0] >= {
        "database.streaming",
        "gateway.release",
        "dns.point",
        "epoch.commit",
        "epoch.prepared",
        "epoch.fired",
        "operation.close",
        "database.disarm",
    }
    assert "gateway.release" not in left[1]
    assert "dns.point" not in left[2]
    assert "database.streaming" not in left[3] and "database.old_slot" in left[3]
    assert "database.old_slot" not in left[4]
    assert left[5] == {"operation.close"}
    assert left[6] == set()


def change(base: Callable[[], Facts], *changes: tuple[str, str, Any]) -> Facts:
    facts = base()
    for host, path, value in changes:
        put(facts, host, path, value)
    return facts


def stopped() -> Facts:
    return killed_after(pair.stop_source)


def source_came_back_read_only() -> Facts:
    """Its host lost power after the stop, and the fence did what it is for."""
    facts = stopped()
    standby = pair.database("drc")
    standby["receiver"] = None
    standby["lsn"] = {"current": None, "receive": None, "replay": "0/80000A0"}
    return put(facts, "pdc-db", "database", standby)


def promoted() -> Facts:
    return killed_after(pair.promote)


OLD = {"number": 2, "run": "r2", "epoch": 2, "site": "drc", "control": {}, "at": "x"}
# What is left when somebody else, or fate, had a hand in it.
TABLE: list[tuple[str, Facts, str]] = [
    ("both writable", change(healthy, ("drc-db", "database.in_recovery", False), ("drc-db", "database.writable", True)), "blocked"),
    ("the source came back writable after the promotion", change(promoted, ("pdc-db", "database", pair.database("pdc"))), "blocked"),
    ("both read-only, nothing planned", change(healthy, ("pdc-db", "database.in_recovery", True), ("pdc-db", "database.writable", False)), "blocked"),
    ("both read-only after a planned stop", source_came_back_read_only(), "continue"),
    ("both read-only, and the source has more", change(source_came_back_read_only, ("pdc-db", "database.lsn.replay", "0/9000000")), "blocked"),
    ("stopped by somebody, not fenced", change(stopped, ("pdc-db", "database.standby_signal", False)), "blocked"),
    ("stopped as a standby", change(stopped, ("pdc-db", "database.control.state", "shut down in recovery")), "blocked"),
    ("the source crashed", change(stopped, ("pdc-db", "database.control.state", "in production")), "blocked"),
    ("the target lacks the end", change(stopped, ("drc-db", "database.lsn.replay", "0/8000000"), ("drc-db", "database.lsn.receive", "0/8000000")), "blocked"),
    ("received, not yet replayed", change(stopped, ("drc-db", "database.lsn.replay", "0/8000000")), "continue"),
    ("a server that does not answer may write", change(promoted, ("pdc-db", "database.writable", None)), "blocked"),
    ("no control file read", change(stopped, ("pdc-db", "database.control", None)), "blocked"),
    ("standby down", change(healthy, ("drc-db", "database.running", False), ("drc-db", "database.writable", False)), "blocked"),
    ("running, neither writable nor in recovery", change(healthy, ("pdc-db", "database.writable", False)), "blocked"),
    ("words instead of truth values", change(healthy, ("pdc-db", "database.writable", "false")), "blocked"),
    ("the target is writable and no epoch says why", change(promoted, ("drc-db", "state.prepared", None), ("drc-db", "state.fired", None)), "blocked"),
    ("both read-only, and what was fired is long past", change(source_came_back_read_only, ("drc-db", "state.prepared", None), ("drc-db", "state.fired", OLD)), "blocked"),
    ("the target is writable, and what was fired is long past", change(promoted, ("drc-db", "state.prepared", None), ("drc-db", "state.fired", OLD)), "blocked"),
    ("no epoch was ever written, target active", reversed_order(change(healthy, *[(host, "state.epoch", None) for host in pair.HOSTS])), "finish"),
    ("no epoch was ever written, source active", change(healthy, *[(host, "state.epoch", None) for host in pair.HOSTS]), "ready"),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "facts", "stage"), TABLE, ids=[row[0] for row in TABLE])
def test_stage(_name: str, facts: Facts, stage: str) -> None:
    found = evaluate(facts)
    assert found.stage == stage
    assert stage != "blocked" or found.refused


def test_an_unread_database_blocks_whatever_else_is_known() -> None:
    for border in BORDERS:
        for host in ("pdc-db", "drc-db"):
            facts = killed_after(border)
            del facts["readings"][host]
            facts["unreachable"] = {host: "Connection timed out"}
            found = evaluate(facts)
            assert found.stage == "blocked"
            assert ("host.reachable", host) in {(guard.guard_id, guard.host) for guard in found.refused}


def test_replay_that_is_not_through_is_a_guard_not_a_stage() -> None:
    found = evaluate(change(stopped, ("drc-db", "database.lsn.replay", "0/8000028")))
    assert found.stage == "continue"
    assert [guard.guard_id for guard in found.refused] == ["database.target_has_all"]

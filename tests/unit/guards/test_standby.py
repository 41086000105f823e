"""Which way a site becomes a standby again, and what speaks against it: tables over what was read of a lab."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import evaluate
from lpse_dr.plugins.module_utils.lpse_dr_guards.model import View
from lpse_dr.plugins.module_utils.lpse_dr_guards.standby import way_of

# pdc was killed under load, drc took over, pdc's power came back: it reads, on its old timeline, past the fork.
RECORDED = Path(__file__).with_name("recorded_lost") / "power_on_again.json"
Facts = dict[str, Any]
Change = Callable[[Facts], None]


@pytest.fixture(scope="module")
def recorded() -> Facts:
    found: Facts = json.loads(RECORDED.read_text())
    return found


def old(facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = facts["readings"]["pdc-db"]["database"]
    return found


def new(facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = facts["readings"]["drc-db"]["database"]
    return found


def below_fork(facts: Facts) -> None:
    """It ends exactly at the fork: all that it wrote was received."""
    old(facts)["standby"]["end_lsn"] = new(facts)["timeline_history"][-1]["lsn"]


def one_byte_past(facts: Facts) -> None:
    high, low = new(facts)["timeline_history"][-1]["lsn"].split("/")
    old(facts)["standby"]["end_lsn"] = f"{high}/{int(low, 16) + 1:X}"


def cleanly_down(facts: Facts) -> None:
    """A clean shutdown proves nothing."""
    one_byte_past(facts)
    old(facts).update(running=False, writable=False, in_recovery=None, receiver=None)
    old(facts)["control"]["state"] = "shut down"


def end_unknown(facts: Facts) -> None:
    old(facts)["standby"]["end_lsn"] = None


def big(facts: Facts) -> None:
    """Much to copy anew, little to wind back."""
    new(facts)["standby"]["data_bytes"] = 500 << 30


def thin_log(facts: Facts) -> None:
    """A fat log makes winding back dearer than a copy."""
    new(facts)["standby"].update(data_bytes=1 << 30, wal_bytes=4 << 30)


def no_hints(facts: Facts) -> None:
    big(facts)
    old(facts)["standby"]["hints"] = False


def no_access(facts: Facts) -> None:
    big(facts)
    old(facts)["standby"].update(rewind_ok=False, rewind_error="no pg_hba.conf entry")


def log_recycled(facts: Facts) -> None:
    big(facts)
    new(facts)["standby"]["oldest_wal_lsn"] = "F/0"


def rewind_failed(facts: Facts) -> None:
    big(facts)
    old(facts)["standby"]["record"] = {"rewind_failed": "could not find previous WAL record"}


def foreign_timeline(facts: Facts) -> None:
    old(facts)["control"]["timeline"] = 77


def followed_before_it_was_stopped(facts: Facts) -> None:
    """Its last checkpoint is of the old timeline; what it has received since is of the new one, from who is active now."""
    old(facts).update(running=False, writable=False, in_recovery=None, receiver=None)
    old(facts)["control"].update(state="shut down in recovery", min_recovery_timeline=new(facts)["timeline"])
    old(facts)["standby"]["end_lsn"] = new(facts)["lsn"]["current"]


def no_data(facts: Facts) -> None:
    old(facts).update(control=None, running=False, writable=False, in_recovery=None, receiver=None)
    old(facts)["standby"].update(exists=False, data_bytes=None, end_lsn=None)


def follows(facts: Facts) -> None:
    old(facts).update(timeline=new(facts)["timeline"], receiver={"status": "streaming"})


def seed(facts: Facts) -> None:
    facts["purpose"] = "seed"


def seed_of_a_standby(facts: Facts) -> None:
    """What is asked for is there."""
    follows(facts)
    seed(facts)


def half_done(facts: Facts) -> None:
    big(facts)
    old(facts)["standby"]["record"] = {"phase": "ready", "way": "seed", "salvaged": 2}


def nothing(facts: Facts) -> None:
    """As it was read."""


WAYS: list[tuple[Change, str, str, bool]] = [
    (below_fork, "rejoin", "not_past", False),
    (one_byte_past, "seed", "fewer_bytes_seed", True),
    (cleanly_down, "seed", "fewer_bytes_seed", True),
    (end_unknown, "seed", "fewer_bytes_seed", True),
    (big, "rewind", "fewer_bytes", True),
    (thin_log, "seed", "fewer_bytes_seed", True),
    (no_hints, "seed", "no_rewind", True),
    (no_access, "seed", "no_rewind", True),
    (log_recycled, "seed", "no_rewind", True),
    (rewind_failed, "seed", "no_rewind", True),
    (followed_before_it_was_stopped, "rejoin", "not_past", False),
    (foreign_timeline, "seed", "no_fork", True),
    (no_data, "seed", "no_data", False),
    (follows, "none", "follows", False),
    (seed, "seed", "ordered", False),
    (seed_of_a_standby, "none", "follows", False),
    (half_done, "seed", "begun", True),
]


@pytest.mark.parametrize(("change", "way", "why", "salvage"), WAYS, ids=lambda item: getattr(item, "__name__", item))
def test_the_way_and_why(recorded: Facts, change: Change, way: str, why: str, salvage: bool) -> None:
    facts = copy.deepcopy(recorded)
    change(facts)
    found = way_of(View(facts, "drc", "pdc"))
    assert (found.way, found.why, found.salvage) == (way, why, salvage), found


def writes(facts: Facts) -> None:
    old(facts).update(running=True, writable=True, in_recovery=False)


def silent_server(facts: Facts) -> None:
    old(facts).update(running=True, writable=None, in_recovery=None)


def source_reads(facts: Facts) -> None:
    new(facts).update(writable=False, in_recovery=True)


def halted(facts: Facts) -> None:
    facts["readings"]["pdc-app"]["state"]["halted"] = {"site": "pdc", "at": "t", "by": "Budi", "reason": "ransomware"}


def other_major(facts: Facts) -> None:
    old(facts)["standby"]["major"] = 13


def other_system(facts: Facts) -> None:
    old(facts)["control"]["system_identifier"] = "7000000000000000001"


def small_disk(facts: Facts) -> None:
    old(facts)["standby"].update(free_bytes=64 << 20, next_bytes=0)


def no_sizes(facts: Facts) -> None:
    old(facts)["standby"]["free_bytes"] = None


def unknown_master(facts: Facts) -> None:
    old(facts)["standby"]["conninfo_host"] = None


def tablespaces(facts: Facts) -> None:
    new(facts)["standby"]["tablespaces"] = 2


def epoch_elsewhere(facts: Facts) -> None:
    for reading in facts["readings"].values():
        reading["state"]["epoch"] = {"number": 9, "site": "pdc"}


def at_work(facts: Facts) -> None:
    held = {"number": 50, "run": "r", "holder": "x@y pid 1 since 1", "open": True, "expires": facts["now"] + 1000}
    facts["readings"]["pdc-db"]["state"]["operation"] = held


REFUSALS: list[tuple[Change, str]] = [
    (writes, "site.not_split"),
    (silent_server, "standby.not_writable"),
    (source_reads, "standby.active"),
    (epoch_elsewhere, "standby.active"),
    (halted, "standby.clean"),
    (other_major, "standby.major"),
    (other_system, "standby.same_system"),
    (small_disk, "standby.room"),
    (no_sizes, "standby.room"),
    (unknown_master, "standby.conninfo"),
    (tablespaces, "standby.plain"),
    (at_work, "operation.free"),
]


def refused(facts: Facts) -> list[str]:
    return [guard.guard_id for guard in evaluate(facts).refused]


@pytest.mark.parametrize("purpose", ["failback", "seed"])
def test_as_it_was_read_nothing_speaks_against_it(recorded: Facts, purpose: str) -> None:
    facts = {**copy.deepcopy(recorded), "purpose": purpose}
    assert refused(facts) == []
    found = evaluate(facts)
    assert found.stage == "prepare"
    assert found.loss is not None
    assert found.loss["way"] in ("rewind", "seed")


@pytest.mark.parametrize(("change", "guard_id"), REFUSALS, ids=lambda item: getattr(item, "__name__", item))
def test_bad_input_is_refused_by_its_guard(recorded: Facts, change: Change, guard_id: str) -> None:
    facts = copy.deepcopy(recorded)
    change(facts)
    assert guard_id in refused(facts)


def test_another_system_may_be_replaced_where_a_base_backup_is_ordered(recorded: Facts) -> None:
    facts = {**copy.deepcopy(recorded), "purpose": "seed"}
    other_system(facts)
    assert refused(facts) == []


def test_every_sentence_of_a_refusal_is_filled(recorded: Facts) -> None:
    for change, _guard_id in REFUSALS:
        facts = copy.deepcopy(recorded)
        change(facts)
        for guard in evaluate(facts).refused:
            assert all(guard[3:6]), guard
            assert "{" not in "".join(guard[3:6]), guard

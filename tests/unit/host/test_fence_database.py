"""The guard of a database on a real cluster: it dies, is opened, is called off, is stopped when another site has won."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, database_power, fence_record
from lpse_dr.plugins.module_utils.lpse_dr_host import fence_rules as rules
from lpse_dr.plugins.module_utils.lpse_dr_host.fence_database import DatabaseGuard
from lpse_dr.plugins.module_utils.lpse_dr_host.fence_opening import control_state
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site, as_user

pair = database_sites.pair
PERMIT = rules.Verdict(rules.PERMIT, "drc-db: epoch 2 of pdc is the newest")
SILENCE = rules.Verdict(rules.NONE, "nobody answers")


class Watched:
    """pdc with its guard; what the other site says is in ``says``."""

    def __init__(self, site: Site, grant_seconds: float = 30.0) -> None:
        self.site = site
        self.says = PERMIT
        self.asked = 0
        settings = {"host": "pdc-db", "site": "pdc", "config": site.config, "grant_seconds": grant_seconds}
        self.guard = DatabaseGuard(settings, self._permission, lambda words: None)

    def _permission(self) -> rules.Verdict:
        self.asked += 1
        return self.says

    def until(self, phase: str, seconds: float = 15.0) -> None:
        """Let the guard look until it says ``phase``."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.guard.tick()
            if self.guard.phase == phase:
                return
            time.sleep(0.05)
        pytest.fail(f"{self.guard.phase}: {self.guard.why}; {self.guard.facts}")

    def kill(self) -> None:
        """End the server as a crash does."""
        as_user([*self.site.pg_ctl, "-m", "immediate", "stop"])

    @property
    def signal(self) -> bool:
        return (self.site.data / "standby.signal").exists()


def write_state(**parts: Any) -> None:
    with base.state_for_update() as state:
        state.update({"operation": None, "prepared": None, "fired": None, "lift": None, **parts})


@pytest.fixture
def watched(pair: tuple[Site, Site], tmp_path: Path) -> Iterator[Watched]:
    """The active primary of epoch 2, running and fenced."""
    pdc, _ = pair
    pdc.patch.setattr(base, "STATE_FOLDER", str(pdc.state_folder))
    pdc.patch.setattr(fence_record, "RUN_FOLDER", str(tmp_path))
    write_state(epoch={"number": 2, "site": "pdc", "at": "-"})
    found = Watched(pdc)
    found.until("open")
    yield found
    write_state(epoch={"number": 2, "site": "pdc", "at": "-"})
    pdc.config["database_start_command"] = [*pdc.pg_ctl, "-s", "start"]
    found.says = PERMIT
    if not control_state(str(pdc.data)).startswith("in "):
        found.guard.start()
    found.until("open")


def timeline(site: Site) -> str:
    return site.sql("SELECT timeline_id FROM pg_control_checkpoint()")


def test_an_active_primary_carries_the_signal_and_comes_back_after_a_crash_on_its_timeline(watched: Watched) -> None:
    assert watched.signal
    before = timeline(watched.site)
    watched.site.sql("CREATE TABLE kept (); SELECT pg_switch_wal()")
    watched.kill()
    watched.until("opening")
    watched.until("open")
    assert (timeline(watched.site), watched.signal) == (before, True)
    watched.site.sql("DROP TABLE kept")


def test_without_a_word_it_stays_read_only_and_asks_again_by_itself(watched: Watched) -> None:
    watched.says = SILENCE
    watched.kill()
    watched.until("read-only")
    asked = watched.asked
    ends = time.monotonic() + 2.5
    while time.monotonic() < ends:
        watched.guard.tick()
        time.sleep(0.1)
    assert watched.asked > asked
    assert watched.site.sql("SELECT pg_is_in_recovery()") == "t"
    assert watched.guard.why == "nobody answers"
    watched.says = PERMIT
    watched.until("open")


def test_a_loser_is_stopped_and_stays_down(watched: Watched) -> None:
    fence_record.adopt(3, "drc", "ns")
    watched.until("stopped")
    assert (watched.site.reading()["running"], watched.signal) == (False, True)
    watched.guard.tick()
    watched.guard.tick()
    assert watched.site.reading()["running"] is False


def test_a_permission_that_ends_before_the_database_is_open_opens_nothing(watched: Watched) -> None:
    """As during a crash recovery that takes longer: no server comes, and nobody permits any more."""
    watched.site.config["database_start_command"] = ["true"]
    slow = Watched(watched.site, grant_seconds=4.0)
    slow.guard.ran = True
    slow.says = SILENCE
    watched.kill()
    as_user([*watched.site.pg_ctl, "start"])
    slow.until("read-only")
    slow.says = PERMIT
    slow.until("opening")
    assert not slow.signal
    slow.says = SILENCE
    slow.until("read-only", 8.0)
    assert (slow.signal, slow.site.reading()["running"]) == (True, False)
    assert "the permission ended" in slow.guard.why


def test_a_lift_is_used_by_an_opening_and_not_by_a_start_that_failed(watched: Watched) -> None:
    lift = {"by": "budi", "reason": "x", "epoch": 2, "until": time.time() + 60, "used": None}
    watched.site.config["database_start_command"] = ["false"]
    watched.kill()
    as_user([*watched.site.pg_ctl, "start"])
    write_state(lift=lift)
    watched.until("read-only")
    assert rules.lift_holds(base.read_state(), time.time())
    assert watched.signal
    watched.site.config["database_start_command"] = [*watched.site.pg_ctl, "-s", "start"]
    watched.guard.start()
    watched.until("open")
    assert base.read_state()["lift"]["used"]
    assert not rules.lift_holds(base.read_state(), time.time())


def test_a_run_that_claims_the_host_meanwhile_is_not_overtaken(watched: Watched) -> None:
    """The permission came before the claim; the signal must still be there when the run looks, and the server come back after it."""
    watched.says = SILENCE
    watched.kill()
    watched.until("read-only")
    operation = {"number": 9, "run": "r9", "open": True, "expires": time.time() + 60}
    stop = database_power.stop
    claimed: list[bool] = []

    def claimed_while_stopping(ctx: Any, args: dict[str, Any]) -> dict[str, Any]:
        if not claimed:
            claimed.append(True)
            write_state(operation=operation)
        return stop(ctx, args)

    watched.site.patch.setattr(database_power, "stop", claimed_while_stopping)
    watched.says = PERMIT
    ends = time.monotonic() + 10
    while time.monotonic() < ends and not claimed:
        watched.guard.tick()
        time.sleep(0.1)
    assert claimed
    watched.site.patch.setattr(database_power, "stop", stop)
    for _ in range(3):
        watched.guard.tick()
    assert watched.signal
    assert watched.site.reading()["running"] is False
    write_state(operation={**operation, "open": False})
    watched.until("open")


def test_a_permission_that_comes_after_a_claim_stops_nothing(watched: Watched) -> None:
    watched.says = SILENCE
    watched.kill()
    watched.until("read-only")

    def claimed_while_asking() -> rules.Verdict:
        write_state(operation={"number": 9, "run": "r9", "open": True, "expires": time.time() + 60})
        return PERMIT

    watched.guard._permission = claimed_while_asking
    ends = time.monotonic() + 10
    while time.monotonic() < ends and not base.read_state()["operation"]:
        watched.guard.tick()
        time.sleep(0.1)
    assert (watched.signal, watched.site.reading()["in_recovery"]) == (True, True)
    watched.guard._permission = watched._permission


def test_a_signal_that_somebody_took_away_is_back_before_the_next_start(watched: Watched) -> None:
    watched.says = SILENCE
    as_user([*watched.site.pg_ctl, "-m", "fast", "stop"])
    (watched.site.data / "standby.signal").unlink()
    assert watched.guard.before_start() == "read-only: nobody answers"
    assert watched.signal
    watched.says = PERMIT
    assert watched.guard.before_start() == "writable: " + PERMIT.why
    assert not watched.signal
    as_user([*watched.site.pg_ctl, "start"])
    watched.until("open")
    assert watched.signal


def test_a_permission_is_for_one_start_also_when_nobody_looked_in_between(watched: Watched) -> None:
    as_user([*watched.site.pg_ctl, "-m", "fast", "stop"])
    assert watched.guard.before_start().startswith("writable")
    as_user([*watched.site.pg_ctl, "start"])
    watched.site.sql("SELECT pg_switch_wal()")
    as_user([*watched.site.pg_ctl, "-m", "immediate", "stop"])
    watched.says = SILENCE
    assert watched.guard.before_start() == "read-only: nobody answers"
    assert watched.signal


def test_a_start_that_failed_before_it_opened_anything_may_be_tried_again(watched: Watched) -> None:
    as_user([*watched.site.pg_ctl, "-m", "fast", "stop"])
    assert watched.guard.before_start().startswith("writable")
    watched.says = SILENCE
    assert watched.guard.before_start().startswith("writable")
    as_user([*watched.site.pg_ctl, "start"])
    watched.until("open")


def test_it_writes_down_in_which_epoch_it_took_writes(watched: Watched) -> None:
    held = base.read_state()["held"]
    assert (held["number"], held["site"]) == (2, "pdc")


def test_the_host_was_switched_off_in_the_middle_of_an_opening(watched: Watched, tmp_path: Path) -> None:
    """The signal was away for one start that never came: the next boot is fenced before anything can start."""
    as_user([*watched.site.pg_ctl, "-m", "fast", "stop"])
    (watched.site.data / "standby.signal").unlink()
    watched.site.patch.setattr(fence_record, "RUN_FOLDER", str(tmp_path / "next-boot"))
    Watched(watched.site)
    assert watched.signal

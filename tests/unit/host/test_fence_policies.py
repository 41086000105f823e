"""A whole guard on a real cluster whose other site never answers: what a person, and each policy, changes about that."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, fence_record
from lpse_dr.plugins.module_utils.lpse_dr_host.fence_guard import Guard
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site, as_user

pair = database_sites.pair
EPOCH = {"number": 2, "site": "pdc", "at": "-"}


@pytest.fixture
def settings(pair: tuple[Site, Site], tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What roles/fence writes, for the active primary; its one witness is a port at which nobody listens."""
    pdc, _ = pair
    pdc.patch.setattr(base, "STATE_FOLDER", str(pdc.state_folder))
    pdc.patch.setattr(fence_record, "RUN_FOLDER", str(tmp_path))
    pdc.patch.setattr(fence_record, "STATUS_FILE", str(tmp_path / "status.json"))
    with base.state_for_update() as state:
        # Whatever the test before has left: used up by the opening, or by being open.
        lift = {"by": "test", "epoch": 2, "until": time.time() + 60, "used": None}
        state.update({"operation": None, "epoch": EPOCH, "held": EPOCH, "lift": lift})
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        witness = {"host": "drc-db", "site": "drc", "role": "database", "address": "127.0.0.1", "port": port}
        yield {
            "host": "pdc-db", "site": "pdc", "role": "database", "config": pdc.config, "witnesses": [witness],
            "ask_seconds": 0.2, "grant_seconds": 30, "sole_survivor_minutes": 0, "lease_seconds": 0,
        }  # fmt: skip


def until(guard: Guard, phase: str, seconds: float = 15.0) -> None:
    assert guard.database is not None
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        guard.tick()
        if guard.database.phase == phase:
            return
        time.sleep(0.05)
    pytest.fail(f"{guard.database.phase}: {guard.database.why}")


def crashed(pdc: Site, settings: dict[str, Any]) -> Guard:
    guard = Guard(settings, b"k" * 32)
    until(guard, "open")
    as_user([*pdc.pg_ctl, "-m", "immediate", "stop"])
    return guard


def test_alone_it_waits_for_ever_unless_a_person_lifts(pair: tuple[Site, Site], settings: dict[str, Any]) -> None:
    guard = crashed(pair[0], settings)
    until(guard, "read-only")
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        guard.tick()
        assert guard.database is not None
        assert guard.database.phase == "read-only"
    with base.state_for_update() as state:
        state["lift"] = {"by": "budi", "reason": "x", "epoch": 2, "until": time.time() + 60, "used": None}
    until(guard, "open")
    assert base.read_state()["lift"]["used"]


def test_a_sole_survivor_starts_alone_after_its_time(pair: tuple[Site, Site], settings: dict[str, Any]) -> None:
    guard = crashed(pair[0], {**settings, "sole_survivor_minutes": 0.1})
    until(guard, "read-only")
    until(guard, "open")


def test_a_sole_survivor_with_an_old_copy_does_not(pair: tuple[Site, Site], settings: dict[str, Any]) -> None:
    guard = crashed(pair[0], {**settings, "sole_survivor_minutes": 0.001})
    with base.state_for_update() as state:
        state["held"] = {"number": 1, "site": "pdc"}
    until(guard, "read-only")
    ends = time.monotonic() + 2
    while time.monotonic() < ends:
        guard.tick()
    assert guard.database is not None
    assert "may be an old copy" in guard.database.why


def test_a_lease_that_nobody_renews_makes_it_read_only(pair: tuple[Site, Site], settings: dict[str, Any]) -> None:
    guard = Guard({**settings, "lease_seconds": 1}, b"k" * 32)
    until(guard, "open")
    until(guard, "read-only")
    assert pair[0].sql("SELECT pg_is_in_recovery()") == "t"

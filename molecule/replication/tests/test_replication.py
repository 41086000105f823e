"""Both streams move: what is written at pdc is at drc a moment later."""

from __future__ import annotations

import time
from typing import Any

PSQL = "cd / && runuser -u postgres -- psql -XAtq -d lpse_dr -c %s"


def test_the_standby_replays(on: Any) -> None:
    written = on("pdc-db").check_output(PSQL, "SELECT pg_current_wal_lsn()")
    behind = f"SELECT pg_wal_lsn_diff('{written}', pg_last_wal_replay_lsn()) <= 0"
    deadline = time.monotonic() + 10
    while on("drc-db").check_output(PSQL, behind) != "t" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert on("drc-db").check_output(PSQL, behind) == "t"


def test_both_sides_have_the_same_markers(on: Any) -> None:
    count = "SELECT count(*), max(id::text) FROM marker"
    assert on("pdc-db").check_output(PSQL, count) == on("drc-db").check_output(PSQL, count)


def test_the_periodic_pull_is_at_work(on: Any) -> None:
    assert on("drc-app").service("lpse-dr-files.timer").is_running

"""A halted side stands still in every respect, and says so; one that is not halted follows. Which of both, its own fact says."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

import pytest

PSQL = "cd / && runuser -u postgres -- psql -XAtq -d lpse_dr -c %s"
POSITION = "SELECT pg_last_wal_replay_lsn()"
TABLE = "lpse_dr_halt"


def state(host: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.file("/var/lib/lpse-dr/state.json").content_string)
    return found


@pytest.fixture(scope="module")
def halted(on: Any) -> bool:
    facts = {name: state(on(name)).get("halted") for name in ("drc-db", "drc-app", "drc-gateway")}
    assert len({fact is None for fact in facts.values()}) == 1, facts
    return facts["drc-db"] is not None


def test_the_active_side_knows_of_nothing(on: Any) -> None:
    assert [state(on(name)).get("halted") for name in ("pdc-db", "pdc-app", "pdc-gateway")] == [None] * 3


def test_replay_stands_still_or_follows(on: Any, halted: bool) -> None:
    before = on("drc-db").check_output(PSQL, POSITION)
    written = on("pdc-db").check_output(
        PSQL, "INSERT INTO probe VALUES (now(), 'test', 0) RETURNING pg_current_wal_lsn()"
    )
    time.sleep(1)
    after = on("drc-db").check_output(PSQL, POSITION)
    if halted:
        assert (before, after) == (after, state(on("drc-db"))["halted"]["point"]["lsn"])
    else:
        assert on("drc-db").check_output(PSQL, f"SELECT pg_wal_lsn_diff('{written}', '{after}') <= 0") == "t"
    assert on("drc-db").check_output(PSQL, "SELECT pg_is_in_recovery()") == "t"


def test_nothing_receives_or_one_does(on: Any, halted: bool) -> None:
    receiving = "SELECT count(*) FROM pg_stat_wal_receiver"
    assert on("drc-db").check_output(PSQL, receiving) == ("0" if halted else "1")
    conninfo = on("drc-db").check_output(PSQL, "SHOW primary_conninfo")
    assert bool(conninfo) is not halted
    pinned = on("drc-db").file("/var/lib/postgresql/15/main/postgresql.auto.conf").content_string
    assert ("recovery_target_lsn" in pinned) is halted
    assert on("drc-db").file("/var/lib/lpse-dr/database_halted.json").exists is halted


def test_documents_are_kept_away_or_come(on: Any, halted: bool) -> None:
    assert on("drc-app").file("/etc/lpse-dr/files-halted").exists is halted
    assert on("drc-app").service("lpse-dr-files.timer").is_running is not halted
    if halted:
        assert on("drc-app").run("pgrep -x rsync").rc == 1
        # The suspect side sees nobody of the halted one any more, not even for a look.
        since = datetime.datetime.fromisoformat(state(on("drc-app"))["halted"]["at"]).timestamp()
        address = on("drc-app").check_output("ip -4 -o route get 1.1.1.1 | sed 's/.* src //; s/ .*//'")
        logged = on("pdc-app").check_output("journalctl -q --no-pager -o cat --since @%s", str(int(since) + 1))
        assert f"from {address} " not in logged


@pytest.mark.parametrize(("here", "there"), [("drc-db", "pdc-db"), ("drc-app", "pdc-app")])
def test_the_path_is_closed_or_open(on: Any, halted: bool, here: str, there: str) -> None:
    port = 22 if here == "drc-app" else 5432
    address = on(there).check_output("ip -4 -o route get 1.1.1.1 | sed 's/.* src //; s/ .*//'")
    tried = on(here).run("timeout 1 bash -c '</dev/tcp/%s/%s'", address, str(port))
    assert (tried.rc == 0) is not halted
    assert (TABLE in on("drc-gateway").check_output("nft list tables")) is halted
    assert on("drc-gateway").file("/etc/lpse-dr/halt.nft").exists is halted

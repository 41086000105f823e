"""A real standby is halted while its primary writes, restarted with log that it has not replayed, and resumed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, database_halt, database_pin, replication
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.database_cluster import Cluster
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site

pair = database_sites.pair
POSITION = "SELECT pg_last_wal_replay_lsn()"


def ctx(site: Site, seconds: float = 20.0) -> Context:
    site.patch.setattr(base, "STATE_FOLDER", str(site.state_folder))
    return Context(site.site + "-db", site.site, site.config, site.operation, seconds, site.memory)


def mark(site: Site) -> dict[str, Any]:
    return replication.mark(ctx(site), {"site": site.site, "by": "tim", "reason": "virus"})


def still(site: Site, seconds: float = 0.5) -> None:
    context = ctx(site)
    database_halt.assert_still(context, replication.fact(), seconds)


def rows(site: Site, text: str) -> int:
    return int(site.sql(f"SELECT count(*) FROM probe WHERE site = '{text}'", "lpse_dr"))


def write(site: Site, text: str, count: int = 100) -> str:
    site.sql(f"INSERT INTO probe SELECT now(), '{text}', n FROM generate_series(1, {count}) AS n", "lpse_dr")
    return site.sql("SELECT pg_current_wal_lsn()")


@pytest.fixture
def halted(pair: tuple[Site, Site]) -> Any:
    """Halt the standby; afterwards it streams again whatever the test did."""
    pdc, drc = pair
    auto_conf = drc.auto_conf()
    since = {"lsn": drc.reading()["lsn"]["receive"], "clock": time.time() - 3}
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    mark(drc)
    yield pdc, drc, drc.call("halt", since=since)
    if drc.state()["halted"] is None:
        mark(drc)
    drc.call("resume")
    replication.unmark(ctx(drc), {})
    drc.call("await_streaming")
    assert drc.auto_conf() == auto_conf
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])


def test_nothing_is_halted_before_it_is_written_down(pair: tuple[Site, Site]) -> None:
    with pytest.raises(VerbError, match=r"replication\.not_marked"):
        pair[1].call("halt")


def test_the_point_stays_while_the_primary_writes(halted: tuple[Site, Site, dict[str, Any]]) -> None:
    pdc, drc, said = halted
    assert said["changed"] is True
    point = said["point"]
    assert drc.sql(POSITION) == point["lsn"]
    assert drc.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "0"
    write(pdc, "after")
    still(drc)
    assert rows(drc, "after") == 0
    assert drc.state()["halted"]["point"] == point
    assert point["at"].endswith("Z")
    assert said["slot"]["slot"] == "lpse_dr_drc"
    assert said["slot"]["lately_bytes"] > 0 and said["slot"]["lately_seconds"] >= 3
    again = drc.call("halt")
    assert (again["changed"], again["point"]) == (False, point)
    assert mark(drc)["changed"] is False


def test_a_restart_with_log_left_stays_at_the_point(pair: tuple[Site, Site]) -> None:
    """What was received and not replayed lies in pg_wal when the standby restarts: the pin keeps it from being replayed."""
    pdc, drc = pair
    drc.sql("SELECT pg_wal_replay_pause()")
    end = write(pdc, "received", 5000)
    deadline = time.monotonic() + 5
    while drc.sql(f"SELECT pg_last_wal_receive_lsn() >= '{end}'") != "t" and time.monotonic() < deadline:
        time.sleep(0.02)
    mark(drc)
    point = drc.call("halt")["point"]
    assert drc.sql(f"SELECT '{point['received_lsn']}'::pg_lsn > '{point['lsn']}'::pg_lsn") == "t"
    for way in (["-m", "fast", "restart"], ["-m", "immediate", "restart"]):
        Cluster(ctx(drc)).close_sessions()
        database_sites.as_user([*drc.pg_ctl, *way])
        time.sleep(0.5)
        still(drc)
        assert drc.sql(POSITION) == point["lsn"]
        assert rows(drc, "received") == 0
        assert drc.call("halt") == {"changed": False, "point": point, "slot": drc.state()["halted"]["slot"]}
    assert drc.call("resume")["changed"] is True
    drc.call("await_streaming")
    replication.unmark(ctx(drc), {})
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    assert rows(drc, "received") == 5000
    assert drc.sql("SELECT pg_is_in_recovery()") == "t"
    assert drc.auto_conf() == []


def test_no_verb_makes_a_halted_standby_move(halted: tuple[Site, Site, dict[str, Any]]) -> None:
    _, drc, _ = halted
    calls: list[tuple[str, dict[str, Any]]] = [("fire", {"epoch": 2, "site": "drc", "control": {}}), ("promote", {})]
    for verb, args in calls:
        with pytest.raises(VerbError) as refused:
            drc.call(verb, **args)
        assert refused.value.id == "replication.halted"
        assert refused.value.data["reason"] == "virus"
    # It is pinned: a start brings it up where it was.
    drc.call("stop")
    assert drc.call("start")["in_recovery"] is True
    still(drc)
    replication.note({"pinned": False})
    drc.call("stop")
    with pytest.raises(VerbError, match=r"replication\.halted"):
        drc.call("start")


def test_a_stopped_standby_is_pinned_in_its_file(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    write(pdc, "before")
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    drc.call("stop")
    mark(drc)
    said = drc.call("halt")
    assert said["changed"] is True
    still(drc)
    write(pdc, "late")
    assert drc.call("start")["in_recovery"] is True
    still(drc)
    assert drc.sql(POSITION) == said["point"]["lsn"]
    assert (rows(drc, "before"), rows(drc, "late")) == (100, 0)
    drc.call("resume")
    replication.unmark(ctx(drc), {})
    drc.call("await_streaming")
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    assert rows(drc, "late") == 100
    assert drc.auto_conf() == []


def test_a_conninfo_of_alter_system_comes_back_and_is_shown_to_nobody(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    secret = drc.sql("SHOW primary_conninfo") + " application_name='it''s'"
    drc.sql(f"ALTER SYSTEM SET primary_conninfo = $x${secret}$x$")
    drc.sql("SELECT pg_reload_conf()")
    time.sleep(0.3)
    mark(drc)
    said = drc.call("halt")
    assert "geheim" not in str(said) + str(drc.state())
    assert (drc.state_folder / "database_halted.json").stat().st_mode & 0o777 == 0o600
    drc.call("resume")
    assert drc.sql("SHOW primary_conninfo") == secret
    assert drc.call("resume")["changed"] is False
    replication.unmark(ctx(drc), {})
    drc.sql("ALTER SYSTEM RESET primary_conninfo")
    drc.sql("SELECT pg_reload_conf()")
    drc.call("await_streaming")
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])


def test_a_query_in_the_way_of_replay_does_not_keep_it_going(pair: tuple[Site, Site]) -> None:
    """With a snapshot in the way, replay waits inside of a record and does not look whether it should pause."""
    pdc, drc = pair
    pdc.sql("CREATE TABLE vacuumed AS SELECT n FROM generate_series(1, 1000) AS n", "lpse_dr")
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    session = Cluster(ctx(drc)).session("lpse_dr")
    session.query("BEGIN ISOLATION LEVEL REPEATABLE READ", 5)
    session.query("SELECT count(*) FROM vacuumed", 5)
    pdc.sql("DELETE FROM vacuumed", "lpse_dr")
    pdc.sql("VACUUM vacuumed", "lpse_dr")
    time.sleep(0.3)
    mark(drc)
    began = time.monotonic()
    drc.call("halt")
    assert time.monotonic() - began < 4
    still(drc)
    Cluster(ctx(drc)).close_sessions()
    drc.call("resume")
    replication.unmark(ctx(drc), {})
    drc.call("await_streaming")
    pdc.sql("DROP TABLE vacuumed", "lpse_dr")


def test_the_active_side_cannot_be_halted(pair: tuple[Site, Site]) -> None:
    pdc, _ = pair
    mark(pdc)
    with pytest.raises(VerbError, match=r"database\.is_standby"):
        pdc.call("halt")
    replication.unmark(ctx(pdc), {})
    assert pdc.auto_conf() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# head\nprimary_conninfo = 'host=a password=''x'''\n", {"primary_conninfo": "host=a password='x'"}),
        ("a = 'one'\na = 'two'\n", {"a": "two"}),
        ("a = ''\n", {"a": ""}),
        ("", {}),
    ],
)
def test_auto_conf_is_read_as_the_server_reads_it(text: str, found: dict[str, str]) -> None:
    assert database_pin.parse_auto_conf(text) == found

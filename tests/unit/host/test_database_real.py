"""The role of the primary moves between two real clusters."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.database_cluster import Cluster
from lpse_dr.plugins.module_utils.lpse_dr_host.database_reading import second_look
from lpse_dr.plugins.module_utils.lpse_dr_host.lsn import lsn_to_int
from lpse_dr.plugins.module_utils.lpse_dr_host.psql import SqlError
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site

pair = database_sites.pair


def switch(old: Site, new: Site) -> dict[str, Any]:
    """Move the primary from one to the other as the playbook orders it; return what each step answered."""
    took: dict[str, Any] = {}
    new.call("arm_target", slot="lpse_dr_" + old.site)
    old.call("checkpoint")
    old.call("warm")
    new.call("warm")
    began = time.monotonic()
    for site, verb in ((old, "fence"), (old, "stop")):
        at = time.monotonic()
        took[verb] = {**site.call(verb), "wall": time.monotonic() - at}
    at = time.monotonic()
    took["await_replay"] = new.call("await_replay", lsn=took["stop"]["control"]["checkpoint_lsn"])
    new.call("fire", epoch=2, site=new.site, control=took["stop"]["control"])
    took["fire_wall"] = time.monotonic() - at
    took["promote"] = new.call("promote")
    took["total"] = time.monotonic() - began
    old.call("start")
    took["rejoin"] = old.call("await_streaming", timeline=took["promote"]["timeline"])
    old.call("drop_slot", slot="lpse_dr_" + new.site)
    new.call("disarm_target", drop_slot="")
    new.call("clear_fired")
    return took


def test_status_of_primary_and_standby(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    first, second = pdc.reading(), drc.reading()
    assert (first["running"], first["writable"], first["in_recovery"], first["error"]) == (True, True, False, None)
    assert (second["running"], second["writable"], second["in_recovery"], second["error"]) == (
        True,
        False,
        True,
        None,
    )
    assert first["system_identifier"] == second["system_identifier"] == first["control"]["system_identifier"]
    assert first["timeline"] == second["timeline"]
    assert first["cluster_name"] == "pdc"
    assert second["standby_signal"] is True
    assert first["standby_signal"] is False
    assert second["receiver"]["status"] == "streaming"
    assert second["receiver"]["slot_name"] == "lpse_dr_drc"
    assert [sender["state"] for sender in first["senders"]] == ["streaming"]
    assert [(slot["slot_name"], slot["active"]) for slot in first["slots"]] == [("lpse_dr_drc", True)]
    assert first["checksums"] is True
    assert first["settings"]["max_connections"] == 100
    assert second["settings"]["primary_conninfo_host"] == pdc.config["database_socket_directory"]
    assert "geheim" not in str(pdc.call("status")["reading"]["database"])
    assert first["databases"] == ["lpse_dr", "postgres"]
    assert (first["prepared_transactions"], first["long_transactions"], first["backup_running"]) == (0, [], False)
    assert first["archiver"]["failing"] is False
    assert first["disk"]["free_bytes"] > 0
    proof = pdc.call("prove_write")
    drc.call("await_replay", lsn=proof["lsn"])
    # Asked at a quiet moment, a standby that has everything is zero seconds behind, however old its last row is.
    assert drc.reading()["lag_seconds"] == 0
    assert drc.reading()["lag_bytes"] == 0


def test_a_record_on_its_way_is_no_lag_and_one_that_stays_away_is(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    pdc.call("prove_write")
    time.sleep(2.5)  # the newest commit grows old
    drc.sql("SELECT pg_wal_replay_pause()")
    proof = pdc.call("prove_write")
    ends = time.monotonic() + 5
    while drc.sql(f"SELECT pg_last_wal_receive_lsn() >= '{proof['lsn']}'") != "t":
        assert time.monotonic() < ends
        time.sleep(0.05)
    try:
        # Paused it is as late as it looks; nobody waits for what does not come.
        late = drc.reading()
        assert (late["replay_paused"], late["lag_seconds"] > 2) == (True, True)
        soon = threading.Timer(0.3, lambda: drc.sql("SELECT pg_wal_replay_resume()"))
        soon.start()
        looked = dict(late, replay_paused=False)
        found = second_look(Cluster(Context("drc-db", "drc", drc.config)), looked)
        assert found is not None
        assert 0.2 < found < 1.5
        soon.join()
    finally:
        drc.sql("SELECT pg_wal_replay_resume()")


def test_a_marker_travels(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    name = "0b5a5e9e-5f0c-4d4f-8a60-6a8f1e0d2c11"
    assert pdc.call("write_marker", id=name)["changed"] is True
    assert drc.call("await_marker", id=name)["seconds"] < 5
    with pytest.raises(VerbError) as caught:
        drc.call("await_marker", 0.1, id=name.replace("0b5a", "ffff"))
    assert caught.value.id == "database.marker_missing"


def test_the_role_moves_there_and_back(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    pdc.sql("CREATE TABLE bid (n int)", "lpse_dr")
    for old, new in ((pdc, drc), (drc, pdc)):
        old.sql("INSERT INTO bid VALUES (1)", "lpse_dr")
        before = new.auto_conf()
        took = switch(old, new)
        assert took["stop"]["control"]["state"] == "shut down"
        assert took["promote"]["changed"] is True
        assert new.auto_conf() == before
        assert new.call("promote")["changed"] is False
        reading = new.reading()
        assert reading["writable"] is True
        assert reading["standby_signal"] is False
        assert [entry["timeline"] for entry in reading["timeline_history"]] == list(range(1, reading["timeline"]))
        standby = old.reading()
        assert standby["in_recovery"] is True
        assert standby["timeline"] == reading["timeline"]
        assert standby["timeline_history"] == reading["timeline_history"]
        assert standby["slots"] == []
        assert standby["lag_seconds"] == 0
        old.call("await_replay", lsn=new.call("prove_write")["lsn"])
        assert old.reading()["lag_seconds"] == 0
    assert pdc.sql("SELECT count(*) FROM bid", "lpse_dr") == "2"


def test_no_promotion_without_a_record_of_this_operation(pair: tuple[Site, Site]) -> None:
    _, drc = pair
    with pytest.raises(VerbError) as caught:
        drc.call("promote")
    assert caught.value.id == "database.not_fired"
    drc.call("fire", epoch=9, site="drc", control={})
    assert drc.call("fire", epoch=9, site="drc", control={})["changed"] is False
    drc.operation = {"number": 2, "run": "run-2"}
    try:
        with pytest.raises(VerbError) as caught:
            drc.call("promote")
        assert caught.value.id == "database.not_fired"
    finally:
        drc.operation = {"number": 1, "run": "run-1"}
    assert drc.call("clear_fired")["changed"] is True
    assert drc.reading()["in_recovery"] is True


def test_a_session_survives_a_refused_statement_and_is_reopened_after_an_unanswered_one(
    pair: tuple[Site, Site],
) -> None:
    pdc, _ = pair
    cluster = Cluster(Context("pdc-db", "pdc", pdc.config, memory=pdc.memory))
    with pytest.raises(SqlError) as caught:
        cluster.query("SELECT 1/0")
    assert (caught.value.id, caught.value.data["sqlstate"]) == ("database.sql_failed", "22012")
    session = cluster.session()
    assert cluster.query("SELECT E'a\\nb' UNION ALL SELECT NULL") == "a\nb\n"
    assert cluster.session() is session
    began = time.monotonic()
    with pytest.raises(SqlError) as caught:
        cluster.query("SELECT pg_sleep(30)", timeout_seconds=0.2)
    assert caught.value.id == "database.no_answer"
    assert time.monotonic() - began < 2
    assert cluster.query("SELECT 1") == "1"
    pdc.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lpse-dr'")
    with pytest.raises(SqlError) as caught:
        cluster.query("SELECT 1")
    assert caught.value.connection_lost
    assert cluster.query("SELECT 1") == "1"


def test_replay_that_never_comes_is_an_error_that_names_both_positions(pair: tuple[Site, Site]) -> None:
    _, drc = pair
    with pytest.raises(VerbError) as caught:
        drc.call("await_replay", 0.1, lsn="FFFF/0")
    assert caught.value.id == "database.replay_behind"
    assert lsn_to_int(caught.value.data["replay_lsn"]) > 0

"""Settings and slots on real clusters: what arming changes, disarming puts back exactly."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host.base import VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.database_cluster import Cluster
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site

pair = database_sites.pair


def test_arming_is_undone_exactly_and_survives_a_second_arming(pair: tuple[Site, Site]) -> None:
    _, drc = pair
    drc.sql("ALTER SYSTEM SET wal_retrieve_retry_interval = '4321'")
    drc.sql("ALTER SYSTEM SET synchronous_standby_names = 'satu, \"dua''tiga\"'")
    before = drc.auto_conf()
    drc.call("arm_target", slot="lpse_dr_pdc")
    settings = drc.reading()["settings"]
    assert settings["wal_retrieve_retry_interval"] == "100ms"
    assert settings["max_standby_streaming_delay"] == "0"
    assert settings["synchronous_standby_names"] == ""
    slot = drc.reading()["slots"][0]
    assert (slot["slot_name"], slot["active"], slot["restart_lsn"] is None) == ("lpse_dr_pdc", False, False)
    drc.operation = {"number": 2, "run": "run-2"}
    assert drc.call("arm_target", slot="lpse_dr_pdc")["changed"] is False
    drc.operation = {"number": 1, "run": "run-1"}
    assert drc.call("disarm_target", drop_slot="lpse_dr_pdc")["changed"] is True
    assert drc.auto_conf() == before
    reading = drc.reading()
    assert reading["settings"]["wal_retrieve_retry_interval"] == "4321ms"
    assert reading["settings"]["max_standby_streaming_delay"] == "20s"
    assert reading["slots"] == []
    assert "database_arm" not in drc.state()["saved"]
    assert drc.call("disarm_target", drop_slot="lpse_dr_pdc")["changed"] is False
    drc.sql("ALTER SYSTEM RESET ALL")
    drc.sql("SELECT pg_reload_conf()")


def test_a_crash_between_saving_and_changing_is_harmless(
    pair: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, drc = pair
    drc.sql("ALTER SYSTEM SET max_standby_streaming_delay = '7s'")
    drc.sql("SELECT pg_reload_conf()")
    before = drc.auto_conf()
    real_query = Cluster.query

    def dies(self: Cluster, statement: str, *args: Any, **more: Any) -> str:
        if statement.startswith("ALTER SYSTEM SET max_standby_streaming_delay"):
            raise KeyboardInterrupt
        return real_query(self, statement, *args, **more)

    monkeypatch.setattr(Cluster, "query", dies)
    with pytest.raises(KeyboardInterrupt):
        drc.call("arm_target", slot="lpse_dr_pdc")
    monkeypatch.undo()
    assert drc.auto_conf() != before
    drc.call("arm_target", slot="lpse_dr_pdc")
    drc.call("disarm_target", drop_slot="lpse_dr_pdc")
    assert drc.auto_conf() == before
    drc.sql("ALTER SYSTEM RESET ALL")
    drc.sql("SELECT pg_reload_conf()")


def test_a_slot_in_use_is_not_dropped(pair: tuple[Site, Site]) -> None:
    pdc, _ = pair
    with pytest.raises(VerbError) as caught:
        pdc.call("drop_slot", 0.3, slot="lpse_dr_drc")
    assert caught.value.id == "database.slot_active"
    assert pdc.call("ensure_slot", slot="lpse_dr_drc")["changed"] is False
    assert pdc.call("ensure_slot", slot="lpse_dr_x")["changed"] is True
    assert pdc.call("drop_slot", slot="lpse_dr_x")["changed"] is True
    assert pdc.call("drop_slot", slot="lpse_dr_x")["changed"] is False

"""Stop, start and fence on real clusters, and a reading of those that are not well."""

from __future__ import annotations

import os
import time

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.database_cluster import Cluster
from lpse_dr.plugins.module_utils.lpse_dr_host.psql import SqlError
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site, as_user

pair = database_sites.pair


def test_stop_fence_and_the_way_back(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    assert pdc.call("fence")["changed"] is True
    assert pdc.call("fence")["changed"] is False
    signal = (pdc.data / "standby.signal").stat()
    assert (signal.st_mode & 0o777, signal.st_uid) == (0o600, pdc.data.stat().st_uid)
    stopped = pdc.call("stop")
    assert stopped["control"]["state"] == "shut down"
    assert pdc.call("stop")["changed"] is False
    down = pdc.reading()
    assert (down["running"], down["writable"], down["in_recovery"]) == (False, False, None)
    assert down["control"]["state"] == "shut down"
    assert down["timeline"] == stopped["control"]["timeline"]
    assert down["settings"] is None
    lost = drc.reading()
    assert lost["receiver"] is None
    # No row was ever replayed here, and nothing says any more that this is all there is: unknown, not 0.
    assert lost["lag_seconds"] is None
    assert pdc.call("unfence")["changed"] is True
    assert pdc.call("unfence")["changed"] is False
    assert pdc.call("start") == {"changed": True, "in_recovery": False}
    assert pdc.call("start")["changed"] is False
    drc.call("await_streaming")


def test_a_standby_keeps_its_fence(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    with pytest.raises(VerbError) as caught:
        drc.call("unfence")
    assert caught.value.id == "database.is_standby"
    assert drc.call("stop")["control"]["state"] == "shut down in recovery"
    with pytest.raises(VerbError) as caught:
        drc.call("unfence")
    assert caught.value.id == "database.is_standby"
    assert drc.call("start")["in_recovery"] is True
    drc.call("await_streaming")
    pdc.patch.setattr(base, "STATE_FOLDER", str(pdc.state_folder))
    with base.state_for_update() as state:
        state["epoch"] = {"number": 5, "site": "drc", "at": "-"}
    pdc.call("fence")
    with pytest.raises(VerbError) as caught:
        pdc.call("unfence")
    assert caught.value.id == "database.epoch_elsewhere"
    with base.state_for_update() as state:
        state["epoch"] = None
    pdc.call("unfence")


def test_a_server_that_was_killed_is_not_called_stopped(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    as_user([*pdc.pg_ctl, "-m", "immediate", "stop"])
    with pytest.raises(VerbError) as caught:
        pdc.call("stop")
    assert caught.value.id == "database.unclean_stop"
    assert pdc.call("start")["in_recovery"] is False
    drc.call("await_streaming")


def test_status_does_not_hang_on_a_frozen_server(pair: tuple[Site, Site]) -> None:
    pdc, _ = pair
    pid = int((pdc.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, 19)
    try:
        began = time.monotonic()
        reading = pdc.reading()
        assert time.monotonic() - began < 3.5
        assert (reading["running"], reading["writable"], reading["senders"]) == (False, None, None)
        assert reading["error"]
        assert reading["control"]["state"] == "in production"
    finally:
        os.kill(pid, 18)


def test_what_replay_cancels_is_asked_again(pair: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch) -> None:
    _, drc = pair
    cluster = Cluster(Context("drc-db", "drc", drc.config, memory=drc.memory))
    session, asked = cluster.session(), []
    real = session.query

    def cancelled_twice(statement: str, timeout_seconds: float) -> str:
        asked.append(statement)
        if len(asked) < 3:
            raise SqlError("database.sql_failed", "-", "canceling statement", "", {"sqlstate": "40001"})
        return real(statement, timeout_seconds)

    monkeypatch.setattr(session, "query", cancelled_twice)
    assert cluster.query("SELECT 1") == "1"
    assert len(asked) == 3
    with pytest.raises(SqlError):
        cluster.query("SELECT 1/0")
    assert len(asked) == 4

"""pdc is writable, drc follows it, and nothing of any operation is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

SIGNAL = "/var/lib/postgresql/15/main/standby.signal"


def sql(host: Any, statement: str) -> str:
    """Return psql's answer, asked as the system user postgres."""
    return str(host.check_output("cd / && runuser -u postgres -- psql -XAtq -c %s", statement))


def test_only_pdc_is_writable(on: Any) -> None:
    assert sql(on("pdc-db"), "SELECT pg_is_in_recovery()") == "f"
    assert sql(on("drc-db"), "SELECT pg_is_in_recovery()") == "t"


def test_the_standby_is_fenced_and_the_primary_is_not(on: Any) -> None:
    assert not on("pdc-db").file(SIGNAL).exists
    fence = on("drc-db").file(SIGNAL)
    assert (fence.user, fence.mode) == ("postgres", 0o600)


def test_the_standby_follows_through_its_slot(on: Any) -> None:
    assert sql(on("pdc-db"), "SELECT slot_name, active FROM pg_replication_slots") == "lpse_dr_drc|t"
    assert sql(on("drc-db"), "SELECT status, slot_name FROM pg_stat_wal_receiver") == "streaming|lpse_dr_drc"
    assert sql(on("drc-db"), "SELECT count(*) FROM pg_replication_slots") == "0"


@pytest.mark.parametrize("name", ["pdc-db", "drc-db"])
def test_no_operation_is_left(on: Any, name: str) -> None:
    state = json.loads(on(name).file("/var/lib/lpse-dr/state.json").content_string)
    assert state["epoch"]["site"] == "pdc"
    assert (state["prepared"], state["fired"], state["saved"]) == (None, None, {})
    assert not (state["operation"] or {}).get("open")
    assert sql(on(name), "SHOW wal_retrieve_retry_interval") == "5s"

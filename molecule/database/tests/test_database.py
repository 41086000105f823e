"""One side is writable, the other follows it, and nothing of any operation is left. Which side it is, the epoch says."""

from __future__ import annotations

import json
from typing import Any

import pytest

SIGNAL = "/var/lib/postgresql/15/main/standby.signal"


def sql(host: Any, statement: str) -> str:
    """Return psql's answer, asked as the system user postgres."""
    return str(host.check_output("cd / && runuser -u postgres -- psql -XAtq -c %s", statement))


@pytest.fixture(scope="module")
def sides(on: Any) -> tuple[str, str]:
    """Return the writable site and the other one."""
    recovering = {site: sql(on(f"{site}-db"), "SELECT pg_is_in_recovery()") for site in ("pdc", "drc")}
    assert sorted(recovering.values()) == ["f", "t"]
    active, standby = sorted(recovering, key=lambda site: recovering[site])
    return active, standby


def test_both_are_fenced_against_their_next_start(on: Any, sides: tuple[str, str]) -> None:
    for site in sides:
        fence = on(f"{site}-db").file(SIGNAL)
        assert (fence.user, fence.mode) == ("postgres", 0o600)


def test_the_standby_follows_through_its_slot(on: Any, sides: tuple[str, str]) -> None:
    active, standby = sides
    assert sql(on(f"{active}-db"), "SELECT slot_name, active FROM pg_replication_slots") == f"lpse_dr_{standby}|t"
    received = sql(on(f"{standby}-db"), "SELECT status, slot_name FROM pg_stat_wal_receiver")
    assert received == f"streaming|lpse_dr_{standby}"
    assert sql(on(f"{standby}-db"), "SELECT count(*) FROM pg_replication_slots") == "0"


@pytest.mark.parametrize("name", ["pdc-db", "drc-db"])
def test_no_operation_is_left(on: Any, sides: tuple[str, str], name: str) -> None:
    state = json.loads(on(name).file("/var/lib/lpse-dr/state.json").content_string)
    assert state["epoch"]["site"] == sides[0]
    assert (state["prepared"], state["fired"], state["saved"]) == (None, None, {})
    assert not (state["operation"] or {}).get("open")
    assert sql(on(name), "SHOW wal_retrieve_retry_interval") == "5s"

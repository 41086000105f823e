"""What readings say about the sites; what is missing is never good news."""

from __future__ import annotations

from typing import Any

from lpse_dr.operations.sites import merge, overview

HOSTS = {"pdc": ("pdc-db", "pdc-gateway"), "drc": ("drc-db", "drc-gateway")}


def _database(host: str, **more: Any) -> dict[str, Any]:
    return {"host": host, "site": host[:3], "state": {}, "database": {"running": True, **more}}


ACTIVE = _database("pdc-db", writable=True, in_recovery=False)
STANDBY = _database("drc-db", writable=False, in_recovery=True, lag_bytes=0)


def test_roles() -> None:
    view = overview(HOSTS, merge([ACTIVE, STANDBY]))
    assert [site.role for site in view.sites] == ["active", "standby"]
    assert view.active == ("pdc",)
    assert view.unread == ()
    assert view.sites[0].unread == ("pdc-gateway",)
    assert view.others("pdc") == ("drc",)


def test_missing_and_empty_readings_are_unread() -> None:
    view = overview(HOSTS, merge([_database("pdc-db", writable=None, in_recovery=None)]))
    assert [site.role for site in view.sites] == ["unread", "unread"]
    assert view.active == ()


def test_down_and_split() -> None:
    down = {"host": "pdc-db", "site": "pdc", "database": {"running": False}}
    assert overview(HOSTS, merge([down, STANDBY])).sites[0].role == "down"
    both = overview(HOSTS, merge([ACTIVE, _database("drc-db", writable=True)]))
    assert both.active == ("pdc", "drc")


def test_newest_operation_counts() -> None:
    old = {**ACTIVE, "state": {"operation": {"number": 3, "run": "a", "open": True}, "epoch": {"number": 1}}}
    new = {**STANDBY, "state": {"operation": {"number": 4, "run": "b", "open": True}, "epoch": {"number": 2}}}
    view = overview(HOSTS, merge([old, new]))
    assert view.operation is not None and view.operation["run"] == "b"
    assert [site.epoch for site in view.sites] == [{"number": 1}, {"number": 2}]


def test_later_readings_replace_earlier_ones() -> None:
    after = _database("pdc-db", writable=False, in_recovery=True)
    merged = merge([ACTIVE, {"host": "pdc-db", "application": {"health": "serving"}}, after])
    assert merged["pdc-db"]["database"]["writable"] is False
    assert merged["pdc-db"]["application"] == {"health": "serving"}


def test_as_json_is_plain() -> None:
    import json

    view = overview(HOSTS, merge([ACTIVE, STANDBY]))
    assert json.loads(json.dumps([site.as_json() for site in view.sites]))[0]["role"] == "active"

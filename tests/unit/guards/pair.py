"""Readings of a healthy pair, pdc active and drc its standby, and what a run killed at each border leaves of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

NOW = 1_790_000_000.0
Facts = dict[str, Any]
SITES = {
    "pdc": {"database": "pdc-db", "application": ["pdc-app"], "gateway": ["pdc-gateway"]},
    "drc": {"database": "drc-db", "application": ["drc-app"], "gateway": ["drc-gateway"]},
}
HOSTS = ["pdc-db", "drc-db", "pdc-app", "drc-app", "pdc-gateway", "drc-gateway"]


def state() -> dict[str, Any]:
    return {
        "operation": {"number": 7, "run": "r7", "holder": "tim@jump", "at": "x", "expires": NOW - 900, "open": False},
        "epoch": {"number": 3, "site": "pdc", "at": "x"}, "prepared": None, "fired": None, "halted": None, "saved": {},
    }  # fmt: skip


def settings(site: str) -> dict[str, Any]:
    other = "drc" if site == "pdc" else "pdc"
    return {
        "max_connections": 100, "max_worker_processes": 8, "max_wal_senders": 10, "max_prepared_transactions": 0,
        "max_locks_per_transaction": 64, "wal_level": "replica", "hot_standby": "on", "synchronous_standby_names": "",
        "primary_conninfo_host": f"{other}-db", "primary_slot_name": f"lpse_dr_{site}",
    }  # fmt: skip


def database(site: str) -> dict[str, Any]:
    active = site == "pdc"
    return {
        "running": True, "error": None, "in_recovery": not active, "writable": active, "version_num": 150014, "cluster_name": site,
        "system_identifier": "7300000000000000001", "timeline": 3, "standby_signal": not active,
        "timeline_history": [{"timeline": 1, "lsn": "0/3000000", "reason": "r"}, {"timeline": 2, "lsn": "0/5000000", "reason": "r"}],
        "control": {
            "state": "in production" if active else "in archive recovery", "checkpoint_lsn": "0/7000060", "timeline": 3,
            "system_identifier": "7300000000000000001",
        },
        "lsn": {"current": "0/8000000" if active else None, "receive": None if active else "0/8000000", "replay": None if active else "0/8000000"},
        "replay_paused": False, "lag_bytes": None if active else 0, "lag_seconds": None if active else 0,
        "receiver": None if active else {"status": "streaming", "sender_host": "pdc-db", "slot_name": "lpse_dr_drc", "latest_end_lsn": "0/8000000"},
        "senders": [sender("drc")] if active else [], "slots": [slot("drc")] if active else [],
        "archiver": {"mode": "off", "failing": False, "failed_count": 0, "last_failed_at": None},
        "prepared_transactions": 0, "long_transactions": [], "backup_running": False, "checksums": True, "settings": settings(site),
        "disk": {"free_bytes": 10**10, "total_bytes": 10**11}, "databases": ["epns_prod"], "clients": 5,
    }  # fmt: skip


def sender(site: str) -> dict[str, Any]:
    return {
        "application_name": site,
        "client_addr": "10.0.0.2",
        "state": "streaming",
        "replay_lsn": "0/8000000",
        "sync_state": "async",
        "lag_bytes": 0,
    }


def slot(site: str) -> dict[str, Any]:
    return {
        "slot_name": f"lpse_dr_{site}",
        "slot_type": "physical",
        "active": True,
        "restart_lsn": "0/8000000",
        "retained_bytes": 0,
        "wal_status": "reserved",
    }


def application(site: str) -> dict[str, Any]:
    return {
        "application": {
            "unit_active": True, "health": "serving" if site == "pdc" else "standby", "http_status": 200, "detail": "",
            "in_flight": 0, "sticky_stopped": False,
        },
        "files": {
            "root": "/home/file/file_prod", "exists": True, "disk": {"free_bytes": 10**10, "total_bytes": 10**11}, "timer": "active",
            "last_sync": {"at": NOW - 5, "ok": True, "source": "x", "files": 3, "bytes": 9, "seconds": 0.1, "error": None},
            "conflicts": [], "peer_ok": True, "peer_error": None,
        },
    }  # fmt: skip


def gateway() -> dict[str, Any]:
    return {
        "traffic": {"provider": "haproxy", "running": True, "state": "open", "target": "pdc", "epoch": 3, "hold_until": None, "in_flight": [], "servers": {"pdc": "UP", "drc": "UP"}},
        "dns": {"server": "ns", "zone": "z", "name": "spse", "address": "10.0.0.1", "ttl": 5, "site": "pdc", "update_ok": True, "error": None},
    }  # fmt: skip


def healthy() -> Facts:
    """Ready: drc may take over from pdc."""
    readings: dict[str, Any] = {}
    for host in HOSTS:
        site, kind = host.split("-")
        noun = {"db": {"database": database(site)}, "app": application(site), "gateway": gateway()}[kind]
        config: dict[str, Any] = {}
        if kind == "db":
            config = {
                "database_majors_tested": [15, 17],
                "database_accept_untested": False,
                "database_slot_prefix": "lpse_dr_",
            }
        readings[host] = {
            "host": host,
            "site": site,
            "clock": NOW - 0.3,
            "state": state(),
            "config": config,
            **copy.deepcopy(noun),
        }
    return {
        "from": "pdc", "to": "drc", "purpose": "switchover", "now": NOW, "read_seconds": 1.0, "sites": copy.deepcopy(SITES), "readings": readings,
        "unreachable": {}, "failed": {}, "limits": {}, "nameserver": True, "holder_alive": None,
    }  # fmt: skip


def put(facts: Facts, host: str, path: str, value: Any) -> Facts:
    """Set one value of a reading by its dotted path."""
    *way, last = path.split(".")
    place: Any = facts["readings"][host]
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[last] = value
    return facts


def reversed_order(facts: Facts) -> Facts:
    """The same reality, asked in the other direction."""
    return {**facts, "from": facts["to"], "to": facts["from"]}


# --- the borders of a switch-over from pdc to drc, in order; each takes the facts a step further -----------


def lock(facts: Facts) -> None:
    facts["holder_alive"] = False
    for host in HOSTS:
        put(
            facts,
            host,
            "state.operation",
            {"number": 8, "run": "r8", "holder": "tim@jump", "at": "x", "expires": NOW + 200, "open": True},
        )


def arm(facts: Facts) -> None:
    for host in HOSTS:
        put(facts, host, "state.prepared", {"number": 4, "site": "drc", "operation": 8, "at": "x"})
    put(facts, "drc-db", "state.saved", {"database_arm": {"settings": {}}})
    put(facts, "drc-db", "database.slots", [{**slot("pdc"), "active": False}])


def hold(facts: Facts) -> None:
    for host in ("pdc-gateway", "drc-gateway"):
        put(facts, host, "traffic.state", "hold")


def stop_application(facts: Facts) -> None:
    put(facts, "pdc-app", "application.health", "unreachable")
    put(facts, "pdc-app", "application.unit_active", False)
    put(facts, "pdc-app", "application.sticky_stopped", True)


def fence(facts: Facts) -> None:
    put(facts, "pdc-db", "database.standby_signal", True)


def stop_source(facts: Facts) -> None:
    known = facts["readings"]["pdc-db"]["database"]
    kept = {
        key: known[key]
        for key in ("standby_signal", "system_identifier", "timeline", "disk", "checksums", "timeline_history")
    }
    control = {**known["control"], "state": "shut down", "checkpoint_lsn": "0/8000028"}
    put(
        facts,
        "pdc-db",
        "database",
        {**dict.fromkeys(known), **kept, "control": control, "running": False, "writable": False, "error": "down"},
    )
    put(facts, "drc-db", "database.receiver", None)
    for key in ("receive", "replay"):
        put(facts, "drc-db", f"database.lsn.{key}", "0/80000A0")


def fire(facts: Facts) -> None:
    put(
        facts,
        "drc-db",
        "state.fired",
        {"number": 8, "run": "r8", "epoch": 4, "site": "drc", "control": {}, "at": "x"},
    )


def promote(facts: Facts) -> None:
    known = facts["readings"]["drc-db"]["database"]
    known.update(
        in_recovery=False,
        writable=True,
        standby_signal=False,
        timeline=4,
        receiver=None,
        lag_bytes=None,
        lag_seconds=None,
    )
    known["lsn"] = {"current": "0/8000200", "receive": None, "replay": None}
    known["timeline_history"].append({"timeline": 3, "lsn": "0/80000A0", "reason": "r"})


def release(facts: Facts) -> None:
    for host in ("drc-db", "drc-app", "pdc-gateway", "drc-gateway"):
        put(facts, host, "state.epoch", {"number": 4, "site": "drc", "at": "x"})
        put(facts, host, "state.prepared", None)
    put(facts, "drc-app", "application.health", "serving")
    for host in ("pdc-gateway", "drc-gateway"):
        facts["readings"][host]["traffic"].update(state="open", target="drc", epoch=4)


def dns(facts: Facts) -> None:
    for host in ("pdc-gateway", "drc-gateway"):
        put(facts, host, "dns.site", "drc")
    for host in HOSTS:
        put(facts, host, "state.epoch", {"number": 4, "site": "drc", "at": "x"})
        put(facts, host, "state.prepared", None)


def start_standby(facts: Facts) -> None:
    standby = database("drc")
    standby.update(cluster_name="pdc", timeline=4, slots=[{**slot("drc"), "active": False}], settings=settings("pdc"))
    standby["receiver"] = {
        "status": "streaming",
        "sender_host": "drc-db",
        "slot_name": "lpse_dr_pdc",
        "latest_end_lsn": "0/8000200",
    }
    standby["lsn"] = {"current": None, "receive": "0/8000200", "replay": "0/8000200"}
    put(facts, "pdc-db", "database", standby)
    put(facts, "drc-db", "database.slots", [slot("pdc")])
    put(facts, "drc-db", "database.senders", [sender("pdc")])


def drop_slot(facts: Facts) -> None:
    put(facts, "pdc-db", "database.slots", [])


def close(facts: Facts) -> None:
    facts["readings"]["pdc-app"]["application"].update(unit_active=True, health="standby", sticky_stopped=False)
    put(facts, "drc-db", "state.saved", {})
    put(facts, "drc-db", "state.fired", None)


def unlock(facts: Facts) -> None:
    for host in HOSTS:
        put(facts, host, "state.operation.open", False)


BORDERS: list[Callable[[Facts], None]] = [
    lock, arm, hold, stop_application, fence, stop_source, fire, promote, release, dns, start_standby, drop_slot, close, unlock,
]  # fmt: skip


def killed_after(border: Callable[[Facts], None]) -> Facts:
    """What the hosts read like when the whole run was killed right after this border."""
    facts = healthy()
    for step in BORDERS[: BORDERS.index(border) + 1]:
        step(facts)
    return facts

"""Each guard says no for its reason, alone, and says what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import GUARDS, evaluate, sentences

from . import pair
from .pair import HOSTS, NOW, Facts, healthy, killed_after, put, reversed_order

Change = Callable[[Facts], object]
HALTED = {"at": "x", "site": "drc", "by": "tim", "reason": "virus", "paths": []}


def at(host: str, path: str, value: Any) -> Change:
    return lambda facts: put(facts, host, path, value)


def fact(key: str, value: Any) -> Change:
    return lambda facts: facts.update({key: value})


def every(hosts: list[str], path: str, value: Any) -> Change:
    return lambda facts: [put(facts, host, path, value) for host in hosts]


def site(name: str, group: str, value: Any) -> Change:
    return lambda facts: facts["sites"][name].update({group: value})


def silent(host: str, kind: str, reason: str) -> Change:
    def change(facts: Facts) -> None:
        del facts["readings"][host]
        facts[kind] = {host: reason}

    return change


def held(**values: Any) -> Change:
    operation = {
        "number": 8,
        "run": "r8",
        "holder": "tim@jump",
        "at": "x",
        "expires": NOW + 100,
        "open": True,
        **values,
    }
    return at("pdc-app", "state.operation", operation)


# Guard, what is changed of a healthy pair, a piece of what is found, whether it is the only one that says no.
TABLE: list[tuple[str, Change, str, bool]] = [
    ("site.known", fact("to", "xyz"), "to xyz", True),
    ("site.known", fact("from", None), "from none", True),
    ("site.differ", fact("to", "pdc"), "from pdc to pdc", True),
    ("inventory.one_site", site("drc", "application", ["pdc-app"]), "pdc-app", True),
    ("inventory.database", site("drc", "database", None), "none", True),
    ("inventory.database", site("drc", "database", ["a", "b"]), "a, b", True),
    ("inventory.application", site("drc", "application", []), "none", True),
    ("inventory.gateway", site("pdc", "gateway", []), "none", True),
    ("host.reachable", silent("drc-gateway", "unreachable", "ssh: connect to host 10.0.0.9 port 22: Connection timed out"), "Connection timed out", True),
    ("host.reachable", silent("drc-gateway", "unreachable", "lpse-dr@10.0.0.9: Permission denied (publickey)."), "Permission denied", True),
    ("host.key", silent("drc-app", "unreachable", "Host key verification failed."), "verification failed", True),
    ("host.sudo", silent("drc-app", "failed", "sudo: a password is required"), "a password is required", True),
    ("host.sudo", silent("drc-app", "failed", "Missing sudo password"), "Missing sudo", True),
    ("host.read", silent("drc-app", "failed", "state.unreadable: not an object"), "not an object", True),
    ("host.site", at("drc-db", "site", "pdc"), "site pdc", True),
    ("host.clock", at("drc-app", "clock", NOW + 1.5), "1.5 s", True),
    ("host.clock", at("drc-gateway", "clock", NOW - 2.2), "-1.2 s", True),
    ("host.state", lambda facts: facts["readings"]["drc-gateway"]["state"].pop("prepared"), "no reading: state.prepared", True),
    ("operation.free", held(), "run r8 of tim@jump: open", True),
    ("replication.halted", at("drc-db", "state.halted", HALTED), "halted at x by tim: virus", True),
    ("replication.halted", at("drc-gateway", "state.halted", HALTED), "halted at x by tim: virus", True),
    ("replication.halted", at("drc-app", "state.halted", {}), "halted at none", True),
    ("epoch.agree", at("drc-db", "state.epoch", {"number": 3, "site": "drc"}), "drc, pdc", True),
    ("epoch.newest", at("drc-gateway", "state.epoch", {"number": 5, "site": "pdc"}), "epoch 5 of pdc", True),
    ("epoch.active", every(HOSTS, "state.epoch", {"number": 4, "site": "drc"}), "epoch 4 of drc", True),
    ("site.not_split", lambda f: [put(f, "drc-db", "database.in_recovery", False), put(f, "drc-db", "database.writable", True)], "pdc: writable, drc: writable", False),
    ("site.not_both_read_only", lambda f: [put(f, "pdc-db", "database.in_recovery", True), put(f, "pdc-db", "database.writable", False)], "pdc: standby, drc: standby", False),
    ("site.clear", at("pdc-db", "database.running", None), "pdc: unknown", False),
    ("database.target_standby", lambda f: [put(f, "drc-db", "database.running", False), put(f, "drc-db", "database.writable", False)], "crashed", False),
    ("database.streaming", at("drc-db", "database.receiver.status", "stopping"), "stopping", True),
    ("database.streaming", at("pdc-db", "database.senders", []), "sender: none", True),
    ("database.streaming", at("pdc-db", "database.senders.0.state", "catchup"), "catchup", True),
    ("database.lag_bytes", at("drc-db", "database.lag_bytes", 99 * 2**20), "103809024 bytes", True),
    ("database.lag_bytes", at("pdc-db", "database.senders.0.lag_bytes", 99 * 2**20), "103809024 bytes", True),
    ("database.lag_seconds", lambda f: [put(f, "drc-db", "database.lag_seconds", 31), put(f, "pdc-db", "database.senders.0.lag_bytes", 48)], "31 s", True),
    ("database.slot", at("pdc-db", "database.slots", []), "missing", True),
    ("database.slot", at("pdc-db", "database.slots.0.active", False), "inactive", True),
    ("database.slot", at("pdc-db", "database.slots.0.wal_status", "lost"), "lost", True),
    ("database.foreign_senders", lambda f: f["readings"]["pdc-db"]["database"]["senders"].append(pair.sender("report")), "report (10.0.0.2)", True),
    ("database.archiver", at("pdc-db", "database.archiver", {"mode": "on", "failing": True}), "failing", True),
    ("database.system_identifier", at("drc-db", "database.system_identifier", "42"), "drc: 42", True),
    ("database.timeline", at("drc-db", "database.timeline", 2), "drc: 2", True),
    ("database.major", at("drc-db", "database.version_num", 170002), "drc: 17", True),
    ("database.major_tested", every(["pdc-db", "drc-db"], "database.version_num", 160004), "PostgreSQL 16", True),
    ("database.settings", at("drc-db", "database.settings.max_connections", 90), "max_connections 90 < 100", True),
    ("database.settings", at("pdc-db", "database.settings.max_wal_senders", 12), "max_wal_senders 10 < 12", True),
    ("database.way_back", at("pdc-db", "database.settings.primary_conninfo_host", ""), "no reading", True),
    ("database.way_back", at("pdc-db", "database.settings.primary_slot_name", "other"), "slot other", True),
    ("database.prepared_transactions", at("pdc-db", "database.prepared_transactions", 2), "2", True),
    ("database.long_transactions", at("pdc-db", "database.long_transactions", [{"pid": 7, "user": "u", "database": "d", "age_seconds": 99}]), "PID 7, u, d, 99 s", True),
    ("database.replay_not_paused", at("drc-db", "database.replay_paused", True), "paused: yes", True),
    ("database.no_backup", at("pdc-db", "database.backup_running", True), "running: yes", True),
    ("database.disk", at("drc-db", "database.disk.free_bytes", 1000), "1000 bytes", True),
    ("application.source", at("pdc-app", "application.health", "failed"), "failed", True),
    ("application.target", at("drc-app", "application.health", "failed"), "failed", True),
    ("application.target", at("drc-app", "application.unit_active", False), "standby", True),
    ("files.root", at("drc-app", "files.exists", False), "missing", True),
    ("files.peer", lambda f: f["readings"]["drc-app"]["files"].update(peer_ok=False, peer_error="refused"), "refused", True),
    ("files.conflicts", at("drc-app", "files.conflicts", [{"path": "2026/01/a.bid", "at": "x"}]), "1: 2026/01/a.bid", True),
    ("files.last_sync", at("drc-app", "files.last_sync", None), "no reading", True),
    ("files.last_sync", lambda f: f["readings"]["drc-app"]["files"]["last_sync"].update(ok=False, error="timeout"), "timeout", True),
    ("files.last_sync", at("drc-app", "files.last_sync.at", NOW - 4000), "3999.7 s ago", True),
    ("files.last_sync", at("drc-app", "files.last_sync.at", NOW + 60), "no reading", True),
    ("files.timer", at("drc-app", "files.timer", "masked"), "masked", True),
    ("files.timer", at("drc-app", "files.timer", "inactive"), "inactive", True),
    ("files.timer", at("pdc-app", "files.timer", "masked"), "masked", True),
    ("files.disk", at("drc-app", "files.disk.free_bytes", 5), "5 bytes", True),
    ("gateway.running", at("drc-gateway", "traffic.running", False), "running: no", True),
    ("gateway.consistent", at("pdc-gateway", "traffic.target", "drc"), "open to drc", True),
    ("gateway.consistent", at("pdc-gateway", "traffic.state", "unknown"), "unknown to pdc", True),
    ("gateway.consistent", at("pdc-gateway", "traffic.state", "maintenance"), "maintenance to pdc", True),
    ("dns.answers", at("pdc-gateway", "dns.site", "drc"), "drc", True),
    ("dns.answers", at("pdc-gateway", "dns.site", None), "no reading", True),
    ("dns.update", lambda f: f["readings"]["drc-gateway"]["dns"].update(update_ok=False, error="REFUSED"), "REFUSED", True),
]  # fmt: skip


def changed(change: Change, base: Callable[[], Facts] = healthy) -> Facts:
    facts = base()
    change(facts)
    return facts


@pytest.mark.parametrize(
    ("guard_id", "change", "piece", "alone"), TABLE, ids=[f"{row[0]}-{number}" for number, row in enumerate(TABLE)]
)
def test_guard(guard_id: str, change: Change, piece: str, alone: bool) -> None:
    found = evaluate(changed(change))
    said_no = {guard.guard_id: guard for guard in found.refused}
    assert guard_id in said_no
    assert piece in said_no[guard_id].found
    assert not alone or set(said_no) == {guard_id}
    assert said_no[guard_id].todo
    if "missing" not in said_no[guard_id].data:
        assert "?" not in said_no[guard_id].expected + said_no[guard_id].found + said_no[guard_id].todo


def test_a_healthy_pair_has_nothing_against_it() -> None:
    found = evaluate(healthy())
    assert (found.stage, found.refused, found.epoch, found.epoch_target, found.operation_number) == (
        "ready",
        [],
        3,
        4,
        8,
    )


CONTINUE: list[tuple[str, Change]] = [
    ("database.system_identifier", at("pdc-db", "database.control.system_identifier", "42")),
    ("database.timeline", at("pdc-db", "database.control.timeline", 2)),
    ("database.replay_not_paused", at("drc-db", "database.replay_paused", True)),
    ("application.target", at("drc-app", "application.health", "failed")),
    ("files.peer", at("drc-app", "files.peer_ok", False)),
    ("epoch.newest", at("drc-gateway", "state.epoch", {"number": 5, "site": "pdc"})),
    ("gateway.consistent", lambda f: f["readings"]["drc-gateway"]["traffic"].update(state="open", target="drc")),
    ("operation.free", fact("holder_alive", True)),
    ("operation.free", fact("holder_alive", None)),
]


@pytest.mark.parametrize(("guard_id", "change"), CONTINUE)
def test_guard_in_continue(guard_id: str, change: Change) -> None:
    found = evaluate(changed(change, lambda: killed_after(pair.fire)))
    assert found.stage == "continue"
    assert {guard.guard_id for guard in found.refused} == {guard_id}


@pytest.mark.parametrize(
    ("guard_id", "change"),
    [
        ("database.no_divergence", at("pdc-db", "database.control.checkpoint_lsn", "0/90000A0")),
        ("database.no_divergence", at("drc-db", "database.timeline_history", [])),
        ("database.no_divergence", at("pdc-db", "database.control.state", "in production")),
        ("database.system_identifier", at("pdc-db", "database.control.system_identifier", "42")),
        ("epoch.newest", at("pdc-gateway", "state.epoch", {"number": 5, "site": "drc"})),
        ("dns.update", at("drc-gateway", "dns.update_ok", False)),
        ("gateway.running", at("pdc-gateway", "traffic.running", False)),
    ],
)
def test_guard_in_finish(guard_id: str, change: Change) -> None:
    found = evaluate(changed(change, lambda: killed_after(pair.promote)))
    assert found.stage == "finish"
    assert guard_id in {guard.guard_id for guard in found.refused}


def test_an_old_site_that_went_its_own_way_is_never_made_a_standby() -> None:
    facts = changed(at("pdc-db", "database.lsn.replay", "0/90000A0"), lambda: killed_after(pair.start_standby))
    facts["readings"]["pdc-db"]["database"]["timeline"] = 3
    assert "database.no_divergence" in {guard.guard_id for guard in evaluate(facts).refused}


@pytest.mark.parametrize(
    "change",
    [
        held(expires=NOW - 1),
        held(open=False),
        lambda facts: (held()(facts), facts.update(holder_alive=False)),
        at("drc-db", "database.archiver", {"mode": "on", "failing": True}),
        at("pdc-db", "database.archiver", {"mode": "on", "failing": False}),
        at("pdc-db", "database.long_transactions", [{"pid": 7, "user": "u", "database": "d", "age_seconds": 9}]),
        at("drc-db", "database.settings.max_connections", 200),
        at("drc-app", "clock", NOW + 0.9),
        at("drc-app", "clock", NOW - 1.9),
        at("pdc-app", "files.timer", "inactive"),
        at("drc-app", "files.last_sync.at", "2026-09-21T14:13:20Z"),
        lambda facts: [
            put(facts, host, "database.version_num", 160004)
            and put(facts, host, "config.database_accept_untested", True)
            for host in ("pdc-db", "drc-db")
        ],
        lambda facts: [
            put(facts, "drc-app", "config", {"application_warm": False}),
            put(facts, "drc-app", "application.health", "unreachable"),
        ],
        lambda facts: [
            facts.update(nameserver=False),
            [facts["readings"][host].pop("dns") for host in ("pdc-gateway", "drc-gateway")],
        ],
        at("drc-db", "database.lag_seconds", 557.42),  # one record on its way after a quiet time
        fact("limits", {"lag_bytes": "16777216"}),
    ],
)
def test_these_are_no_reason_to_refuse(change: Change) -> None:
    assert [(guard.guard_id, guard.found) for guard in evaluate(changed(change)).refused] == []


def test_root_causes_stand_before_what_follows_from_them() -> None:
    found = evaluate(changed(silent("drc-app", "unreachable", "No route to host")))
    assert (found.refused[0].guard_id, found.refused[0].host) == ("host.reachable", "drc-app")


def test_done_needs_no_guard_that_a_change_needs() -> None:
    facts = reversed_order(healthy())
    put(facts, "drc-db", "database.disk.free_bytes", 0)
    put(facts, "drc-app", "clock", NOW + 99)
    found = evaluate(facts)
    assert (found.stage, found.refused) == ("done", [])


def test_sentences_can_be_said_in_another_language() -> None:
    found = {guard.guard_id: guard for guard in evaluate(changed(at("pdc-db", "database.slots", []))).refused}[
        "database.slot"
    ]
    asked: list[tuple[str, str]] = []

    def translate(context: str, template: str) -> str:
        asked.append((context, template))
        return {"missing": "tidak ada"}.get(template, template)

    _title, expected, said, _todo = sentences(found.guard_id, found.data, translate)
    assert expected == "slot lpse_dr_drc on pdc-db active"
    assert said == "tidak ada"
    assert ("database.slot", GUARDS["database.slot"].found) in asked


def test_every_placeholder_is_filled_in_english() -> None:
    for scene in (healthy(), killed_after(pair.fire), killed_after(pair.promote), killed_after(pair.unlock)):
        for guard in evaluate(scene).guards:
            assert "?" not in guard.expected + guard.found + guard.todo

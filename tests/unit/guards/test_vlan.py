"""Who may talk to whom, judged on a small office: two sites, four segments, recorded readings."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import vlan, vlan_verdict
from lpse_dr.plugins.module_utils.lpse_dr_guards.texts import GUARDS
from lpse_dr.plugins.module_utils.lpse_dr_guards.vlan_model import Border, read_border

DATA: dict[str, Any] = {
    "hosts": ["gw1", "gw2", "app", "db", "pc", "far"],
    "gateways": [{"name": "gw1"}, {"name": "gw2", "provider": "nftables"}],
    "segments": [
        {"name": "public", "rest": True, "networks": [], "gateways": ["gw1", "gw2"], "targets": [{"address": "198.51.100.1", "port": 443}]},
        {"name": "dmz", "networks": ["10.0.1.0/24", "fd00:1::/64"], "gateways": ["gw1"], "probe_host": "app", "targets": [{"address": "10.0.1.2", "port": 22}]},
        {"name": "office", "networks": ["10.0.2.0/24"], "gateways": ["gw1"], "probe_host": "pc", "targets": [{"address": "10.0.2.2", "port": 22}]},
        {"name": "far", "networks": ["10.9.0.0/24"], "gateways": ["gw2"], "probe_host": "far", "targets": [{"address": "10.9.0.2", "port": 22}]},
    ],
    "levels": [{"name": "total", "all_segments": True}, {"name": "staff", "segments": ["office"]}],
    "always": [{"name": "management", "from": ["10.0.99.0/24"]}],
    "paths": [{"from": "dmz", "to": ["far", "public"]}, {"from": "office", "to": ["public"]}, {"from": "far", "to": ["dmz"]}],
}  # fmt: skip
ID = "0123456789abcdef"
ASKED: set[str] = set()


@pytest.fixture
def border() -> Border:
    found = read_border(DATA)
    assert found.problems == []
    return found


def reading(**over: Any) -> dict[str, Any]:
    """Return a gateway without an isolation, asked from the management network."""
    found = {
        "client": "10.0.99.7", "addresses": [], "systemd_run": True, "kept": None, "undo_armed": False,
        "nftables": {"isolation": None, "rest_sha256": "r", "flowtables": 0, "hooks": [{"table": "t", "hook": "input", "priority": 0}]},
    }  # fmt: skip
    return {"host": "gw", "state": {}, "vlan": {**found, **over}}


def isolated(identity: str = ID, **over: Any) -> dict[str, Any]:
    """Return a gateway with a confirmed isolation of level staff."""
    rules = {"own": True, "comment": f"lpse-dr staff {identity}", "level": "staff", "id": identity, "segments": ["office"], "dropped": {}}  # fmt: skip
    kept = {"level": "staff", "id": identity, "at_boot": True}
    return reading(**{"nftables": {"isolation": rules, "rest_sha256": "r", "hooks": []}, "kept": kept, **over})


def failing(found: list[Any]) -> list[str]:
    ASKED.update(guard.guard_id for guard in found)
    for guard in found:
        assert guard.expected and guard.found and guard.todo
        assert "?" not in guard.expected + guard.found
    return sorted({guard.guard_id for guard in found if not guard.ok})


@pytest.mark.parametrize(
    ("level", "wanted", "wrong"),
    [
        ("total", [], []), ("staff", [], []), ("segment", ["dmz", "far"], []),
        ("offices", [], ["vlan.level_known"]), ("", [], ["vlan.level_known"]),
        ("segment", [], ["vlan.segments_named"]), ("staff", ["dmz"], ["vlan.segments_named"]),
        ("segment", ["dmz", "dzm"], ["vlan.segment_known"]),
    ],
)  # fmt: skip
def test_an_order(border: Border, level: str, wanted: list[str], wrong: list[str]) -> None:
    assert failing(vlan.order(border, level, wanted)) == wrong


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("segments", 1, "networks"), ["10.0.1.1/24"], "dmz"), (("segments", 1, "networks"), [], "no networks"),
        (("segments", 1, "networks"), ["10.0.2.0/25"], "overlap"), (("segments", 1, "gateways"), ["gw9"], "gw9"),
        (("segments", 1, "gateways"), [], "gateways none"), (("segments", 1, "probe_host"), "nobody", "nobody"),
        (("segments", 1, "name"), "office", "name of its own"), (("levels", 1, "segments"), ["offices"], "offices"),
        (("levels", 1, "segments"), [], "none"), (("levels", 1, "name"), "segment", "cannot be used"),
        (("always",), [], "management"), (("paths", 0, "to"), ["moon"], "moon"), (("gateways",), [], "gateways"),
    ],
)  # fmt: skip
def test_an_inventory_that_contradicts_itself(path: tuple[Any, ...], value: Any, words: str) -> None:
    data = copy.deepcopy(DATA)
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = read_border(data)
    assert any(words in problem for problem in found.problems), found.problems
    assert "vlan.inventory" in failing(vlan.order(found, "total", []))


@pytest.mark.parametrize(
    ("over", "wrong"),
    [
        ({}, []), ({"nftables": None}, ["vlan.nftables_present", "vlan.table_free"]), ({"systemd_run": False}, ["vlan.undo_possible"]),
        ({"nftables": {"isolation": {"own": False, "comment": ""}, "hooks": []}}, ["vlan.table_free"]),
    ],
)  # fmt: skip
def test_a_gateway_must_have_the_means(border: Border, over: dict[str, Any], wrong: list[str]) -> None:
    assert failing(vlan.gateways(border, {"gw1": reading(**over)}, {"gw2": "no route"})) == wrong


def test_somebody_must_answer_and_an_empty_reading_is_none(border: Border) -> None:
    assert failing(vlan.gateways(border, {}, {"gw1": "x", "gw2": "y"})) == ["vlan.gateway_reachable"]
    assert failing(vlan.gateways(border, {"gw1": {}}, {})) == ["vlan.nftables_present", "vlan.table_free", "vlan.undo_possible"]  # fmt: skip


@pytest.mark.parametrize(
    ("client", "level", "statement", "stays"),
    [
        ("10.0.99.7", "total", "", True), ("local", "total", "", True), ("10.0.2.9", "staff", "", False), ("10.0.1.9", "staff", "", True),
        ("10.0.1.9", "total", "", False), (None, "staff", "", False), ("10.0.2.9", "staff", "Budi knows", True), ("nonsense", "total", "", False),
    ],
)  # fmt: skip
def test_nobody_cuts_himself_off(border: Border, client: str | None, level: str, statement: str, stays: bool) -> None:
    readings = {"gw1": reading(client=client)}
    found = failing(vlan.management(border, border.isolated(level, []), readings, statement))
    assert found == ([] if stays else ["vlan.management_kept"])


def test_a_plan_is_earlier_than_all_others_and_takes_what_nobody_wrote_down(border: Border) -> None:
    hooks = [{"table": "t", "hook": "forward", "priority": -600}]
    addresses = [
        {"interface": "eth2", "address": "10.0.2.1", "network": "10.0.2.0/24"},
        {"interface": "eth2", "address": "fd00:2::1", "network": "fd00:2::/64"},
        # Management on the same wire stays out of it, and so does another segment's network.
        {"interface": "eth2", "address": "10.0.99.1", "network": "10.0.99.0/24"},
        {"interface": "eth1", "address": "fd00:1::1", "network": "fd00:1::/64"},
    ]
    readings = {"gw1": reading(nftables={"isolation": None, "hooks": hooks}, addresses=addresses)}
    plan = vlan.plan(border, "staff", [], readings)
    assert plan["priority"] == -610
    assert plan["networks"] == {"office": {"4": ["10.0.2.0/24"], "6": ["fd00:2::/64"]}}
    assert plan["id"] == vlan.plan(border, "staff", [], readings)["id"]
    assert plan["id"] != vlan.plan(border, "segment", ["office"], readings)["id"]
    assert vlan.plan(border, "total", [], readings)["ending"] == []
    assert vlan.plan(border, "segment", ["public"], {})["others"]["4"][1] == "10.0.1.0/24"


def test_done_means_loaded_kept_and_nothing_armed() -> None:
    assert vlan.is_isolated(isolated(), ID)
    for over in ({"undo_armed": True}, {"undo_armed": None}, {"kept": None}, {"kept": {"id": ID, "at_boot": False}}):
        assert not vlan.is_isolated(isolated(**over), ID)
    assert not vlan.is_isolated(isolated(), "f" * 16) and not vlan.is_isolated({}, ID)
    assert vlan.is_released(reading())
    for wrong in (reading(undo_armed=True), reading(nftables=None), reading(kept={"id": ID}), isolated(), {}):
        assert not vlan.is_released(wrong)


def measured(border: Border, opened: set[tuple[str, str]], silent: str = "") -> list[dict[str, Any]]:
    """Return the matrix of level staff as probes came through; ``silent`` is a host that tried nothing."""
    answers = {}
    for host, paths in border.probes(["office"], ["gw1", "gw2"]).items():
        if host != silent:
            answers[host] = [{**path, "tcp": "closed", "icmp": "open" if (path["from"], path["to"]) in opened else "closed"} for path in paths]  # fmt: skip
    return vlan.matrix(border, ["office"], answers)


NORMAL = {("dmz", "far"), ("dmz", "public"), ("far", "dmz")}


@pytest.mark.parametrize(
    ("opened", "acting", "silent", "needed", "wished"),
    [
        (NORMAL, ["gw1", "gw2"], "", [], []),
        # The way of the staff does not lead through gw2: without it nothing is open.
        (NORMAL, ["gw1"], "", [], ["vlan.gateway_isolated"]),
        (NORMAL | {("office", "dmz")}, ["gw2"], "", [], ["vlan.gateway_isolated"]),
        (NORMAL | {("office", "dmz")}, ["gw1", "gw2"], "", [], ["vlan.path_closed"]),
        (NORMAL - {("dmz", "far")}, ["gw1", "gw2"], "", ["vlan.kept_open"], []),
        # Closed because its gateway was lost, not by the isolation.
        (NORMAL - {("dmz", "far")}, ["gw1"], "", [], ["vlan.gateway_isolated"]),
        (NORMAL, ["gw1", "gw2"], "pc", [], ["vlan.path_proven"]),
    ],
)  # fmt: skip
def test_an_isolation_is_judged(
    border: Border, opened: set[tuple[str, str]], acting: list[str], silent: str, needed: list[str], wished: list[str]
) -> None:
    left = {name: "gone" for name in ("gw1", "gw2") if name not in acting}
    before = measured(border, NORMAL)
    found = vlan.judge_isolation(border, ["office"], acting, left, before, measured(border, opened, silent))
    assert (failing(found[0]), failing(found[1])) == (needed, wished)


def test_an_open_path_is_named(border: Border) -> None:
    cells = measured(border, NORMAL)
    guard = vlan.judge_isolation(border, ["office"], ["gw2"], {"gw1": "no route"}, [], cells)[1][0]
    assert "office > dmz" in guard.found and "office > far" not in guard.found and "gw1: no route" in guard.found


def facts(**over: Any) -> dict[str, Any]:
    """Return what a good isolation of level staff registers on its way."""
    judged = {"plan": {"id": ID, "level": "staff"}, "silent": {}, "manual": [], "cells": [], "readings": {"gw1": reading(), "gw2": reading()}}  # fmt: skip
    loads = {"gw1": {"at": 10.0, "loaded": 10.1, "connections_ended": 2}, "gw2": {"at": 10.5, "loaded": 10.6, "connections_ended": 0}}  # fmt: skip
    acted = {"answers": {"arm": {"gw1": {}, "gw2": {}}, "load": loads}, "left": {}}
    last = {"answers": {"read": {name: {"reading": isolated()} for name in ("gw1", "gw2")}}, "left": {}}
    cells = measured(read_border(DATA), NORMAL)
    return {"purpose": "isolate", "isolated": ["office"], "judged": judged, "acted": acted, "confirmed": last, "proven": {"cells": cells}, **over}  # fmt: skip


REFUSAL = {"task": "Guard", "result": {"refused": [{"guard_id": "vlan.table_free", "expected": "a", "found": "b", "todo": "c"}]}}  # fmt: skip
LOST = {"answers": {"read": {"gw1": {"reading": isolated()}}}, "left": {"gw2": {"found": "silence"}}}
UNCONFIRMED = {"answers": {"read": {"gw1": {"reading": isolated()}, "gw2": {"reading": isolated(undo_armed=True)}}}}
BACK = {"answers": {"read": {"gw1": {"reading": reading()}, "gw2": {"reading": reading()}}}}
HALF = {"answers": {"read": {"gw1": {"reading": reading()}, "gw2": {"reading": isolated(undo_armed=True)}}}}


@pytest.mark.parametrize(
    ("over", "verdict", "moved", "error"),
    [
        ({}, "COMPLETED", True, None),
        ({"confirmed": LOST}, "INCOMPLETE", True, "vlan.gateway_isolated"),
        ({"confirmed": UNCONFIRMED}, "INCOMPLETE", True, "vlan.gateway_isolated"),
        ({"confirmed": {}}, "UNKNOWN", True, "vlan.gateway_isolated"),
        ({"failure": REFUSAL, "acted": {}}, "REFUSED", False, "vlan.table_free"),
        ({"failure": REFUSAL, "restored": BACK}, "ROLLED_BACK", True, "vlan.table_free"),
        ({"failure": REFUSAL, "restored": HALF}, "INCOMPLETE", True, "vlan.table_free"),
        ({"failure": {"task": "x", "result": {"msg": "boom"}}}, "INCOMPLETE", True, "run.failed"),
        ({"plan_only": True, "acted": {}}, "COMPLETED", False, None),
    ],
)  # fmt: skip
def test_how_it_ended(border: Border, over: dict[str, Any], verdict: str, moved: bool, error: str | None) -> None:
    found = vlan_verdict.ended(border, facts(**over))
    assert (found["verdict"], found["moved"], (found["error"] or {}).get("id")) == (verdict, moved, error)


def test_gear_without_a_driver_leaves_it_open_until_somebody_says_so() -> None:
    by_hand = read_border({**DATA, "gateways": [{"name": "gw1"}, {"name": "gw2", "provider": "manual"}]})
    judged = {**facts()["judged"], "manual": ["gw2"]}
    found = vlan_verdict.ended(by_hand, facts(judged=judged, confirmed=LOST))
    assert (found["verdict"], found["error"]["id"]) == ("INCOMPLETE", "vlan.done_by_hand")
    ASKED.add("vlan.done_by_hand")
    paths = {host: [{**path, "tcp": "closed", "icmp": "open" if (path["from"], path["to"]) in NORMAL else "closed"} for path in tried] for host, tried in by_hand.probes([], []).items()}  # fmt: skip
    asked: list[Any] = [by_hand, ["office"], "", {"gw1": isolated()}, {}, paths]
    assert vlan_verdict.confirm(*asked)[1]["id"] == "vlan.stated"  # type: ignore[index]
    asked[2] = "Budi, by telephone"
    assert vlan_verdict.confirm(*asked) == ("COMPLETED", None)
    asked[3] = {"gw1": reading()}
    assert vlan_verdict.confirm(*asked)[1]["id"] == "vlan.gateway_isolated"  # type: ignore[index]
    asked[1] = []
    # The office reaches the public side on normal days; here nothing answered it.
    assert vlan_verdict.confirm(*asked)[1]["id"] == "vlan.as_expected"  # type: ignore[index]
    ASKED.update(("vlan.stated", "vlan.as_expected"))


def test_a_release_is_done_when_every_gateway_reads_so(border: Border) -> None:
    judged = {**facts()["judged"], "readings": {"gw1": isolated(), "gw2": isolated()}}
    over = {"purpose": "release", "judged": judged, "acted": {"answers": {"release": {"gw1": {"changed": True}}}}}
    found = vlan_verdict.ended(border, facts(**over, proof=BACK))
    assert (found["verdict"], found["moved"], found["figures"]["other_rules_unchanged"]) == ("COMPLETED", True, True)
    found = vlan_verdict.ended(border, facts(**over, proof=HALF))
    assert (found["verdict"], found["error"]["id"]) == ("INCOMPLETE", "vlan.gateway_released")
    ASKED.add("vlan.gateway_released")


def test_a_look_names_a_silent_gateway_and_a_leak(border: Border) -> None:
    both = {"gw1": isolated(), "gw2": isolated()}
    paths = {host: [{**path, "tcp": "closed", "icmp": "closed"} for path in tried] for host, tried in border.probes(["office"], list(both)).items()}  # fmt: skip
    shown, verdict, error = vlan_verdict.look(border, both, {}, paths)
    assert (shown["level"], shown["isolated"], verdict, error) == ("staff", ["office"], "COMPLETED", None)
    assert vlan_verdict.look(border, {"gw1": isolated()}, {"gw2": "no route"}, paths)[1] == "UNKNOWN"
    assert vlan_verdict.look(border, {**both, "gw1": reading()}, {}, paths)[2]["id"] == "vlan.gateway_isolated"  # type: ignore[index]
    paths["pc"][1]["tcp"] = "open"
    assert vlan_verdict.look(border, both, {}, paths)[2]["id"] == "vlan.path_closed"  # type: ignore[index]


def test_every_guard_was_asked() -> None:
    assert {guard_id for guard_id in GUARDS if guard_id.startswith("vlan.")} == ASKED

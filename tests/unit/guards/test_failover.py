"""Where a failover stands, and what refuses it: table tests on readings of a pair whose first site is lost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import GUARDS, Evaluation, evaluate, failover

from . import pair
from .pair import NOW, Facts, put

WORD = "fire in the data centre, power cut at 09:12"


def sight(what: str, answer: str = "silent") -> dict[str, Any]:
    return {"what": what, "site": "", "address": "10.0.0.1", "answer": answer, "detail": "x", "seconds": 1.0}


def searches() -> dict[str, Any]:
    return {"drc-db": [sight("database")], "drc-gateway": [sight("front_door"), sight("application")]}


def lost(*, hosts: tuple[str, ...] = ("pdc-db", "pdc-app", "pdc-gateway"), statement: str = WORD) -> Facts:
    """The whole first site is silent, and a person has said that it is off."""
    facts = pair.healthy()
    facts["purpose"] = "failover"
    for host in hosts:
        del facts["readings"][host]
        facts["unreachable"][host] = "no SSH at 10.0.0.5 within 1.5 s: timed out"
    put(facts, "drc-db", "database.receiver", None)
    facts["readings"]["drc-db"]["database"].update(received_at=NOW - 40, last_commit_at=NOW - 41)
    facts["failover"] = {"statement": statement, "accept_age_seconds": None, "power": {}, "searches": searches()}
    return facts


def database_dead(**kind: Any) -> Facts:
    """Only the database of the first site died; its host answers over SSH."""
    facts = lost(hosts=(), statement="")
    dead = facts["readings"]["pdc-db"]["database"]
    kept = {
        key: dead[key]
        for key in ("standby_signal", "system_identifier", "timeline", "disk", "control", "timeline_history")
    }
    facts["readings"]["pdc-db"]["database"] = {
        **dict.fromkeys(dead),
        **kept,
        "running": False,
        "writable": False,
        **kind,
    }
    return facts


def taken_over(*, failover_record: bool = True) -> Facts:
    """drc was promoted by failover, everything of it is in its place."""
    facts = lost()
    pair.promote(facts)
    for host in ("drc-db", "drc-app", "drc-gateway"):
        put(facts, host, "state.epoch", {"number": 4, "site": "drc", "at": "x"})
        if failover_record:
            facts["readings"][host]["state"]["failover"] = {
                "epoch": 4,
                "documents": {"checked": 3},
                "sequences": {"s": {}},
            }
    put(facts, "drc-app", "application.health", "serving")
    facts["readings"]["drc-gateway"]["traffic"].update(state="open", target="drc", epoch=4)
    put(facts, "drc-gateway", "dns.site", "drc")
    facts["readings"]["drc-db"]["config"].update(
        database_documents_query="SELECT", database_sequences=[{"name": "s", "gap": 1}]
    )
    return facts


def refused(facts: Facts) -> set[str]:
    return {guard.guard_id for guard in evaluate(facts).refused}


def seen(facts: Facts, host: str, number: int, answer: str) -> Facts:
    facts["failover"]["searches"][host][number]["answer"] = answer
    return facts


def test_a_lost_site_and_a_persons_word_are_enough() -> None:
    found = evaluate(lost())
    assert (found.stage, found.refused, found.epoch_target, found.operation_number) == ("gone", [], 4, 8)
    assert found.loss is not None
    assert (found.loss["proof"], found.loss["receive_lsn"], found.loss["received_at"]) == (
        "statement",
        "0/8000000",
        NOW - 40,
    )
    assert [item["vantage"] for item in found.loss["sights"]] == ["jump", "drc-db", "drc-gateway", "drc-gateway"]


def test_without_a_word_nothing_is_proven_and_the_sentence_to_type_is_named() -> None:
    for word in ("", "   "):
        (guard,) = evaluate(lost(statement=word)).refused
        assert guard.guard_id == "failover.proof"
        assert "--assume-primary-dead" in guard.todo


STAGES: dict[str, tuple[Callable[[], Facts], str]] = {
    "all silent": (lost, "gone"),
    "database dead, its host answers": (database_dead, "gone"),
    "alive": (lambda: {**lost(hosts=()), "readings": pair.healthy()["readings"]}, "living"),
    "the server hangs": (lambda: put(lost(hosts=()), "pdc-db", "database.writable", None), "living"),
    "SSH dead, the target's database sees it write": (lambda: seen(lost(), "drc-db", 0, "writable"), "living"),
    "SSH dead, it answers and does not say what it is": (lambda: seen(lost(), "drc-db", 0, "alive"), "living"),
    "SSH dead, it serves through its door": (lambda: seen(lost(), "drc-gateway", 0, "writable"), "living"),
    "SSH dead, its application serves": (lambda: seen(lost(), "drc-gateway", 1, "writable"), "living"),
    "SSH dead, a read-only server answers": (lambda: seen(lost(), "drc-db", 0, "standby"), "gone"),
    "the old door answers and nobody serves": (lambda: seen(lost(), "drc-gateway", 0, "open"), "gone"),
    "the target is down": (lambda: put(lost(), "drc-db", "database.running", False), "blocked"),
    "the target cannot be read": (lambda: put(lost(), "drc-db", "database.running", None), "blocked"),
    "taken over": (taken_over, "done"),
    "taken over by plan, the old site died later": (lambda: taken_over(failover_record=False), "done"),
    "the target writes and no epoch says why": (lambda: put(taken_over(), "drc-db", "state.epoch", {"number": 3, "site": "pdc"}), "finish"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(STAGES)[:-1])
def test_stage(name: str) -> None:
    make, stage = STAGES[name]
    assert evaluate(make()).stage == stage


def test_a_writable_target_that_no_epoch_explains_is_refused() -> None:
    facts = taken_over()
    for host in ("drc-db", "drc-app", "drc-gateway"):
        put(facts, host, "state.epoch", {"number": 3, "site": "pdc", "at": "x"})
    assert evaluate(facts).stage == "blocked"
    assert "failover.clear" in refused(facts)


def test_a_living_site_is_moved_by_plan() -> None:
    facts = lost(hosts=())
    (guard,) = evaluate(facts).refused
    assert guard.guard_id == "failover.primary_gone"
    assert "lpse-dr switchover --from pdc --to drc" in guard.todo
    # A person's word does not make a site dead that is seen to write.
    assert facts["failover"]["statement"]


def test_a_split_is_named() -> None:
    facts = lost(hosts=())
    pair.promote(facts)
    assert evaluate(facts).stage == "blocked"
    assert "site.not_split" in refused(facts)


def test_a_site_whose_ssh_is_dead_waits_for_its_power_to_be_cut() -> None:
    facts = seen(lost(statement=""), "drc-db", 0, "writable")
    facts["failover"]["power"] = {"pdc-db": {"argv": ["off"], "seconds": 5}}
    assert (evaluate(facts).stage, refused(facts)) == ("shielded", set())
    # The command says off, and somebody is still seen: the wrong machine was switched off.
    facts["failover"]["powered"] = {"pdc-db": {"ok": True, "found": "exit 0"}}
    assert (evaluate(facts).stage, refused(facts)) == ("living", {"failover.primary_gone"})
    seen(facts, "drc-db", 0, "silent")
    assert (evaluate(facts).stage, refused(facts)) == ("gone", set())
    loss = evaluate(facts).loss
    assert loss is not None
    assert loss["proof"] == "power"


def test_a_power_fence_that_failed_proves_nothing() -> None:
    facts = lost(statement="")
    facts["failover"].update(
        power={"pdc-db": {"argv": ["off"]}}, powered={"pdc-db": {"ok": False, "found": "exit 1: no route"}}
    )
    (guard,) = evaluate(facts).refused
    assert guard.guard_id == "failover.proof"
    assert "no route" in guard.found
    # A person's word still does.
    facts["failover"]["statement"] = WORD
    assert refused(facts) == set()


@pytest.mark.parametrize(
    ("state", "stage"), [("in production", "gone"), ("shut down", "gone"), ("in crash recovery", "gone")]
)
def test_a_dead_server_on_a_host_that_answers_is_fenced_and_needs_no_word(state: str, stage: str) -> None:
    facts = seen(seen(database_dead(), "drc-db", 0, "closed"), "drc-gateway", 0, "open")
    facts["failover"]["power"] = {"pdc-db": {"argv": ["off"]}}
    put(facts, "pdc-db", "database.control", {"state": state})
    found = evaluate(facts)
    assert (found.stage, found.refused) == (stage, [])
    assert found.loss is not None
    assert found.loss["proof"] == "fence"


BAD: dict[str, tuple[Callable[[Facts], Any], set[str]]] = {
    "never in sync": (lambda f: put(f, "drc-db", "database.received_at", None), {"failover.in_sync", "failover.age"}),
    "nothing replayed": (lambda f: put(f, "drc-db", "database.lsn.replay", None), {"failover.in_sync"}),
    "older than the limit": (lambda f: put(f, "drc-db", "database.received_at", NOW - 7200), {"failover.age"}),
    "replay paused": (lambda f: put(f, "drc-db", "database.replay_paused", True), {"database.replay_not_paused"}),
    "copying halted": (lambda f: put(f, "drc-app", "files.timer", "masked"), {"failover.not_halted"}),
    "application cold": (lambda f: put(f, "drc-app", "application.health", "failed"), {"application.target"}),
    "gateway down": (lambda f: put(f, "drc-gateway", "traffic.running", False), {"gateway.running"}),
    "disk full": (lambda f: put(f, "drc-db", "database.disk.free_bytes", 1), {"database.disk"}),
    "documents not mounted": (lambda f: put(f, "drc-app", "files.exists", False), {"files.root"}),
    "clock wrong": (lambda f: put(f, "drc-db", "clock", NOW + 60), {"host.clock"}),
    "left behind": (lambda f: put(f, "drc-db", "state.epoch", {"number": 2, "site": "pdc", "at": "x"}), {"failover.epoch"}),
    "epoch of another site": (lambda f: put(f, "drc-db", "state.epoch", {"number": 3, "site": "drc", "at": "x"}), {"failover.epoch"}),
    "no epoch": (lambda f: put(f, "drc-db", "state.epoch", None), {"failover.epoch"}),
    "the database did not look": (lambda f: f["failover"]["searches"].pop("drc-db"), {"failover.looked"}),
    "the gateway did not look": (lambda f: f["failover"]["searches"].update({"drc-gateway": []}), {"failover.gateway_looked"}),
    "another operation at work": (
        lambda f: put(f, "drc-db", "state.operation", {"number": 9, "run": "r9", "holder": "a@b pid 1 since 1", "expires": NOW + 60, "open": True}),
        {"operation.free"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_by_its_guard(name: str) -> None:
    spoil, wanted = BAD[name]
    facts = lost()
    spoil(facts)
    assert refused(facts) == wanted


def test_an_old_copy_is_taken_when_that_is_accepted_in_so_many_words() -> None:
    facts = put(lost(), "drc-db", "database.received_at", NOW - 7200)
    (guard,) = evaluate(facts).refused
    assert "--accept-loss-older-than 120m" in guard.todo
    for seconds, wanted in ((7300, set()), (7000, {"failover.age"}), ("x", {"failover.age"})):
        facts["failover"]["accept_age_seconds"] = seconds
        assert refused(facts) == wanted


def test_unknown_sites_and_targets_that_do_not_answer() -> None:
    assert refused({**lost(), "to": "mars"}) == {"site.known"}
    facts = lost()
    del facts["readings"]["drc-app"]
    facts["unreachable"]["drc-app"] = "timed out"
    assert refused(facts) == {"host.reachable"}


OPEN: dict[str, tuple[Callable[[Facts], Any], str]] = {
    "epoch": (lambda f: put(f, "drc-app", "state.epoch", {"number": 3, "site": "pdc", "at": "x"}), "epoch.commit"),
    "gateway": (lambda f: put(f, "drc-gateway", "traffic.target", "pdc"), "gateway.release"),
    "hold": (lambda f: put(f, "drc-gateway", "traffic.state", "hold"), "gateway.release"),
    "name": (lambda f: put(f, "drc-gateway", "dns.site", None), "dns.point"),
    "application": (lambda f: put(f, "drc-app", "application.health", "standby"), "application.serving"),
    "fired": (lambda f: put(f, "drc-db", "state.fired", {"number": 8, "epoch": 4, "site": "drc"}), "epoch.fired"),
    "documents": (lambda f: f["readings"]["drc-app"]["state"].pop("failover"), "documents.list"),
    "sequences": (lambda f: f["readings"]["drc-db"]["state"]["failover"].pop("sequences"), "sequences.advance"),
    "claim": (lambda f: put(f, "drc-db", "state.operation.open", True), "operation.close"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_what_is_open_is_named_and_finished(name: str) -> None:
    spoil, wanted = OPEN[name]
    facts = taken_over()
    facts["holder_alive"] = False
    spoil(facts)
    found = evaluate(facts)
    assert found.stage == "finish"
    assert wanted in {item.open_id for item in found.open}
    assert found.refused == []
    assert found.epoch_target == 4


def test_an_old_database_that_answers_again_unfenced_is_open() -> None:
    facts = taken_over()
    facts["readings"]["pdc-db"] = database_dead()["readings"]["pdc-db"]
    del facts["unreachable"]["pdc-db"]
    assert {item.open_id for item in evaluate(facts).open} == {"database.fence", "epoch.commit"}


def test_without_a_name_server_no_name_is_open() -> None:
    facts = put(taken_over(), "drc-gateway", "dns", None)
    assert evaluate(facts).stage == "finish"
    assert evaluate({**facts, "nameserver": False}).stage == "done"


# --- promise 7: what was not read is never good ---------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from leaves(item, (*path, key))


def spoiled(facts: Facts, root: str, path: tuple[Any, ...], value: Any) -> Facts:
    facts = copy.deepcopy(facts)
    place: Any = facts[root]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return facts


def judged(facts: Facts) -> Evaluation:
    found = evaluate(facts)
    for guard in found.guards:
        assert guard.expected
        assert guard.found
        assert guard.todo
    return found


def test_nonsense_anywhere_ends_in_no_traceback_and_never_proves_a_site_dead() -> None:
    facts = seen(lost(), "drc-db", 0, "writable")
    nonsense: list[Any] = [None, "x", -1, [None], {}]
    for root in ("readings", "failover"):
        for path in list(leaves(facts[root])):
            for value in nonsense:
                found = judged(spoiled(facts, root, path, value))
                if path[:1] != ("searches",):
                    assert found.stage in ("living", "blocked", "shielded") or found.refused, path
                elif found.stage == "gone":
                    assert found.refused, path


NEEDED = [
    ("drc-db", "database.running"), ("drc-db", "database.in_recovery"), ("drc-db", "database.writable"), ("drc-db", "database.lsn.replay"),
    ("drc-db", "database.received_at"), ("drc-db", "database.replay_paused"), ("drc-db", "database.disk.free_bytes"), ("drc-db", "clock"),
    ("drc-db", "site"), ("drc-db", "state"), ("drc-app", "application.health"), ("drc-app", "application.unit_active"),
    ("drc-app", "files.exists"), ("drc-app", "files.timer"), ("drc-app", "files.disk.free_bytes"), ("drc-gateway", "traffic.running"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "path"), NEEDED)
def test_what_was_not_read_refuses(host: str, path: str) -> None:
    assert refused(put(lost(), host, path, None))


def test_every_text_of_a_failover_has_its_guard() -> None:
    assert {entry.guard_id for entry in failover.ORDER} <= set(GUARDS)
    assert {name for name in GUARDS if name.startswith("failover.")} <= {entry.guard_id for entry in failover.ORDER}

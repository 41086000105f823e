"""Promise 7: what was not read is never good. Every value that a guard looked at is taken away, one at a time."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import GUARDS, Evaluation, base, evaluate

from . import pair
from .pair import Facts, healthy, killed_after

SCENES: dict[str, Callable[[], Facts]] = {
    "ready": healthy,
    "ready after fence": lambda: killed_after(pair.fence),
    "continue": lambda: killed_after(pair.fire),
    "finish": lambda: killed_after(pair.promote),
    "finish as standby": lambda: killed_after(pair.start_standby),
    "done": lambda: killed_after(pair.unlock),
}
# Null is an answer here: nothing was ever recorded. A missing key is not.
MAY_BE_NULL = {("state", key) for key in ("operation", "epoch", "prepared", "fired", "halted")}
Path = tuple[Any, ...]


class Spy(dict[str, Any]):
    """A dictionary that notes which of its keys were looked at."""

    def __init__(self, content: dict[str, Any], path: Path, seen: set[Path]) -> None:
        super().__init__({key: spied(value, (*path, key), seen) for key, value in content.items()})
        self._path, self._seen = path, seen

    def __getitem__(self, key: str) -> Any:
        self._seen.add((*self._path, key))
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._seen.add((*self._path, key))
        return super().get(key, default)


def spied(value: Any, path: Path, seen: set[Path]) -> Any:
    if isinstance(value, dict):
        return Spy(value, path, seen)
    if isinstance(value, list):
        return [spied(item, (*path, number), seen) for number, item in enumerate(value)]
    return value


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from leaves(item, (*path, key))


def without(facts: Facts, path: Path, how: str) -> Facts:
    """The facts with one value made null, removed, or made into what nobody can parse."""
    facts = copy.deepcopy(facts)
    place: Any = facts["readings"]
    for key in path[:-1]:
        place = place[key]
    if how == "missing" and isinstance(place, dict):
        del place[path[-1]]
    else:
        place[path[-1]] = None if how in ("null", "missing") else object()
    return facts


def looked_at(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], set[Path]]:
    """Which values each guard read, guard by guard and host by host."""
    seen: set[Path] = set()
    by_guard: dict[tuple[str, str], set[Path]] = {}
    original = base.ask

    def ask(entry: Any, view: Any, host: str) -> Any:
        seen.clear()
        answer = original(entry, view, host)
        by_guard[(entry.guard_id, host)] = set(seen)
        return answer

    import lpse_dr.plugins.module_utils.lpse_dr_guards as package

    with monkeypatch.context() as patch:
        patch.setattr(package, "ask", ask)
        evaluate({**facts, "readings": spied(facts["readings"], (), seen)})
    return by_guard


def results(found: Evaluation) -> dict[tuple[str, str], bool]:
    return {(guard.guard_id, guard.host): guard.ok for guard in found.guards}


# Looked at only to say more in a sentence, or in a way where nothing read means the stricter reading. Each with its reason.
EXPLAINED = {
    "config": "see the two keys; what must be there is tried below",
    "config.database_slot_prefix": "unset is the default name; a wrong name finds no slot",
    "config.application_warm": "unset is warm, the stricter demand",
    "state.operation.run": "words of operation.free",
    "state.operation.holder": "words of operation.free",
    "files.root": "words of files.root",
    "files.peer_error": "words of files.peer",
    "files.last_sync.error": "words of files.last_sync",
    "dns.error": "words of dns.update",
    "state.epoch.site": "an epoch without a site is no epoch: judged by every guard that reads it",
    "database.receiver": "null is: not streaming",
    "traffic.target": "words only while the gateway holds clients back",
    "database.lsn.receive": "either of two positions is proof",
    "database.senders.0.application_name": "a sender without its name is a foreign one",
    "database.senders.0.client_addr": "words of database.foreign_senders",
    "database.timeline_history.0.timeline": "not the timeline that is looked for",
    "database.timeline_history.1.timeline": "not the timeline that is looked for",
    "database.timeline_history.0.lsn": "not the timeline that is looked for",
    "database.timeline_history.1.lsn": "not the timeline that is looked for",
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("how", ["null", "missing", "garbage"])
def test_a_guard_fails_on_what_it_read_and_can_read_no_more(
    scene: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = SCENES[scene]()
    before = evaluate(facts)
    assert not before.refused
    seen = looked_at(facts, monkeypatch)
    assert set(seen) == {
        key for key in results(before) if not key[0].startswith(("site.known", "site.differ", "inventory"))
    }
    tried = 0
    passed: list[str] = []
    for path in leaves(facts["readings"]):
        readers = [guard for guard, paths in seen.items() if path in paths]
        dotted = ".".join(str(part) for part in path[1:])
        if not readers or dotted in EXPLAINED or (how == "null" and path[1:] in MAY_BE_NULL):
            continue
        tried += 1
        found = evaluate(without(facts, path, how))
        after = results(found)
        assert found.refused or found.stage == "finish", (path, how)
        for guard in readers:
            # A guard that is not asked any more is no pass: the stage has become another, and says no itself.
            # A host without any reading fails host.read; whether it was reachable is known without one.
            if (
                len(path) == 1
                and guard[0] in ("host.reachable", "host.key", "host.sudo")
                and not after[("host.read", guard[1])]
            ):
                continue
            if after.get(guard, False) and found.stage == before.stage:
                passed.append(f"{guard} still passes without {path}")
    assert not passed
    assert tried > 20


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_that_is_read_at_all_may_vanish_and_be_called_done_or_ready(scene: str) -> None:
    """Whole hosts, whole nouns: every piece of a reading that is taken away leaves a refusal or an open end."""
    facts = SCENES[scene]()
    for host in pair.HOSTS:
        nothing: list[Any] = [None, "text", [], {}]
        for broken in nothing:
            found = evaluate({**facts, "readings": {**facts["readings"], host: broken}})
            assert found.refused, (host, broken)


@pytest.mark.parametrize("scene", ["ready after fence", "continue", "finish as standby"])
def test_nonsense_never_raises_and_leaves_no_hole_in_a_sentence(scene: str) -> None:
    facts = SCENES[scene]()
    nonsense: list[Any] = ["x", -1, float("nan"), [None], {}]
    for number, path in enumerate(list(leaves(facts["readings"]))):
        place: Any = facts["readings"]
        for key in path[:-1]:
            place = place[key]
        kept = place[path[-1]]
        # One kind of nonsense for each value, in turn; all of them everywhere takes too long.
        place[path[-1]] = nonsense[number % len(nonsense)]
        for guard in evaluate(facts).guards:
            assert guard.expected and guard.found and guard.todo
            assert not re.search(r"\{[a-z_]+\}|\?", guard.expected + guard.found) or not guard.ok
        place[path[-1]] = kept


def test_every_text_has_its_guard_and_every_guard_is_asked_somewhere() -> None:
    asked = {guard.guard_id for scene in SCENES.values() for guard in evaluate(scene()).guards}
    split = pair.put(healthy(), "drc-db", "database.running", None)
    asked |= {guard.guard_id for guard in evaluate(split).guards}
    # Those of the other operations are asked elsewhere: test_failover.py, test_standby.py, test_vlan.py.
    assert asked == {name for name in GUARDS if not name.startswith(("failover.", "standby.", "vlan."))}


def test_a_database_host_without_its_configuration_is_refused() -> None:
    for host in ("pdc-db", "drc-db"):
        assert {guard.guard_id for guard in evaluate(pair.put(healthy(), host, "config", None)).refused} == {
            "database.major_tested"
        }


def test_no_reading_says_so() -> None:
    found = {
        guard.guard_id: guard for guard in evaluate(pair.put(healthy(), "drc-db", "database.lag_bytes", None)).refused
    }
    assert list(found) == ["database.lag_bytes"]
    assert found["database.lag_bytes"].found == "no reading: database.lag_bytes of drc-db"


@pytest.mark.parametrize("key", ["now", "read_seconds"])
def test_a_clock_cannot_be_judged_without_ones_own(key: str) -> None:
    assert {guard.guard_id for guard in evaluate({**healthy(), key: None}).refused} == {"host.clock"}


@pytest.mark.parametrize(
    "limit",
    [
        "lag_bytes",
        "lag_seconds",
        "clock_skew_seconds",
        "long_transaction_seconds",
        "disk_free_bytes",
        "files_sync_age_seconds",
    ],
)
@pytest.mark.parametrize("value", [None, "much", -1, True])
def test_a_limit_that_is_none_lets_nothing_pass(limit: str, value: Any) -> None:
    assert evaluate({**healthy(), "limits": {limit: value}}).refused

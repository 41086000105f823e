"""Who may write: every row of the tables by which guards answer, judge and act."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import fence_rules as rules
from lpse_dr.plugins.module_utils.lpse_dr_host.fence_application import outlived, unix_time
from lpse_dr.plugins.module_utils.lpse_dr_host.fence_rules import Facts

NOW = 1_800_000_000.0
PDC2, DRC2, DRC3 = ({"number": n, "site": s} for n, s in ((2, "pdc"), (2, "drc"), (3, "drc")))
ASKS = {"host": "pdc-db", "site": "pdc", "want": "permit", "epoch": PDC2}
GATEWAY, DATABASE = {"site": "drc", "role": "gateway"}, {"site": "drc", "role": "database"}
ALIVE = {"number": 7, "run": "r", "open": True, "expires": NOW + 60}
DEAD = {**ALIVE, "expires": NOW - 1}
FIRED = {"number": 7, "run": "r", "epoch": 3, "site": "drc", "control": {}}


def state(**parts: Any) -> dict[str, Any]:
    return {"operation": None, "epoch": PDC2, "prepared": None, "fired": None, "saved": {}, **parts}


# who is asked, what it knows, whether its own database takes writes, what it says
ANSWERS: list[tuple[str, dict[str, Any], dict[str, Any], bool | None, str]] = [
    ("the other gateway", GATEWAY, state(), False, "permit"),
    ("the other database host", DATABASE, state(), False, "permit"),
    ("which takes writes itself", DATABASE, state(), True, "forbid"),
    ("which does not know itself", DATABASE, state(), None, "none"),
    ("the own gateway", {"site": "pdc", "role": "gateway"}, state(), False, "none"),
    ("the name server", {"site": "", "role": "nameserver"}, state(), False, "none"),
    ("a jump host of the other site", {"site": "drc", "role": "jump"}, state(), False, "none"),
    ("the other application host", {"site": "drc", "role": "application"}, state(), False, "none"),
    ("the name server, newer", {"site": "", "role": "nameserver"}, state(epoch=DRC3), False, "forbid"),
    ("the own gateway, newer", {"site": "pdc", "role": "gateway"}, state(epoch=DRC3), False, "forbid"),
    ("the other gateway, newer", GATEWAY, state(epoch=DRC3), False, "forbid"),
    ("one number, two sites", GATEWAY, state(epoch=DRC2), False, "forbid"),
    ("restored from a snapshot", GATEWAY, state(epoch={"number": 1, "site": "pdc"}), False, "none"),
    ("knows that the one who asks was to get it", GATEWAY, state(epoch={"number": 1, "site": "drc"}, prepared=PDC2), False, "permit"),
    ("knows no epoch", GATEWAY, state(epoch=None), False, "none"),
    ("cannot read its epoch", GATEWAY, state(epoch={"number": "2", "site": "pdc"}), False, "none"),
    ("promotion decided", DATABASE, state(fired=FIRED), False, "forbid"),
    ("promotion decided, seen from the gateway", GATEWAY, state(prepared=DRC3), False, "wait"),
    ("a switch is under way", DATABASE, state(prepared=DRC3, operation=ALIVE), False, "wait"),
    ("a switch died before it was decided", DATABASE, state(prepared=DRC3, operation=DEAD), False, "permit"),
    ("what was prepared is long past", DATABASE, state(prepared={"number": 2, "site": "drc"}), False, "permit"),
    ("a switch to the site that asks", GATEWAY, state(prepared={"number": 3, "site": "pdc"}), False, "permit"),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "me", "known", "writable", "says"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_what_a_witness_answers(
    _name: str, me: dict[str, Any], known: dict[str, Any], writable: bool | None, says: str
) -> None:
    assert rules.answer(me, known, ASKS, NOW, writable).verdict == says


def test_only_a_dead_run_is_overruled() -> None:
    verdicts = {name: rules.answer(me, known, ASKS, NOW, writable) for name, me, known, writable, _ in ANSWERS}
    assert [name for name, verdict in verdicts.items() if verdict.taking_over] == [
        "a switch died before it was decided"
    ]


def test_news_is_no_permission() -> None:
    assert rules.answer(GATEWAY, state(), {**ASKS, "want": "news"}, NOW, False).verdict == "none"


def test_a_site_that_does_not_own_the_epoch_gets_none() -> None:
    asks = {**ASKS, "epoch": DRC2}
    assert rules.answer(GATEWAY, state(epoch=DRC2), asks, NOW, False).verdict == "none"
    assert rules.answer(GATEWAY, state(), {**ASKS, "site": "drc", "epoch": PDC2}, NOW, False).verdict == "none"
    assert rules.answer(GATEWAY, state(epoch=None), {**ASKS, "epoch": None}, NOW, False).verdict == "none"


def said(verdict: str, epoch: Any = PDC2) -> dict[str, Any]:
    return {"verdict": verdict, "why": verdict, "epoch": epoch}


LOST = {"error": "timed out"}
JUDGED: list[tuple[str, dict[str, dict[str, Any]], str]] = [
    ("one permits", {"drc-db": said("permit"), "ns": LOST}, "permit"),
    ("one permits, one forbids", {"drc-db": said("permit"), "ns": said("forbid")}, "forbid"),
    ("one permits, one knows a newer epoch", {"drc-db": said("permit"), "ns": said("none", DRC3)}, "forbid"),
    ("one permits, one knows another site", {"drc-db": said("permit"), "ns": said("none", DRC2)}, "forbid"),
    ("the database host permits over a gateway that waits", {"drc-db": said("permit"), "drc-gateway": said("wait")}, "permit"),
    ("a gateway alone waits", {"drc-db": LOST, "drc-gateway": said("wait")}, "wait"),
    ("nobody answers", {"drc-db": LOST, "drc-gateway": LOST}, "none"),
    ("only the own side answers", {"drc-db": LOST, "pdc-gateway": said("none")}, "none"),
    ("nobody to ask", {}, "none"),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "answers", "verdict"), JUDGED, ids=[row[0] for row in JUDGED])
def test_what_answers_amount_to(_name: str, answers: dict[str, dict[str, Any]], verdict: str) -> None:
    found = rules.judge((2, "pdc"), answers)
    assert found.verdict == verdict
    assert found.why


LIFT = {"by": "budi", "reason": "x", "epoch": 2, "until": NOW + 60, "used": None}


@pytest.mark.parametrize(
    ("lift", "holds"),
    [(LIFT, True), (None, False), ({**LIFT, "used": "x"}, False), ({**LIFT, "until": NOW - 1}, False), ({**LIFT, "epoch": 1}, False),
     ({**LIFT, "epoch": 3}, False), ({}, False), ({"by": "budi"}, False)],
)  # fmt: skip
def test_a_lift_is_for_one_epoch_one_opening_and_a_time(lift: Any, holds: bool) -> None:
    assert rules.lift_holds(state(lift=lift), NOW) is holds


UP = Facts(True, True, "in production", True, True)
STANDBY = Facts(True, True, "in archive recovery", True, False)
DOWN = Facts(True, False, "shut down", True, False)
DIED = Facts(True, False, "in production", True, False)
ACTS: list[tuple[str, dict[str, Any], Facts, bool, str]] = [
    ("the active primary", state(), UP, True, "keep"),
    ("the active primary, unfenced", state(), UP._replace(signal=False), True, "keep"),
    ("a loser", state(epoch=DRC3), UP, True, "stop"),
    ("just promoted", state(epoch=DRC2, fired={**FIRED, "site": "pdc"}), UP, True, "keep"),
    ("no epoch known", state(epoch=None), UP, True, "keep"),
    ("not asked yet", state(epoch=DRC3), UP._replace(writable=None), True, "look"),
    ("a standby", state(epoch=DRC3), STANDBY, True, "none"),
    ("no epoch known, read-only", state(epoch=None), STANDBY, True, "none"),
    ("read-only after a crash", state(), STANDBY, True, "open"),
    ("a promotion under way", state(), STANDBY._replace(signal=False), True, "none"),
    ("read-only, a run is at work", state(operation=ALIVE), STANDBY, True, "none"),
    ("read-only, a run died", state(operation=DEAD), STANDBY, True, "open"),
    ("stopped by a person", state(), DOWN, True, "none"),
    ("unfenced by a person", state(), DOWN._replace(signal=False), True, "fence"),
    ("unfenced by a run", state(operation=ALIVE), DOWN._replace(signal=False), True, "none"),
    ("died", state(), DIED, True, "start"),
    ("promoted, died before the epoch was committed", state(epoch=DRC2, fired={**FIRED, "site": "pdc"}), STANDBY._replace(promoted=True), False, "open"),
    ("decided, died before it was promoted", state(epoch=DRC2, fired={**FIRED, "site": "pdc"}), STANDBY, False, "none"),
    ("promoted for an epoch that is over", state(epoch=DRC3, fired={**FIRED, "site": "pdc"}), STANDBY._replace(promoted=True), False, "none"),
    ("died, a run is at work", state(operation=ALIVE), DIED, True, "none"),
    ("died as a loser", state(epoch=DRC3), DIED, True, "none"),
    ("not started since the power came back", state(), DIED, False, "none"),
    ("no cluster", state(), Facts(False, False, "", False, None), False, "none"),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "known", "facts", "ran", "act"), ACTS, ids=[row[0] for row in ACTS])
def test_what_a_guard_does(_name: str, known: dict[str, Any], facts: Facts, ran: bool, act: str) -> None:
    assert rules.next_act("pdc", known, facts, NOW, ran) == act


def test_what_the_guard_itself_stopped_it_starts_again_but_not_under_a_run() -> None:
    down = DOWN._replace(control="shut down in recovery")
    assert rules.next_act("pdc", state(), down, NOW, True, True) == "start"
    assert rules.next_act("pdc", state(operation=ALIVE), down, NOW, True, True) == "none"
    assert rules.next_act("pdc", state(epoch=DRC3), down, NOW, True, True) == "none"


@pytest.mark.parametrize(
    ("known", "promoted", "opens"),
    [
        (state(held=PDC2), False, True),
        (state(), False, False),
        (state(held={"number": 1, "site": "pdc"}), False, False),
        (state(held=DRC2), False, False),
        (state(epoch=DRC2, fired={**FIRED, "site": "pdc"}, held={"number": 1, "site": "pdc"}), True, True),
        (state(epoch=DRC2, fired={**FIRED, "site": "pdc"}), False, False),
        (state(epoch={"number": 3, "site": "pdc"}, fired={**FIRED, "site": "pdc"}), True, True),
    ],
)
def test_only_a_database_that_took_writes_in_this_epoch_is_the_right_one(
    known: Any, promoted: bool, opens: bool
) -> None:
    assert rules.held(known, "pdc", promoted) is opens


AT = "2027-01-15T08:00:00.000Z"
BEGAN = unix_time(AT)


@pytest.mark.parametrize(
    ("epoch", "began", "stops"),
    [
        ({**DRC3, "at": AT}, BEGAN - 1, True),
        ({**DRC3, "at": AT}, BEGAN + 1, False),
        ({**PDC2, "at": AT}, BEGAN - 1, False),
        (None, BEGAN, False),
        ({**DRC3, "at": AT, "learned": "ns"}, None, True),
        ({**DRC3, "at": AT}, None, False),
        ({**DRC3, "at": BEGAN}, BEGAN - 1, True),
    ],
)
def test_an_application_does_not_outlive_its_epoch(epoch: Any, began: float | None, stops: bool) -> None:
    assert outlived("pdc", state(epoch=epoch), began) is stops

"""A host of the office is infected: staff are cut off while vendors go on, the last clean backup is found, all is let in again."""

from __future__ import annotations

import datetime
import time

import pytest

from lpse_dr.lab.audit import audit
from lpse_dr.lab.crossing import Crossing
from lpse_dr.lab.load import LoadSession
from lpse_dr.lab.model import Lab

from . import reality
from .conftest import Answer, lpse_dr

pytestmark = pytest.mark.lab

FRONT_DOOR = "curl -sk -o /dev/null --max-time 2 -w '%{{http_code}}' --resolve spse.lomboktengah.test:443:{0} https://spse.lomboktengah.test/health; true"


def vlan(lab: Lab, *words: str) -> Answer:
    """Give an order as a script would."""
    answer = lpse_dr("--lab", lab.name, "--output", "json", "vlan", *words, "--yes", "--reason", "test")
    assert answer.json["exit_code"] == answer.code, answer.stderr
    return answer


def staff_see(lab: Lab) -> str:
    """Return the status that a person in the office gets at the front door; 000 is none."""
    return reality.on(lab, "pdc-office", FRONT_DOOR.format(lab.hosts["pdc-gateway"].addresses["public"]))


def test_staff_are_cut_off_while_the_public_service_stays(lab: Lab, active: str) -> None:
    assert staff_see(lab) == "200"
    with LoadSession(lab, seconds=45, clients=4) as session:
        time.sleep(3)
        cut = vlan(lab, "isolate", "office")
        assert (cut.json["verdict"], cut.json["changed"]) == ("COMPLETED", True), cut.json
        assert staff_see(lab) == "000"
        again = vlan(lab, "isolate", "office")
        assert (again.json["verdict"], again.json["changed"]) == ("COMPLETED", False), again.json
        released = vlan(lab, "release")
        assert released.json["verdict"] == "COMPLETED", released.json
        assert released.json["figures"]["other_rules_unchanged"] is True
        session.stop()
        load = session.collect()
    assert (load.failed, load.errors) == (0, {})
    assert load.requests > 0
    assert audit(lab).lost == ()
    assert staff_see(lab) == "200"


def test_nothing_passes_any_border_soon_after_the_order(lab: Lab, active: str) -> None:
    with Crossing(lab, seconds=25) as crossing:
        began = time.time()
        answer = vlan(lab, "isolate", "total")
        confirmed = time.time() - began
        last = crossing.last_answers()
    try:
        assert answer.json["verdict"] == "COMPLETED", answer.json
        assert answer.json["figures"]["apart_seconds"] <= 2
        # The figures themselves are script/bench's to tell, on a machine that does nothing else.
        assert all(began < moment < began + 12 for moment in last.values()), last
        assert confirmed < 45
    finally:
        assert vlan(lab, "release").json["verdict"] == "COMPLETED"


def say(lab: Lab, *words: str) -> Answer:
    """Give any order as a script would; it must be done and proven."""
    answer = lpse_dr("--lab", lab.name, "--output", "json", *words)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), answer.json
    return answer


# It looks into every document that the tests before have left, gigabytes; each part has an everyday test of its own.
@pytest.mark.full
def test_the_last_clean_backup_is_found_and_brought_up_while_vendors_go_on(lab: Lab, active: str) -> None:
    standby = next(site for site in ("pdc", "drc") if site != active)
    because = ("--yes", "--reason", "virus")
    taken = say(lab, "backup", "take", *because).json["figures"]
    since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with LoadSession(lab, seconds=150, clients=4) as session:
        assert vlan(lab, "isolate", "office").json["verdict"] == "COMPLETED"
        first_sign = ("--infected-since", since, "--margin", "0s")
        say(lab, "replication", "halt", "--at", standby, *first_sign, *because)
        found = say(lab, "backup", "find-clean", *first_sign).json["figures"]
        assert found["clean_set"] == taken["set"]
        # The journal of the machine that took it says that it is what was taken.
        assert (found["sets"][0]["proof"], found["sets"][0]["figures"]["documents"]) == (
            "journal",
            taken["documents"],
        )
        up = say(lab, "backup", "restore", taken["set"], "--into", "quarantine", *because).json["figures"]
        assert (up["network"], up["read_only"], up["without_document"]) == (["lo"], True, 0)
        assert up["bids"] == found["sets"][0]["figures"]["rows"]
        say(lab, "backup", "cleanup", taken["set"], *because)
        assert vlan(lab, "release").json["verdict"] == "COMPLETED"
        say(lab, "replication", "resume", "--at", standby, "--ordered-by", "Koordinator", *because)
        session.stop()
        load = session.collect()
    assert (load.failed, load.errors) == (0, {})
    assert audit(lab).lost == ()

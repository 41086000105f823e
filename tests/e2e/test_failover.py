"""The failover on a real lab: a site that is lost under load, refused while it lives, killed at borders, half of it dead."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.lab import docker, manage, power
from lpse_dr.lab.audit import FILES_ROOT, audit, site_states
from lpse_dr.lab.bids import read_bids
from lpse_dr.lab.load import LoadSession
from lpse_dr.lab.model import Lab

from . import reality
from .conftest import NAME, Answer, lpse_dr, other
from .killing import Stopped, play, run_and_kill
from .rebuild import rebuild

pytestmark = pytest.mark.lab
WORD = "power cut by the test"
SIGNAL = "/var/lib/postgresql/15/main/standby.signal"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of this module alone: nothing here is for the faint-hearted."""
    name = f"{NAME[:8]}lost"
    yield manage.up(name, lambda line: None)
    manage.down(name, lambda line: None)


@pytest.fixture
def active(lab: Lab) -> str:
    """The site that is writable now; each test rebuilds the one that it has lost."""
    found = reality.writable_sites(lab)
    assert len(found) == 1, site_states(lab)
    return found[0]


def hosts(site: str) -> list[str]:
    return [f"{site}-{kind}" for kind in ("db", "app", "gateway")]


def lose(lab: Lab, *names: str) -> float:
    """Cut the power of these hosts in one moment; return it (CLOCK_MONOTONIC)."""
    docker.run("kill", *[lab.hosts[name].container for name in names])
    return time.monotonic()


def failover(lab: Lab, target: str, *more: str) -> Answer:
    return lpse_dr(f"--lab={lab.name}", "--output", "json", "failover", "--to", target, "--yes", *more)


def extra(source: str, **more: Any) -> dict[str, Any]:
    return {"from_site": source, "to_site": other(source), "failover_statement": WORD, **more}


def run_folder(lab: Lab, answer: Answer) -> Path:
    return next((lab.office.parent / "state").glob(f"incidents/*/runs/{answer.json['run']}"))


def moments(folder: Path) -> dict[str, float]:
    """Return when each step of a run began (unix time)."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return {
        event.get("step") or event.get("phase"): datetime.fromisoformat(event["at"]).replace(tzinfo=UTC).timestamp()
        for event in events
        if event["kind"] in ("progress", "phase")
    }


def missing_there(lab: Lab, site: str, paths: list[str]) -> set[str]:
    """Return those of the documents that a site does not have, looked for by another way than the tool's."""
    look = f'cd {FILES_ROOT}; while read -r path; do [ -e "$path" ] || echo "$path"; done'
    said = docker.run(
        "exec", "-i", lab.hosts[f"{site}-app"].container, "sh", "-c", look, stdin="\n".join([*paths, ""]).encode()
    )
    return set(said.split())


def test_a_living_primary_is_refused_and_nothing_is_changed(lab: Lab, active: str) -> None:
    before = reality.snapshot(lab)
    answer = failover(lab, other(active), "--assume-primary-dead", WORD)
    assert (answer.code, answer.json["verdict"]) == (3, "REFUSED")
    assert answer.json["error"]["id"] == "failover.primary_gone"
    assert f"switchover --from {active} --to {other(active)}" in answer.json["error"]["next_command"]
    checked = lpse_dr(
        f"--lab={lab.name}", "--output", "json", "site", "check", "--for", "failover", "--to", other(active)
    )
    assert (checked.code, checked.json["error"]["id"]) == (3, "failover.primary_gone")
    assert reality.snapshot(lab) == before


def test_status_tells_what_a_failover_now_would_cost(lab: Lab, active: str) -> None:
    answer = lpse_dr(f"--lab={lab.name}", "--output", "json", "status")
    cost = answer.json["if_it_dies_now"]
    assert cost["site"] == active
    assert cost["wal_bytes"] >= 0
    assert cost["documents"] >= 0


def test_lost_under_load_the_other_site_serves_and_the_list_is_the_set_of_what_is_missing(
    lab: Lab, active: str
) -> None:
    target = other(active)
    # Vendors who wait for an answer of a site that is gone would wait longer than the failover takes.
    with LoadSession(lab, seconds=120, clients=4, patience_seconds=2) as session:
        time.sleep(6)
        lose(lab, *hosts(active))
        time.sleep(1)
        wall, began = time.time(), time.monotonic()
        answer = failover(lab, target, "--assume-primary-dead", WORD, "--reason", "test")
        assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), (answer.json["error"], answer.stderr)
        time.sleep(5)
        session.stop()
        result = session.collect()
    steps = moments(run_folder(lab, answer))
    bids = [bid for bid in read_bids(result.folder / "load.jsonl") if bid.error is None]
    first = min(bid.end for bid in bids if bid.site == target) - began
    print(f"\nfirst accepted bid {steps['publish'] - wall:.2f} s after the command, a vendor's {first:.2f} s")  # noqa: T201
    # The claim is a median of 4 s, measured by itself; here three other suites may share the machine.
    assert steps["publish"] - wall < 8
    assert reality.writable_sites(lab) == [target]

    # What the site is missing is what was listed, both ways; what was never received came after what was named.
    documents, figures = answer.json["documents"], answer.json["figures"]
    acknowledged = {str(bid.receipt): bid for bid in bids}
    lost = audit(lab, result.folder).lost
    without_file = {item.receipt for item in lost if item.reason != "no_row"}
    assert {item["id"] for item in documents} & set(acknowledged) == without_file
    assert missing_there(lab, target, [item["path"] for item in documents]) == {item["path"] for item in documents}
    assert figures["documents_absent"] == len(documents) > 0
    assert all(item["vendor"] and item["tender"] for item in documents)
    offset = time.time() - time.monotonic()
    for item in lost:
        if item.reason == "no_row":
            assert acknowledged[item.receipt].end + offset >= answer.json["loss"]["last_commit_at"] - 0.05

    # No number is given twice.
    moved = figures["sequences"]["public.bid_number"]
    assert moved["to"] == moved["from"] + 1000
    query = "SELECT min(number) FROM bid WHERE vendor = 'lpse-dr' AND tender = 'UJI-" + answer.json["run"] + "'"
    number = reality.on(lab, f"{target}-db", f'runuser -u postgres -- psql -XAtqc "{query}" epns_prod')
    assert int(number) > moved["to"]

    # The journal has the word, and the point of no return before what followed it.
    journal = (run_folder(lab, answer).parent.parent / "journal.jsonl").read_text()
    assert WORD in journal
    assert "run.fired" in journal

    before = reality.snapshot(lab)
    again = failover(lab, target, "--assume-primary-dead", WORD)
    assert (again.json["verdict"], again.json["changed"]) == ("COMPLETED", False)
    assert reality.snapshot(lab) == before
    rebuild(lab, active, target)


def test_only_the_database_host_is_dead(lab: Lab, active: str) -> None:
    """Gateway and application of the old site live: they are fenced and lead on, and the power fence is proof enough.

    The first run is killed before it promotes, the same command finishes what it began.
    """
    target = other(active)
    lose(lab, f"{active}-db")
    before = reality.snapshot(lab)
    refused = play(lab, "failover", {"from_site": active, "to_site": target, "failover_power_command": []})
    assert refused.returncode != 0
    assert "failover.proof" in refused.stdout
    assert "--assume-primary-dead" in refused.stdout
    assert reality.snapshot(lab) == before
    run_and_kill(lab, {"from_site": active, "to_site": target}, "promote", "before", "failover")
    assert reality.writable_sites(lab) == []
    answer = failover(lab, target)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), (answer.json["error"], answer.stderr)
    assert answer.json["figures"]["proof"] == "power"
    assert (
        reality.on(
            lab, f"{active}-app", "ls /etc/lpse-dr/application-stopped; systemctl is-active spse; true"
        ).split()[-1]
        == "inactive"
    )
    choice = reality.on(lab, f"{active}-gateway", "cat /etc/haproxy/lpse-dr.map")
    assert f"target {target}" in choice
    assert "state open" in choice
    rebuild(lab, active, target)


BORDERS = [
    ("fire", "before"),
    ("promote", "during"),
    ("advance_sequences", "before"),
    ("release", "before"),
    ("list_documents", "before"),
]


@pytest.mark.full
@pytest.mark.parametrize(("step", "moment"), BORDERS, ids=[f"{moment}-{step}" for step, moment in BORDERS])
def test_killed_at_a_border_the_same_command_finishes_it(lab: Lab, active: str, step: str, moment: str) -> None:
    target = other(active)
    lose(lab, *hosts(active))
    run_and_kill(lab, extra(active), step, moment, "failover")
    assert len(reality.writable_sites(lab)) <= 1
    answer = failover(lab, target, "--assume-primary-dead", WORD)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), (answer.json["error"], answer.stderr)
    assert reality.writable_sites(lab) == [target]
    state = json.loads(reality.on(lab, f"{target}-db", "cat /var/lib/lpse-dr/state.json"))
    assert (state["epoch"]["site"], state["fired"], state["prepared"]) == (target, None, None)
    sequences = state["failover"]["sequences"]["public.bid_number"]
    assert sequences["to"] == sequences["from"] + 1000
    rebuild(lab, active, target)


@pytest.mark.full
def test_a_dead_server_on_a_living_host_is_fenced_for_good(lab: Lab, active: str) -> None:
    target = other(active)
    reality.on(lab, f"{active}-db", "systemctl kill -s KILL postgresql@15-main; sleep 1; true")
    answer = failover(lab, target)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), (answer.json["error"], answer.stderr)
    assert (answer.json["figures"]["proof"], power.is_on(lab, f"{active}-db")) == ("fence", True)
    reality.on(lab, f"{active}-db", f"ls {SIGNAL}; systemctl start postgresql@15-main; true")
    assert reality.writable_sites(lab) == [target]
    rebuild(lab, active, target)


@pytest.mark.full
def test_a_living_database_without_ssh_is_switched_off_first(lab: Lab, active: str) -> None:
    target = other(active)
    reality.on(lab, f"{active}-db", "systemctl stop ssh.socket ssh.service; pkill -x sshd; true")
    refused = play(lab, "failover", extra(active, failover_power_command=[]))
    assert refused.returncode != 0
    assert "failover.primary_gone" in refused.stdout
    assert reality.writable_sites(lab) == [active]
    answer = failover(lab, target, "--assume-primary-dead", WORD)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), (answer.json["error"], answer.stderr)
    assert (answer.json["figures"]["proof"], power.is_on(lab, f"{active}-db")) == ("power", False)
    rebuild(lab, active, target)


@pytest.mark.full
def test_without_its_name_server_it_goes_on_and_says_what_is_left(lab: Lab, active: str) -> None:
    target = other(active)
    lose(lab, *hosts(active))
    power.freeze(lab, "ns")
    try:
        answer = failover(lab, target, "--assume-primary-dead", WORD)
    finally:
        power.thaw(lab, "ns")
    assert (answer.code, answer.json["verdict"]) == (5, "INCOMPLETE"), answer.stderr
    assert "dns.point" in answer.json["error"]["found"]
    assert reality.writable_sites(lab) == [target]
    again = failover(lab, target, "--assume-primary-dead", WORD)
    assert (again.code, again.json["verdict"]) == (0, "COMPLETED"), again.json["error"]
    rebuild(lab, active, target)


@pytest.mark.full
def test_a_halted_standby_is_refused_and_nothing_is_changed(lab: Lab, active: str) -> None:
    target = other(active)
    lose(lab, *hosts(active))
    reality.on(
        lab,
        f"{target}-app",
        "mkdir -p /etc/lpse-dr && touch /etc/lpse-dr/files-halted && systemctl stop lpse-dr-files.timer",
    )
    before = reality.snapshot(lab)
    answer = failover(lab, target, "--assume-primary-dead", WORD)
    assert (answer.code, answer.json["error"]["id"]) == (3, "failover.not_halted")
    assert reality.snapshot(lab) == before
    reality.on(lab, f"{target}-app", "rm /etc/lpse-dr/files-halted && systemctl start lpse-dr-files.timer")
    power.power_on(lab, *hosts(active))


@pytest.mark.full
def test_a_target_that_vanishes_after_it_got_the_order_is_unknown(lab: Lab, active: str) -> None:
    target = other(active)
    lose(lab, *hosts(active))
    try:
        with Stopped(lab, extra(active), "promote", "failover") as run:
            power.power_off(lab, f"{target}-db")
            run.go_on()
            assert run.wait() != 0
            assert "UNKNOWN" in run.output()
    finally:
        power.power_on(lab, f"{target}-db")
    time.sleep(3)
    answer = failover(lab, target, "--assume-primary-dead", WORD)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), (answer.json["error"], answer.stderr)
    rebuild(lab, active, target)

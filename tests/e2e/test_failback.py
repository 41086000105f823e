"""There and back: the primary is killed under load, the other site takes over, the lost one comes back and is active again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lpse_dr.lab import docker, manage, power
from lpse_dr.lab.audit import FILES_ROOT, audit, site_states
from lpse_dr.lab.bids import read_bids
from lpse_dr.lab.load import LoadSession
from lpse_dr.lab.model import Lab

from . import reality
from .conftest import NAME, Answer, lpse_dr, other
from .killing import play, run_and_kill

pytestmark = pytest.mark.lab
WORD = "power cut by the test"
DATA = "/var/lib/postgresql/15/main"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of this module alone: sites are lost here."""
    name = f"{NAME[:8]}back"
    yield manage.up(name, lambda line: None)
    manage.down(name, lambda line: None)


@pytest.fixture
def active(lab: Lab) -> str:
    """The site that is writable now."""
    found = reality.writable_sites(lab)
    assert len(found) == 1, site_states(lab)
    return found[0]


def command(lab: Lab, *words: str, timeout: float = 300) -> Answer:
    return lpse_dr(f"--lab={lab.name}", "--output", "json", *words, "--yes", "--reason", "test", timeout=timeout)


def lose(lab: Lab, site: str, cut_seconds: float = 0) -> None:
    """Cut the power of a whole site; with ``cut_seconds`` it takes bids for so long of which the other hears nothing."""
    if cut_seconds:
        for kind in ("db", "app"):
            power.cut_between(lab, f"{site}-{kind}", f"{other(site)}-{kind}")
        time.sleep(cut_seconds)
    docker.run("kill", *[lab.hosts[f"{site}-{kind}"].container for kind in ("db", "app", "gateway")])


def come_back(lab: Lab, site: str) -> None:
    power.mend_all(lab)
    power.power_on(lab, *[f"{site}-{kind}" for kind in ("db", "app", "gateway")])


def bids_at(lab: Lab, site: str) -> set[str]:
    """Return the bids that a site's database has, looked at past the tool."""
    query = "runuser -u postgres -- psql -XAtqc 'SELECT id FROM bid' epns_prod"
    return set(reality.on(lab, f"{site}-db", query).split())


def files_at(lab: Lab, site: str) -> set[str]:
    return set(
        reality.on(lab, f"{site}-app", f"cd {FILES_ROOT} && find . -name '*.bid' -not -path './.lpse-dr/*'").split()
    )


def test_there_and_back_under_load(lab: Lab, active: str) -> None:
    target = other(active)
    with LoadSession(lab, seconds=60, clients=4, patience_seconds=2) as session:
        time.sleep(4)
        lose(lab, active, cut_seconds=0.7)
        answer = command(lab, "failover", "--to", target, "--assume-primary-dead", WORD)
        assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), answer.json["error"]
        time.sleep(2)
        session.stop()
        result = session.collect()
    lost = audit(lab, result.folder).lost
    no_row = {item.receipt for item in lost if item.reason == "no_row"}
    no_file = {item.receipt for item in lost if item.reason != "no_row"}
    assert no_row, "the test cuts the path so that rows are lost"
    had_files = files_at(lab, target)
    come_back(lab, active)

    before = reality.snapshot(lab)
    planned = lpse_dr(f"--lab={lab.name}", "--output", "json", "failback", "--plan")
    assert (planned.code, planned.json["changed"]) == (0, False), planned.json["error"]
    assert planned.json["way"] in ("rewind", "seed")
    assert reality.snapshot(lab) == before

    old_files = files_at(lab, active)
    with LoadSession(lab, seconds=240, clients=2, patience_seconds=5) as session:
        time.sleep(2)
        answer = command(lab, "failback", "--to", active)
        assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), answer.json["error"]
        time.sleep(2)
        session.stop()
        second = session.collect()
    assert reality.writable_sites(lab) == [active]
    assert not reality.leftovers(lab, active)
    # A failback loses nothing of what was accepted since.
    assert not audit(lab, second.folder).lost

    # What was salvaged is what was lost: every receipt, both ways, with its vendor, its tender, its document.
    items: list[dict[str, Any]] = answer.json["salvaged"]
    rows = {item["id"] for item in items if item["reason"] == "only"}
    documents = {item["id"] for item in items if item["reason"] == "document" and item["id"]}
    acknowledged = {str(bid.receipt) for bid in read_bids(result.folder / "load.jsonl") if bid.error is None}
    assert rows & acknowledged == no_row
    assert documents & acknowledged == no_file
    # A document that was on disk when the power went, and its row not yet written, belongs to nobody who got a receipt.
    assert all(item["vendor"] and item["tender"] for item in items if item["id"])
    assert rows.isdisjoint(bids_at(lab, active))
    kept = {f"./{item['path']}" for item in items if item["document"] == "kept"}
    assert kept == old_files - had_files
    folder = f"{FILES_ROOT}/.lpse-dr/salvage"
    checked = f"cd {folder}/epoch-* && sha256sum --quiet -c SHA256SUMS && wc -l < SHA256SUMS"
    assert int(reality.on(lab, f"{active}-app", checked)) == len(kept)
    # Nothing of the old side's documents went, and the documents that were missing are back at both sites.
    assert old_files <= files_at(lab, active)
    assert not [item for item in audit(lab, result.folder).lost if item.reason != "no_row"]
    assert reality.on(lab, f"{active}-db", f"ls -d {answer.json['kept']}").strip() == answer.json["kept"]


@pytest.mark.full
def test_nothing_was_written_alone_so_it_only_follows_again(lab: Lab, active: str) -> None:
    target = other(active)
    lose(lab, active)
    assert command(lab, "failover", "--to", target, "--assume-primary-dead", WORD).code == 0
    come_back(lab, active)
    # Left alone it may have begun to follow by itself; stopped, it is judged by where its log ends.
    reality.on(lab, f"{active}-db", "systemctl stop postgresql@15-main")
    answer = command(lab, "failback", "--prepare-only")
    assert (answer.code, answer.json["verdict"], answer.json["way"]) == (0, "COMPLETED", "rejoin"), answer.json[
        "error"
    ]
    assert answer.json["salvaged"] == []
    assert reality.writable_sites(lab) == [target]
    assert not reality.leftovers(lab, target)
    again = command(lab, "failback", "--prepare-only")
    assert (again.code, again.json["way"]) == (0, "none")


@pytest.mark.full
def test_wound_back_where_that_is_wanted(lab: Lab, active: str) -> None:
    """By bytes a lab this small is copied; the way is the same with a database of 500 GB."""
    target = other(active)
    with LoadSession(lab, seconds=30, clients=2, patience_seconds=1) as session:
        time.sleep(2)
        lose(lab, active, cut_seconds=0.5)
        session.stop()
        session.collect()
    assert command(lab, "failover", "--to", target, "--assume-primary-dead", WORD).code == 0
    come_back(lab, active)
    extra = {"from_site": target, "to_site": active, "failback_prepare_only": True, "failback_way": "rewind"}
    done = play(lab, "failback", extra)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "pg_rewind: Done!" in reality.on(lab, f"{active}-db", "cat /var/lib/lpse-dr/standby-pg_rewind.log")
    assert not reality.leftovers(lab, target)


@pytest.mark.full
def test_a_destroyed_disk_is_said_to_be_unknown_and_copied_anew(lab: Lab, active: str) -> None:
    target = other(active)
    lose(lab, active)
    assert command(lab, "failover", "--to", target, "--assume-primary-dead", WORD).code == 0
    come_back(lab, active)
    reality.on(lab, f"{active}-db", f"systemctl stop postgresql@15-main; rm -rf {DATA}")
    answer = command(lab, "failback", "--prepare-only")
    assert (answer.code, answer.json["why"]) == (0, "no_data"), answer.json["error"]
    assert not reality.leftovers(lab, target)


def test_seed_is_refused_towards_the_active_site_and_while_halted(lab: Lab, active: str) -> None:
    standby = other(active)
    before = reality.snapshot(lab)
    refused = command(lab, "replication", "seed", "--to", active)
    assert (refused.code, refused.json["verdict"]) == (3, "REFUSED")
    assert refused.json["error"]["id"] in ("standby.active", "site.clear", "standby.not_writable")
    assert reality.snapshot(lab) == before
    assert command(lab, "replication", "halt", "--at", standby).code == 0
    slot = "runuser -u postgres -- psql -XAtqc 'SELECT bool_or(active) FROM pg_replication_slots'"
    deadline = time.monotonic() + 20
    while reality.on(lab, f"{active}-db", slot).strip() != "f" and time.monotonic() < deadline:
        time.sleep(0.5)
    before = reality.snapshot(lab)
    for words in (("replication", "seed", "--to", standby), ("failback", "--to", standby)):
        refused = command(lab, *words)
        assert (refused.code, refused.json["error"]["id"]) == (3, "standby.clean")
    assert reality.snapshot(lab) == before
    assert command(lab, "replication", "resume", "--at", standby, "--ordered-by", "Budi").code == 0


@pytest.mark.full
def test_seed_under_load_is_killed_and_run_again(lab: Lab, active: str) -> None:
    standby = other(active)
    already = command(lab, "replication", "seed", "--to", standby)
    assert (already.code, already.json["changed"]) == (0, False), already.json["error"]
    assert command(lab, "database", "stop", "--at", standby).code == 0
    reality.on(lab, f"{standby}-db", f"mkdir -p {DATA}.next && echo half > {DATA}.next/half")
    with LoadSession(lab, seconds=120, clients=2, patience_seconds=5) as session:
        answer = command(lab, "replication", "seed", "--to", standby)
        assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), answer.json["error"]
        session.stop()
        result = session.collect()
    assert not audit(lab, result.folder).lost
    assert not reality.leftovers(lab, active)
    verified = lpse_dr(f"--lab={lab.name}", "--output", "json", "replication", "verify", "--wait")
    assert verified.code == 0
    states = json.loads(reality.on(lab, f"{standby}-db", "cat /var/lib/lpse-dr/state.json"))
    assert states["standby"] is None


@pytest.mark.full
@pytest.mark.parametrize(("step", "moment"), [("copy", "during"), ("adopt", "during"), ("start_standby", "before")])
def test_killed_in_the_middle_the_same_command_goes_on(lab: Lab, active: str, step: str, moment: str) -> None:
    standby = other(active)
    assert command(lab, "database", "stop", "--at", standby).code == 0
    reality.on(lab, f"{standby}-db", f"rm -rf {DATA}.away; mv {DATA} {DATA}.away")
    run_and_kill(lab, {"from_site": active, "to_site": standby}, step, moment, "replication_seed")
    assert reality.writable_sites(lab) == [active]
    answer = command(lab, "replication", "seed", "--to", standby)
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), answer.json["error"]
    assert not reality.leftovers(lab, active)
    left = "ls -d /var/lib/postgresql/15/main.next 2>&1; pgrep -x pg_basebackup; true"
    assert "No such file" in reality.on(lab, f"{standby}-db", left)

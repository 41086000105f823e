"""The fence on a real lab: however a database is started, it writes only where the other site permits it or a person does.

A failover is imitated here by what it writes down: a newer epoch, on hosts of the other side.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lpse_dr.errors import LabError
from lpse_dr.lab import power
from lpse_dr.lab.audit import site_states
from lpse_dr.lab.model import Lab

from . import reality
from .conftest import Answer, lpse_dr, other

pytestmark = pytest.mark.lab
UNIT = "postgresql@15-main"
DATA = "/var/lib/postgresql/15/main"
AS_POSTGRES = "runuser -u postgres --"
PG_CTL = f"{AS_POSTGRES} /usr/lib/postgresql/15/bin/pg_ctl -s -D {DATA}"
START_WITH_PG_CTL = f"{PG_CTL} -o '-c config_file=/etc/postgresql/15/main/postgresql.conf' -l /dev/null start"
PSQL = f"{AS_POSTGRES} psql -XAtqc"
STATE = "/var/lib/lpse-dr/state.json"
SETTINGS = "/etc/lpse-dr/fence.json"
GUARDED = ("db", "app", "gateway")
TIMELINE = f"{PSQL} 'SELECT timeline_id FROM pg_control_checkpoint()'"
WRITE = f"{PSQL} \"INSERT INTO probe VALUES (clock_timestamp(), 'test', 0)\" lpse_dr"
WITHIN_SECONDS = 15.0


def said(lab: Lab, host: str) -> dict[str, Any]:
    """Return what the guard of a host says now."""
    found: dict[str, Any] = json.loads(reality.on(lab, host, "cat /run/lpse-dr-fence/status.json"))
    return found


def seconds_until(lab: Lab, site: str, wanted: str, limit: float = WITHIN_SECONDS) -> float:
    """Return after how long the database of a site is what is wanted: writable, readonly or down."""
    began, found = time.monotonic(), ""
    while time.monotonic() - began < limit:
        found = site_states(lab)[site]
        if found == wanted:
            return time.monotonic() - began
        time.sleep(0.1)
    pytest.fail(f"{site} is {found} after {limit} s, not {wanted}: {said(lab, f'{site}-db')}")


def phase(lab: Lab, host: str, wanted: str, limit: float = WITHIN_SECONDS) -> dict[str, Any]:
    """Wait until the guard of a host says a phase; return all that it says."""
    ends, found = time.monotonic() + limit, {}
    while time.monotonic() < ends:
        found = said(lab, host)
        if found["phase"] == wanted:
            return found
        time.sleep(0.1)
    pytest.fail(f"{host}: {found}")


def never_writes(lab: Lab, site: str, seconds: float) -> None:
    """Try to write all that time, as a client would that still has the old address."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with pytest.raises(LabError):
            reality.on(lab, f"{site}-db", WRITE)
        time.sleep(0.1)


def whole(lab: Lab, active: str) -> None:
    """Wait until the site is writable and fenced, and the other one follows it."""
    seconds_until(lab, active, "writable", 40)
    phase(lab, f"{active}-db", "open")
    asked = f"{PSQL} \"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'\""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if reality.on(lab, f"{active}-db", asked + "; true").strip() == "1":
            assert reality.on(lab, f"{active}-db", f"ls {DATA}/standby.signal").strip()
            return
        time.sleep(0.2)
    pytest.fail(f"{other(active)} does not follow")


@pytest.fixture
def site(lab: Lab, active: str) -> Iterator[str]:
    """The active site, whole before the test and after it."""
    whole(lab, active)
    yield active
    power.mend_all(lab)
    for host in lab.hosts:
        if not power.is_on(lab, host):
            power.power_on(lab, host)
    whole(lab, active)


STARTS = {
    "systemctl": f"systemctl restart {UNIT}",
    "pg_ctlcluster as postgres": f"systemctl stop {UNIT}; {AS_POSTGRES} pg_ctlcluster 15 main start",
    "pg_ctl": f"systemctl stop {UNIT}; {START_WITH_PG_CTL}",
    "by itself, after the server was killed": f"kill -9 $(head -1 {DATA}/postmaster.pid)",
    "by itself, after one of its processes was killed": "pkill -9 -o -f 'postgres: .*walwriter'",
}


@pytest.mark.parametrize("path", STARTS)
def test_the_active_site_opens_again_on_its_timeline_however_it_is_started(lab: Lab, site: str, path: str) -> None:
    host = f"{site}-db"
    before = reality.on(lab, host, TIMELINE)
    reality.on(lab, host, STARTS[path] + "; true")
    took = seconds_until(lab, site, "writable")
    whole(lab, site)
    assert reality.on(lab, host, TIMELINE) == before
    assert took < WITHIN_SECONDS


def test_a_power_cut_heals_by_itself(lab: Lab, site: str) -> None:
    power.power_off(lab, f"{site}-db")
    began = time.monotonic()
    power.power_on(lab, f"{site}-db")
    seconds_until(lab, site, "writable")
    assert time.monotonic() - began < WITHIN_SECONDS


def lift(lab: Lab, host: str, *more: str) -> Answer:
    """Let a person lift, as a script would."""
    words = ("--output", "json", "--lang", "en", "fence", "lift", host, "--yes", *more)
    return lpse_dr(f"--lab={lab.name}", *words)


def test_with_nobody_to_ask_it_stays_read_only_until_a_person_lifts_once(lab: Lab, site: str) -> None:
    host = f"{site}-db"
    power.cut_segment(lab, "wan")
    reality.on(lab, host, f"systemctl restart {UNIT}")
    seconds_until(lab, site, "readonly")
    alone = phase(lab, host, "read-only")
    assert "drc" in alone["why"] or "pdc" in alone["why"], alone
    never_writes(lab, site, 3)
    told = reality.on(lab, host, "journalctl -u lpse-dr-fence --since -30s -o cat")
    assert f'lpse-dr fence lift {host} --reason "..."' in told
    assert "hanya-baca" in told

    assert lift(lab, host).code == 2
    assert lift(lab, f"{site}-app", "--reason", "no database here").code == 2
    answer = lift(lab, host, "--reason", "the other site burns")
    assert (answer.code, answer.json["verdict"]) == (0, "COMPLETED"), answer.stderr
    (lifted,) = answer.json["lifts"]
    assert lifted["epoch"] == json.loads(reality.on(lab, host, f"cat {STATE}"))["epoch"]["number"]
    assert lifted["until"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    seconds_until(lab, site, "writable")

    # Used up: the next start is read-only again, and opens when the link is back.
    reality.on(lab, host, f"systemctl restart {UNIT}")
    seconds_until(lab, site, "readonly")
    never_writes(lab, site, 2)
    power.mend_segment(lab, "wan")
    seconds_until(lab, site, "writable", 25)


def verb(lab: Lab, host: str, call: str) -> None:
    """Let a host write something down, by the function that operations and guards use."""
    path = (
        "import sys; sys.path.insert(0, '/usr/lib/lpse-dr-fence'); from lpse_dr_host import base, fence_record, host"
    )
    reality.on(lab, host, f'python3 -c "{path}; {call}"')


def commit(lab: Lab, hosts: list[str], number: int, owner: str) -> None:
    """Write an epoch on hosts."""
    for name in hosts:
        verb(lab, name, f"host.commit_epoch(base.Context('h', 's', {{}}), {{'number': {number}, 'site': '{owner}'}})")


def restore_epoch(lab: Lab, number: int, owner: str) -> None:
    """Let the site be the active one again, everywhere, and start what its guards have stopped."""
    commit(
        lab,
        [f"{site}-{kind}" for site in ("pdc", "drc") for kind in GUARDED] + ["ns", "pdc-jump", "drc-jump"],
        number,
        owner,
    )
    # As if it had been opened in that epoch.
    verb(lab, f"{owner}-db", f"fence_record.hold({number}, '{owner}')")
    reality.on(lab, f"{owner}-db", f"systemctl start {UNIT} || true")
    # Both applications served under an epoch that is over by now, so their guards have stopped them, or will.
    for name in ("pdc", "drc"):
        reality.on(
            lab,
            f"{name}-app",
            "systemctl restart lpse-dr-fence; sleep 1.2; rm -f /etc/lpse-dr/application-stopped; systemctl restart spse",
        )


def loses(lab: Lab, site: str, knowing: list[str]) -> None:
    """Somebody learns of a newer epoch of the other site: this one stops, and no start makes it write again."""
    host = f"{site}-db"
    number = json.loads(reality.on(lab, host, f"cat {STATE}"))["epoch"]["number"]
    try:
        commit(lab, knowing, number + 1, other(site))
        took = seconds_until(lab, site, "down", 8)
        assert took < 8
        reality.on(lab, host, STARTS["pg_ctl"] + "; true")
        never_writes(lab, site, 2)
        reality.on(lab, host, f"systemctl restart {UNIT}; true")
        never_writes(lab, site, 4)
        assert site_states(lab)[site] == "readonly"
        running = reality.on(lab, f"{site}-app", "systemctl is-active spse; true").strip()
        assert running == "inactive"
    finally:
        restore_epoch(lab, number + 2, site)


def test_a_site_that_learns_of_a_newer_epoch_stops_at_once(lab: Lab, site: str) -> None:
    loses(lab, site, ["ns"])


@pytest.mark.full
@pytest.mark.parametrize("kind", ["gateway", "db", "jump"])
def test_whoever_tells_of_a_newer_epoch_is_believed(lab: Lab, site: str, kind: str) -> None:
    loses(lab, site, [f"{other(site)}-{kind}"])


@pytest.mark.full
def test_after_a_failover_behind_a_cut_link_the_old_site_never_writes_again(lab: Lab, site: str) -> None:
    """The link is cut, the power blips, the other site takes over. The name server, which both reach, may tell it before the link is back."""
    host, number = f"{site}-db", 0
    power.cut_segment(lab, "wan")
    try:
        number = json.loads(reality.on(lab, host, f"cat {STATE}"))["epoch"]["number"]
        power.power_off(lab, host)
        commit(lab, [f"{other(site)}-{kind}" for kind in GUARDED], number + 1, other(site))
        power.power_on(lab, host)
        never_writes(lab, site, 5)
        power.mend_segment(lab, "wan")
        phase(lab, host, "standby", 25)
        never_writes(lab, site, 3)
        assert json.loads(reality.on(lab, host, f"cat {STATE}"))["epoch"]["number"] == number + 1
    finally:
        power.mend_segment(lab, "wan")
        restore_epoch(lab, number + 2, site)


@pytest.mark.full
def test_a_witness_restored_from_a_snapshot_permits_nothing_and_forbids_nothing(lab: Lab, site: str) -> None:
    """The name server knows an old epoch: nobody minds. The other gateway too: it cannot say any more, the database host can."""
    saved = {}
    stale = json.dumps({"operation": None, "epoch": None, "prepared": None, "fired": None, "saved": {}})
    for host in ("ns", f"{other(site)}-gateway"):
        saved[host] = reality.on(lab, host, f"cat {STATE} 2>/dev/null; true")
        reality.on(lab, host, f"printf '%s' '{stale}' > {STATE}")
    try:
        reality.on(lab, f"{site}-db", f"systemctl restart {UNIT}")
        seconds_until(lab, site, "writable")
        assert said(lab, f"{site}-db")["why"] == ""
        power.cut_between(lab, f"{site}-db", f"{other(site)}-db")
        reality.on(lab, f"{site}-db", f"systemctl restart {UNIT}")
        phase(lab, f"{site}-db", "read-only")
        never_writes(lab, site, 2)
    finally:
        power.mend_between(lab, f"{site}-db", f"{other(site)}-db")
        gateway = f"{other(site)}-gateway"
        reality.on(lab, gateway, f"printf '%s' '{saved[gateway].strip()}' > {STATE}")


@pytest.mark.full
def test_a_lift_is_refused_where_it_is_not_needed_or_would_be_wrong(lab: Lab, site: str) -> None:
    for host, why in ((f"{site}-db", "fence.needed"), (f"{other(site)}-db", "fence.own_epoch")):
        answer = lift(lab, host, "--reason", "test")
        assert (answer.code, answer.json["error"]["id"], answer.json["changed"]) == (3, why, False), answer.stderr


@pytest.mark.full
def test_both_sites_cold_and_the_link_back_later(lab: Lab, site: str) -> None:
    hosts = [f"{name}-{kind}" for name in ("pdc", "drc") for kind in GUARDED]
    power.power_off(lab, *hosts)
    power.cut_segment(lab, "wan")
    for host in hosts:
        power.power_on(lab, host)
    phase(lab, f"{site}-db", "read-only")
    never_writes(lab, site, 5)
    never_writes(lab, other(site), 1)
    power.mend_segment(lab, "wan")
    seconds_until(lab, site, "writable", 25)
    whole(lab, site)
    assert site_states(lab)[other(site)] == "readonly"


@pytest.mark.full
def test_a_planned_restart_costs_little_more_than_without_a_guard(lab: Lab, site: str) -> None:
    host = f"{site}-db"
    drop_in = f"/etc/systemd/system/{UNIT}.service.d/lpse-dr-fence.conf"

    def outage() -> float:
        began = time.monotonic()
        reality.on(lab, host, f"systemctl restart {UNIT}")
        seconds_until(lab, site, "writable")
        return time.monotonic() - began

    guarded = sorted(outage() for _ in range(3))[1]
    whole(lab, site)
    reality.on(
        lab,
        host,
        f"systemctl stop lpse-dr-fence; mv {drop_in} /root/; rm {DATA}/standby.signal; systemctl daemon-reload",
    )
    try:
        bare = sorted(outage() for _ in range(3))[1]
    finally:
        reality.on(
            lab,
            host,
            f"mv /root/lpse-dr-fence.conf {drop_in}; systemctl daemon-reload; systemctl start lpse-dr-fence",
        )
    assert guarded - bare <= 3.0, f"{guarded:.2f} s with a guard, {bare:.2f} s without"


def test_status_says_of_every_host_how_its_guard_stands(lab: Lab, site: str) -> None:
    answer = lpse_dr(f"--lab={lab.name}", "--output", "json", "fence", "status")
    assert answer.code == 0, answer.stderr
    guards = {item["host"]: item for item in answer.json["guards"]}
    assert set(guards) == {f"{name}-{kind}" for name in ("pdc", "drc") for kind in (*GUARDED, "jump")} | {"ns"}
    assert {(item["installed"], item["guard"]) for item in guards.values()} == {(True, "active")}
    database = guards[f"{site}-db"]
    assert (database["phase"], database["armed"]) == ("open", True)
    assert not any("timed out" in text for text in database["answers"].values()), database["answers"]

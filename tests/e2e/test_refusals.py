"""Bad input on a real lab: each case is refused by one clear sentence, and both sites are afterwards as they were before.

What needs a restart of a database, or would cost a rebuilt standby, is tried on recorded readings only:
tests/unit/guards/test_bad_input.py.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from lpse_dr.errors import LabError
from lpse_dr.lab import power
from lpse_dr.lab.model import Lab

from . import reality
from .conftest import Answer, lpse_dr, other
from .killing import Stopped, play

pytestmark = pytest.mark.lab
PSQL = "runuser -u postgres -- psql -XAtqc"


SLOT_IN_USE = f"{PSQL} 'SELECT bool_and(active) FROM pg_replication_slots'"


def snapshot(lab: Lab) -> dict[str, str]:
    """Return the durable state of every serving host, and where the name leads."""
    serving = {name: host for name, host in lab.hosts.items() if "nameserver" not in host.groups}
    found = reality.snapshot(dataclasses.replace(lab, hosts=serving))
    server = lab.hosts["ns"].addresses["public"]
    found["name"] = reality.on(lab, "ns", f"dig +short +tries=1 @{server} spse.lomboktengah.test")
    assert found["name"].strip(), "the name server told nothing, so nothing would be compared"
    return found


def switch(lab: Lab, source: str, target: str, office: Path | None = None) -> Answer:
    """Order the switch-over for real: a guard that does not refuse is found out."""
    which = ("--office", str(office)) if office else ("--lab", lab.name)
    return lpse_dr(
        *which, "--output", "json", "--lang", "en", "switchover", "--from", source, "--to", target, "--yes"
    )  # fmt: skip


def expect_refusal(lab: Lab, guard_id: str, order: Callable[[], Answer], *, exit_code: int = 3) -> Answer:
    """Give the order; return what was said, once it is a refusal in full that changed nothing."""
    before = snapshot(lab)
    answer = order()
    assert snapshot(lab) == before
    assert "Traceback" not in answer.stdout + answer.stderr
    assert answer.code == answer.json["exit_code"] == exit_code, (answer.stdout, answer.stderr)
    assert (answer.json["verdict"], answer.json["changed"]) == ("REFUSED" if exit_code == 3 else None, False)
    error = answer.json["error"]
    assert error["id"] == guard_id, error
    for key in ("expected", "found", "next_command"):
        assert error[key].strip(), (key, error)
        assert "?" not in error[key].replace("?'", ""), (key, error)
    return answer


def eventually(lab: Lab, host: str, script: str, wanted: str, seconds: float = 30) -> None:
    """Wait until a script on a host prints what is wanted."""
    end, found = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            found = reality.on(lab, host, script + "; true").strip()
        except LabError as error:
            found = str(error)
        if found == wanted:
            return
        time.sleep(0.2)
    pytest.fail(f"{host} is not healed: {script!r} says {found!r}")


def await_streaming(lab: Lab, active: str) -> None:
    """Wait until the standby receives again, by its slot, and has replayed all."""
    asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()"
    eventually(lab, f"{active}-db", f'{PSQL} "{asked}"', "1")


def forget_connections(lab: Lab, host: str) -> None:
    """Close the connection that an earlier command left open to a host, so that the next has to log in."""
    path = Path("~/.cache/lpse-dr-ssh/%C").expanduser()
    argv = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", f"lpse-dr@{lab.hosts[host].management}"]
    subprocess.run(argv, capture_output=True, check=False)


@contextmanager
def done_and_undone(lab: Lab, host: str, do: str, undo: str) -> Iterator[None]:
    """Break something on a host; mend it whatever happens."""
    try:
        reality.on(lab, host, do)
        yield
    finally:
        reality.on(lab, host, undo)


@pytest.fixture
def office(lab: Lab, tmp_path: Path) -> Path:
    """A copy of the lab's office, with records of its own, to write mistakes into."""
    folder = tmp_path / "office"
    shutil.copytree(lab.office, folder)
    text = (folder / "office.yml").read_text()
    (folder / "office.yml").write_text(f"{text}state_folder: {tmp_path / 'state'}\n")
    return folder


def limit(office: Path, name: str, value: int) -> None:
    """Write a limit into the office's file."""
    path = office / "office.yml"
    text = re.sub(rf"^  {name}:.*\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(text.replace("limits:\n", f"limits:\n  {name}: {value}\n"))


# --- refused before a host is asked ---------------------------------------------------------------------


@pytest.fixture
def untouched(lab: Lab, active: str) -> Iterator[str]:
    """The active site, with both sites looked at around the whole test instead of around every order in it."""
    before = snapshot(lab)
    yield active
    assert snapshot(lab) == before


def said(answer: Answer, error_id: str, exit_code: int = 3) -> str:
    """Check a refusal that no host had a part in; return what it found."""
    assert answer.code == answer.json["exit_code"] == exit_code, (answer.stdout, answer.stderr)
    assert "Traceback" not in answer.stdout + answer.stderr
    error = answer.json["error"]
    assert error["id"] == error_id, error
    assert all(error[key].strip() for key in ("expected", "found", "next_command")), error
    return str(error["found"])


def test_an_order_that_names_no_two_sites(lab: Lab, untouched: str) -> None:
    assert "mars" in said(switch(lab, untouched, "mars"), "site.known")
    assert "mars" in said(switch(lab, "mars", untouched), "site.known")
    assert untouched in said(switch(lab, untouched, untouched), "site.differ")
    for words in (
        ("switchover", "--yes"),
        ("switchover", "--to", untouched, "--yes"),
        ("switchover",),
        ("swichover",),
    ):
        answer = lpse_dr("--lab", lab.name, "--output", "json", *words)
        assert (answer.code, answer.json["verdict"], answer.json["changed"]) == (2, None, False), words
        assert answer.json["error"]["next_command"], words
        assert "Traceback" not in answer.stderr


def test_an_inventory_that_is_none(lab: Lab, untouched: str, office: Path) -> None:
    path = office / "inventory" / "hosts.yml"
    good = path.read_text()
    second = good.replace(
        "        drc-app:\n          ansible", "        pdc-app: {}\n        drc-app:\n          ansible", 1
    )
    lone = good.replace("        drc-db: {}\n", "", 1)
    for text, piece in (
        (second, "'pdc-app' is in two sites"),
        (lone, "site 'drc' has no host in group database"),
        (good + "   x: [\n", f"{path}:"),
        ("", str(path)),
    ):
        assert text != good
        path.write_text(text)
        assert piece in said(switch(lab, untouched, other(untouched), office), "inventory")
    path.unlink()
    assert str(path) in said(switch(lab, untouched, other(untouched), office), "inventory")
    (office / "office.yml").unlink()
    assert "office.yml" in said(switch(lab, untouched, other(untouched), office), "office", exit_code=2)


# --- refused by a guard, from real readings -------------------------------------------------------------

Break = Callable[[Lab, str, str, Path], AbstractContextManager[str]]


@contextmanager
def wrong_host_key(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    """Another machine's key stands under the address of the standby's database."""
    wrong, right = (lab.hosts[f"{site}-db"].management for site in (active, standby))
    lines = (office / "known_hosts").read_text().splitlines()
    stranger = next(line.split(maxsplit=1)[1] for line in lines if wrong in line.split()[0].split(","))
    kept = [line for line in lines if right not in line.split()[0].split(",")]
    (office / "known_hosts").write_text("\n".join([*kept, f"{right} {stranger}"]) + "\n")
    forget_connections(lab, f"{standby}-db")
    yield f"{standby}-db"


@contextmanager
def ssh_refused(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    with done_and_undone(lab, f"{standby}-app", "systemctl stop ssh", "systemctl start ssh"):
        forget_connections(lab, f"{standby}-app")
        yield f"{standby}-app"


@contextmanager
def no_sudo(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    away = "/etc/sudoers.d/lpse-dr /root/sudoers"
    with done_and_undone(lab, f"{standby}-app", f"mv {away}", "mv /root/sudoers /etc/sudoers.d/lpse-dr"):
        yield f"{standby}-app"


@contextmanager
def standby_stopped(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    unit = "postgresql@15-main"
    with done_and_undone(lab, f"{standby}-db", f"systemctl stop {unit}", f"systemctl start {unit}"):
        yield f"{standby}-db"
    await_streaming(lab, active)


@contextmanager
def replay_paused(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    # A commit that has just come: after a quiet while its age would be refused, too, and first.
    reality.on(lab, f"{active}-db", f"{PSQL} 'SELECT pg_current_xact_id()'")
    await_streaming(lab, active)
    with done_and_undone(
        lab, f"{standby}-db", f"{PSQL} 'SELECT pg_wal_replay_pause()'", f"{PSQL} 'SELECT pg_wal_replay_resume()'"
    ):
        yield f"{standby}-db"


@contextmanager
def lagging(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    """Half a megabyte was received and is not replayed: more than this office allows."""
    limit(office, "lag_bytes", 65536)
    with replay_paused(lab, active, standby, office) as host:
        message = "SELECT pg_logical_emit_message(true, $$lag$$, repeat($$x$$, 524288)) IS NULL"
        reality.on(lab, f"{active}-db", f"{PSQL} '{message}'")
        behind = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > 65536"
        eventually(lab, host, f"{PSQL} '{behind}'", "t")
        yield host
    await_streaming(lab, active)


@contextmanager
def foreign_sender(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    """Somebody archives the log from the active database, over the way that a standby takes."""
    source = lab.hosts[f"{active}-db"].address("data")
    connection = f"host={source} user=replicator sslmode=require application_name=backup"
    with done_and_undone(
        lab,
        f"{standby}-db",
        "install -d -o postgres /tmp/foreign && systemd-run -q --collect --unit=foreign --uid=postgres "
        f"--setenv=PGPASSFILE=/etc/lpse-dr/replicator.pgpass pg_receivewal -D /tmp/foreign -d '{connection}'",
        "systemctl stop foreign; rm -rf /tmp/foreign",
    ):
        asked = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $$backup$$"
        eventually(lab, f"{active}-db", f"{PSQL} '{asked}'", "1")
        yield f"{active}-db"
    eventually(lab, f"{active}-db", f"{PSQL} '{asked}'", "0")


@contextmanager
def long_transaction(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    limit(office, "long_transaction_seconds", 5)
    with done_and_undone(
        lab,
        f"{active}-db",
        "systemd-run -q --collect --unit=long --uid=postgres psql -Xqc 'BEGIN; SELECT txid_current(); SELECT pg_sleep(120)'",
        f"systemctl stop long; {PSQL} 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ $$^BEGIN.*sleep$$'",
    ):
        asked = "SELECT count(*) FROM pg_stat_activity WHERE now() - xact_start > $$6 s$$ AND query ~ $$sleep.120$$"
        eventually(lab, f"{active}-db", f"{PSQL} '{asked}'", "1")
        yield f"{active}-db"


@contextmanager
def application_stopped(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    with done_and_undone(lab, f"{standby}-app", "systemctl stop spse", "systemctl start spse"):
        yield f"{standby}-app"


@contextmanager
def no_room(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    """The shared disk is not filled for a test: this office wants more than any disk has."""
    limit(office, "disk_free_bytes", 2**60)
    yield f"{standby}-db"


@contextmanager
def wrong_tsig_key(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    key = "/etc/lpse-dr/tsig.key"
    change = f"cp -p {key} /root/tsig.key && sed -i -E 's/(secret:? *\"?)[A-Za-z0-9+\\/=]{{20,}}/\\1QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=/' {key} && ! cmp -s {key} /root/tsig.key"
    with done_and_undone(lab, f"{standby}-gateway", change, f"mv /root/tsig.key {key}"):
        yield f"{standby}-gateway"


@contextmanager
def gateway_off(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    """Its site then hangs on nothing: several guards say no, and the cause comes first."""
    forget_connections(lab, f"{standby}-gateway")
    try:
        power.power_off(lab, f"{standby}-gateway")
        eventually(lab, f"{active}-db", SLOT_IN_USE, "f", 90)
        yield f"{standby}-gateway"
    finally:
        power.power_on(lab, f"{standby}-gateway")
    await_streaming(lab, active)
    front = f"curl -sk -o /dev/null -w '%{{http_code}}' https://{lab.hosts[f'{standby}-gateway'].addresses['public']}/health"
    eventually(lab, "vendor", front, "200")


@contextmanager
def both_read_only(lab: Lab, active: str, standby: str, office: Path) -> Iterator[str]:
    """The active database runs read-only, as its fence wants it, and no guard opens it. No planned switch-over says why."""
    signal, unit = "/var/lib/postgresql/15/main/standby.signal", "postgresql@15-main"
    with done_and_undone(
        lab,
        f"{active}-db",
        f"systemctl stop lpse-dr-fence && ls {signal} && systemctl restart {unit}",
        "systemctl start lpse-dr-fence",
    ):
        eventually(lab, f"{active}-db", SLOT_IN_USE, "t")
        yield ""
    await_streaming(lab, active)


# The guard, what is broken, a piece of what is found, whether the order comes from the copied office.
CASES: list[tuple[str, Break, str, bool]] = [
    ("host.key", wrong_host_key, "key", True),
    ("host.reachable", ssh_refused, "refused", False),
    ("host.sudo", no_sudo, "password", False),
    ("database.target_standby", standby_stopped, "stopped", False),
    ("database.replay_not_paused", replay_paused, "paused: yes", False),
    ("database.lag_bytes", lagging, "bytes", True),
    ("database.foreign_senders", foreign_sender, "backup", False),
    ("database.long_transactions", long_transaction, "PID", True),
    ("application.target", application_stopped, "", False),
    ("database.disk", no_room, "bytes", True),
    ("dns.update", wrong_tsig_key, "accepted: no", False),
    ("host.reachable", gateway_off, "", False),
    ("site.not_both_read_only", both_read_only, "standby", False),
]


@pytest.mark.parametrize(("guard_id", "broken", "piece", "own_office"), CASES, ids=[row[1].__name__ for row in CASES])
def test_refused_and_nothing_changed(
    lab: Lab, active: str, office: Path, guard_id: str, broken: Break, piece: str, own_office: bool
) -> None:
    standby = other(active)
    with broken(lab, active, standby, office) as host:
        answer = expect_refusal(lab, guard_id, lambda: switch(lab, active, standby, office if own_office else None))
        assert piece in answer.json["error"]["found"]
        first = next(guard for guard in answer.json["guards"] if not guard["ok"])
        assert (first["guard_id"], first["host"]) == (guard_id, host)
    assert reality.writable_sites(lab) == [active]


def test_a_second_operation_is_refused_with_the_name_of_the_first(lab: Lab, active: str) -> None:
    standby = other(active)
    order = {"from_site": active, "to_site": standby, "lpse_dr_run": "the-first"}
    try:
        with Stopped(lab, order, "first_pass") as first:
            answer = expect_refusal(lab, "operation.free", lambda: switch(lab, active, standby))
            assert "run the-first of " in answer.json["error"]["found"]
            first.go_on()
            assert first.wait() == 0, first.output()[-2000:]
    finally:
        if reality.writable_sites(lab) != [standby]:
            play(lab, "switchover", order)
    assert reality.leftovers(lab, standby) == {}

"""A lost primary becomes the standby of the other, between two real clusters: rows salvaged, wound back, copied anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards.model import View
from lpse_dr.plugins.module_utils.lpse_dr_guards.standby import way_of
from lpse_dr.plugins.module_utils.lpse_dr_host import base, salvage
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.lsn import lsn_to_int
from lpse_dr.plugins.module_utils.lpse_dr_host.registry import perform
from lpse_dr.plugins.module_utils.lpse_dr_host.standby_reading import parse_end, record_end
from tests.unit.host import database_sites
from tests.unit.host.database_sites import BIN, USER, Site, as_user

DOCUMENTS = "SELECT id, path, sha256, vendor, tender, submitted_at AS at FROM bid"
TABLE = (
    "CREATE TABLE bid (id int PRIMARY KEY, path text, sha256 text, vendor text, tender text,"
    " submitted_at timestamptz DEFAULT '2026-11-24T08:00:00Z')"
)


class Laid(Site):
    """A cluster whose configuration lies outside of its data directory, as Debian's does."""

    def __init__(self, folder: Path, site: str, port: int, peer_port: int, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, site, port, peer_port, patch)
        conf = folder / f"conf-{site}"
        conf.mkdir()
        shutil.chown(conf, USER)
        (conf / "postgresql.conf").write_text(
            self.settings + "fsync = off\n" + f"data_directory = '{self.data}'\nhba_file = '{conf}/pg_hba.conf'\n"
        )
        (conf / "pg_hba.conf").write_text("local all all trust\nlocal replication all trust\n")
        self.pg_ctl = [*self.pg_ctl, "-o", f"-c config_file={conf}/postgresql.conf"]
        self.config |= {
            "database_config_directory": str(conf),
            "database_start_command": [*self.pg_ctl, "-s", "start"],
            "database_documents_database": "epns",
            "database_documents_query": DOCUMENTS,
        }

    def do(self, verb: str, timeout_seconds: float = 30.0, **args: Any) -> dict[str, Any]:
        """Run any verb as this host's agent would."""
        self.patch.setattr(base, "STATE_FOLDER", str(self.state_folder))
        ctx = Context(self.site + "-db", self.site, self.config, self.operation, timeout_seconds, self.memory)
        return perform(verb, ctx, args)

    def until_done(self, verb: str, **args: Any) -> int:
        """Ask again while something is left, as the conductor does; return how often."""
        for count in range(1, 100):
            if not self.do(verb, **args)["left"]:
                return count
        raise AssertionError(f"{verb} does not end")

    def measured(self) -> dict[str, Any]:
        found: dict[str, Any] = self.do("database.status", sizes=True)["reading"]["database"]
        return found


def forget(site: Site) -> None:
    """End the sessions, as an agent does at its end."""
    for session in site.memory.values():
        session.close()
    site.memory.clear()


def caught_up(standby: Site, primary: Site) -> None:
    end, deadline = primary.sql("SELECT pg_current_wal_lsn()"), time.monotonic() + 20
    while standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") != "t":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def bid(site: Site, number: int) -> None:
    site.sql(f"INSERT INTO bid VALUES ({number}, '{number}.pdf', 'h{number}', 'CV {number}', 'T1')", "epns")


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[Laid, Laid]]:
    """Site pdc took bid 3 while drc, already active, took bid 4; then pdc was killed. Kept as two folders to begin from."""
    folder, patch = Path(tempfile.mkdtemp(prefix="lpse-dr-pg.")), pytest.MonkeyPatch()
    shutil.chown(folder, USER)
    pdc, drc = Laid(folder, "pdc", 5611, 5612, patch), Laid(folder, "drc", 5612, 5611, patch)
    try:
        as_user([str(BIN / "initdb"), "-D", str(pdc.data), "-U", USER, "-A", "trust", "-k", "--no-sync"])
        as_user([*pdc.pg_ctl, "start"])
        for name in ("lpse_dr", "epns"):
            pdc.sql(f"CREATE DATABASE {name}")
        pdc.sql("CREATE TABLE probe (at timestamptz, site text, n bigint)", "lpse_dr")
        pdc.sql(TABLE, "epns")
        bid(pdc, 1)
        pdc.call("ensure_slot", slot="lpse_dr_drc")
        as_user([str(BIN / "pg_basebackup"), "-D", str(drc.data), "-h", str(folder), "-p", "5611", "-U", USER, "-c", "fast", "--no-sync"])  # fmt: skip
        drc.call("fence")
        drc.call("start")
        drc.call("await_streaming")
        bid(pdc, 2)
        caught_up(drc, pdc)
        drc.sql("SELECT pg_promote()")
        bid(pdc, 3)
        bid(drc, 4)
        as_user([*pdc.pg_ctl, "-m", "immediate", "stop"])
        as_user([*drc.pg_ctl, "-m", "fast", "stop"])
        for site in (pdc, drc):
            as_user(["cp", "-a", str(site.data), f"{site.data}.begin"])
            forget(site)
        yield pdc, drc
    finally:
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lost(sites: tuple[Laid, Laid], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Laid, Laid]]:
    """The two sites as they were when pdc had been killed; drc serves."""
    for site in sites:
        site.patch = monkeypatch
        for left in [
            site.state_folder,
            *site.data.parent.glob(f"{site.site}.next"),
            *site.data.parent.glob(f"{site.site}.before-*"),
            site.data,
        ]:
            shutil.rmtree(left, ignore_errors=True)
        as_user(["cp", "-a", f"{site.data}.begin", str(site.data)])
        site.patch.setattr(salvage, "SOCKETS", str(site.data.parent / "aside"))
        site.do("host.claim", number=1, run="run-1", holder="test", lease_seconds=600)
    as_user([*sites[1].pg_ctl, "start"])
    yield sites
    for site in sites:
        site.close()
        site.memory.clear()


def choose(pdc: Laid, drc: Laid, **facts: Any) -> Any:
    readings = {"pdc-db": {"database": pdc.measured()}, "drc-db": {"database": drc.measured()}}
    sites = {name: {"database": f"{name}-db", "application": [], "gateway": []} for name in ("pdc", "drc")}
    return way_of(View({"readings": readings, "sites": sites, "purpose": "failback", **facts}, "drc", "pdc"))


def rows_there(drc: Laid) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = drc.do("failover.rows")["rows"]
    return found


def ids(site: Site) -> str:
    return site.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM bid", "epns")


def follow(pdc: Laid, drc: Laid) -> None:
    pdc.do("database.start")
    pdc.do("database.await_streaming")
    caught_up(pdc, drc)
    assert pdc.sql("SELECT pg_is_in_recovery()") == "t"
    assert ids(pdc) == ids(drc) == "1,2,4"


def test_where_the_log_ends_is_read_from_the_log_and_past_the_fork(lost: tuple[Laid, Laid]) -> None:
    pdc, drc = lost
    found = pdc.measured()["standby"]
    fork = drc.measured()["timeline_history"][-1]["lsn"]
    assert lsn_to_int(found["end_lsn"]) > lsn_to_int(fork)
    # The same place by the other way, which is gone where pg_waldump names none.
    control, dump = pdc.measured()["control"], [str(BIN / "pg_waldump"), "-p", str(pdc.data / "pg_wal"), "-t", "1"]
    whole = subprocess.run([*dump, "-q", "-s", control["redo_lsn"]], capture_output=True, text=True, check=False)
    end, last = parse_end(whole.stderr)
    assert end == found["end_lsn"]
    assert end is not None
    assert last is not None
    one = subprocess.run([*dump, "-s", last, "-n", "1"], capture_output=True, text=True, check=True).stdout
    assert record_end(one, lsn_to_int(last), control["wal_segment_bytes"]) == lsn_to_int(end)
    assert (found["hints"], found["rewind_ok"], found["major"]) == (True, True, int(database_sites.MAJOR))
    assert found["data_bytes"] > 10 << 20
    assert (found["conninfo_host"], found["slot_name"]) == (str(pdc.data.parent), "lpse_dr_pdc")
    assert choose(pdc, drc).way in ("rewind", "seed")
    chosen = choose(pdc, drc, way="rewind")
    assert chosen.way == "rewind", chosen


def test_salvaged_then_wound_back_on_the_copy(lost: tuple[Laid, Laid]) -> None:
    pdc, drc = lost
    untouched = (pdc.data / "global" / "pg_control").read_bytes()
    drc.do("database.ensure_slot", slot="lpse_dr_pdc")
    pdc.do("database.fence")
    pdc.until_done("salvage.copy", epoch=2, rows_only=False)
    said = pdc.do("salvage.rows", epoch=2, there=rows_there(drc))
    assert [(row["id"], row["path"], row["vendor"], row["tender"], row["reason"]) for row in said["rows"]] == [
        ("3", "3.pdf", "CV 3", "T1", "only")
    ]
    assert json.loads(Path(said["kept"]).read_text())["rows"] == said["rows"]
    assert (pdc.data / "global" / "pg_control").read_bytes() == untouched
    drc.do("database.checkpoint")
    pdc.until_done("standby.rewind", epoch=2)
    kept = pdc.do("standby.adopt", armed=None)["kept"]
    assert (Path(kept) / "global" / "pg_control").read_bytes() == untouched
    assert pdc.do("standby.adopt", armed=None)["changed"] is False
    follow(pdc, drc)
    assert pdc.do("standby.close")["kept"] == kept
    # What was kept of the epoch is not replaced by what a wound-back database says.
    assert pdc.do("salvage.rows", epoch=2, there=[])["rows"] == said["rows"]


def test_copied_anew_after_half_a_copy(lost: tuple[Laid, Laid]) -> None:
    pdc, drc = lost
    half = Path(f"{pdc.data}.next")
    half.mkdir()
    (half / "half").write_text("a killed run's")
    drc.do("database.ensure_slot", slot="lpse_dr_pdc")
    with pytest.raises(VerbError) as error:
        pdc.do("standby.adopt", armed=None)
    assert error.value.id == "standby.not_ready"
    pdc.until_done("standby.copy", epoch=2, slot="lpse_dr_pdc", fresh_slot=True)
    assert not (half / "half").exists()
    # Complete and verified: the same run again has nothing to do; one behind which the log was lost begins anew.
    assert pdc.do("standby.copy", epoch=2, slot="lpse_dr_pdc", fresh_slot=False) == {"changed": False, "left": 0}
    armed = {
        "wal_retrieve_retry_interval": None,
        "max_standby_streaming_delay": None,
        "synchronous_standby_names": None,
    }
    kept = Path(pdc.do("standby.adopt", armed=armed)["kept"])
    assert (kept / "PG_VERSION").exists()
    follow(pdc, drc)


def test_killed_between_the_two_renames_the_next_run_does_the_second(lost: tuple[Laid, Laid]) -> None:
    pdc, drc = lost
    drc.do("database.ensure_slot", slot="lpse_dr_pdc")
    pdc.until_done("standby.copy", epoch=2, slot="lpse_dr_pdc", fresh_slot=True)
    pdc.data.rename(f"{pdc.data}.before-run-1")
    pdc.do("standby.adopt", armed=None)
    follow(pdc, drc)


def test_a_running_writer_is_not_copied_over(lost: tuple[Laid, Laid]) -> None:
    _pdc, drc = lost
    with pytest.raises(VerbError) as error:
        drc.do("standby.stop")
    assert error.value.id == "database.is_standby"


def test_a_copy_that_does_not_open_says_so_and_nothing_is_replaced(lost: tuple[Laid, Laid]) -> None:
    pdc, drc = lost
    pdc.until_done("salvage.copy", epoch=2, rows_only=False)
    for piece in Path(f"{pdc.data}.next", "pg_wal").glob("0000*"):
        piece.unlink()
    with pytest.raises(VerbError) as error:
        pdc.do("salvage.rows", epoch=2, there=rows_there(drc))
    assert error.value.id == "salvage.unreadable"
    with pytest.raises(VerbError) as error:
        pdc.do("standby.rewind", epoch=2)
    assert error.value.id == "standby.not_salvaged"

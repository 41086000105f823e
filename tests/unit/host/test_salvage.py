"""Documents that only one side has are kept with their hashes; rows are told apart; nothing there is touched."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, salvage
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.database_cluster import Cluster
from lpse_dr.plugins.module_utils.lpse_dr_host.standby import auto_conf
from lpse_dr.plugins.module_utils.lpse_dr_host.standby_place import without_password
from lpse_dr.plugins.module_utils.lpse_dr_host.standby_reading import in_database, parse_end, record_end


def row(number: int, path: str | None = None) -> dict[str, Any]:
    return {"id": str(number), "path": path or f"{number}/a.pdf", "sha256": f"h{number}", "vendor": f"CV {number}", "tender": "T", "at": "t"}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(base, "STATE_FOLDER", str(tmp_path / "state"))
    for name in ("1/a.pdf", "2/a.pdf", "3/a.pdf", "4/b.pdf", ".lpse-dr/site.json", "5/c.part"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "files"


def salvaged(root: Path, there: list[str], rows: list[dict[str, Any]], known: list[dict[str, Any]]) -> dict[str, Any]:
    ctx = Context("pdc-app", "pdc", {"files_root": str(root), "files_exclude": ["*.part"]})
    found = salvage.documents(ctx, {"epoch": 2, "there": there, "rows": rows, "known": known})
    return {**found, "list": json.loads(found["list"])["salvaged"]}


def test_what_only_this_side_has_is_kept_and_listed(root: Path) -> None:
    lost, gone = {**row(3), "reason": "only"}, {**row(9), "reason": "only"}
    found = salvaged(root, ["1/a.pdf", "2/a.pdf"], [lost, gone], [row(1), row(2), row(4, "4/b.pdf")])
    assert [(item["path"], item["reason"], item["document"], item["vendor"]) for item in found["list"]] == [
        ("3/a.pdf", "only", "kept", "CV 3"),
        ("9/a.pdf", "only", "missing", "CV 9"),
        ("4/b.pdf", "document", "kept", "CV 4"),
    ]
    folder = Path(found["folder"])
    assert {str(path.relative_to(folder / "files")) for path in folder.rglob("*.pdf")} == {"3/a.pdf", "4/b.pdf"}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        value, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == value
    assert (root / "3/a.pdf").read_text() == "3/a.pdf"


def test_a_second_run_lists_the_same_although_the_other_side_has_them_meanwhile(root: Path) -> None:
    first = salvaged(root, ["1/a.pdf", "2/a.pdf"], [], [row(4, "4/b.pdf")])
    second = salvaged(root, ["1/a.pdf", "2/a.pdf", "3/a.pdf", "4/b.pdf"], [], [row(4, "4/b.pdf")])
    assert (
        [item["path"] for item in second["list"]]
        == [item["path"] for item in first["list"]]
        == ["3/a.pdf", "4/b.pdf"]
    )


def test_rows_that_are_alike_are_no_loss_and_different_ones_are() -> None:
    changed = {**row(2), "vendor": "CV other"}
    found = salvage.only_here([row(1), row(2), row(3)], [row(1), changed, row(4)])
    assert [(item["id"], item["reason"]) for item in found] == [("2", "different"), ("3", "only")]


ERROR = "pg_waldump: error: error in WAL record at "


@pytest.mark.parametrize(
    ("said", "end"),
    [
        (ERROR + "0/3000228: invalid record length at 0/3000260: wanted 24, got 0\n", ("0/3000260", "0/3000228")),
        (ERROR + "1/FFFFF8: record with incorrect prev-link 0/1 at 1/1000028\n", ("1/1000028", "1/FFFFF8")),
        (ERROR + "0/7001F90: unexpected pageaddr 0/3002000 in log segment 000000010000000000000007, offset 8192\n", (None, "0/7001F90")),
        ('pg_waldump: error: could not find file "000000010000000000000002"\n', (None, None)),
        ("", (None, None)),
    ],
)  # fmt: skip
def test_the_end_of_the_log_is_where_no_record_follows(said: str, end: tuple[str | None, str | None]) -> None:
    assert parse_end(said) == end


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        (0x7000110, 54, 0x7000148),
        # Ends with its page, goes on over a header, begins a segment with the longer one.
        (0x7001FC8, 56, 0x7002000),
        (0x7001FC8, 57, 0x7002020),
        (0x6FFFFF8, 16, 0x7000030),
    ],
)
def test_where_a_record_ends(start: int, length: int, end: int) -> None:
    shown = (
        f"rmgr: Heap        len (rec/tot):     59/{length:6}, tx:        745, lsn: 0/07000110, prev 0/070000D8, desc"
    )
    assert record_end(shown, start, 16 << 20) == end


def test_the_new_standby_follows_whom_it_followed_and_is_not_armed() -> None:
    copied = "# x\nprimary_conninfo = 'host=wrong'\nsynchronous_standby_names = ''\nwork_mem = '8MB'\nrecovery_target_lsn = '0/1'\n"
    own = "primary_conninfo = 'host=right password=''s'''\nwork_mem = '1MB'\n"
    armed = {"synchronous_standby_names": "drc", "wal_retrieve_retry_interval": None}
    assert auto_conf(copied, own, armed).splitlines() == [
        "# x",
        "work_mem = '8MB'",
        "primary_conninfo = 'host=right password=''s'''",
        "synchronous_standby_names = 'drc'",
    ]
    assert "synchronous_standby_names = ''" in auto_conf(copied, own, None)


@pytest.mark.parametrize(
    ("conninfo", "plain", "line"),
    [
        ("host=h user=r passfile=/x", "host=h user=r passfile=/x", None),
        ("host=h password=geheim user=r", "host=h user=r", "*:*:*:*:geheim"),
        (r"password='a b\'c:\\' host=h", " host=h", r"*:*:*:*:a b'c\:\\"),
        ("postgresql://r:ge%3Aheim@h:5433/x?sslmode=require", "postgresql://r@h:5433/x?sslmode=require", r"*:*:*:*:ge\:heim"),
        ("postgresql://r@h/", "postgresql://r@h/", None),
    ],
)  # fmt: skip
def test_no_password_comes_into_a_command_line(root: Path, conninfo: str, plain: str, line: str | None) -> None:
    cluster = Cluster(Context("pdc-db", "pdc", {"database_system_user": pwd.getpwuid(os.geteuid()).pw_name}))
    found, path = without_password(cluster, conninfo)
    assert found == plain
    if line is None:
        assert path is None
    else:
        assert path is not None
        assert Path(path).read_text() == line + "\n"
        assert Path(path).stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_said_before_anything_is_copied(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage, "SPARE_BYTES", 1 << 60)
    with pytest.raises(VerbError) as error:
        salvaged(root, [], [], [])
    assert error.value.id == "salvage.room"
    assert not list((root / ".lpse-dr" / "salvage").rglob("*.pdf"))


@pytest.mark.parametrize(
    ("conninfo", "said"),
    [
        ("host=h user=r", "host=h user=r dbname=postgres"),
        ("postgresql://r@h:1/replication?sslmode=require", "postgresql://r@h:1/postgres?sslmode=require"),
        ("postgresql://r@h", "postgresql://r@h/postgres"),
    ],
)
def test_a_replication_conninfo_leads_to_a_database(conninfo: str, said: str) -> None:
    assert in_database(conninfo) == said

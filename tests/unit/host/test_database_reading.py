"""What is made of recorded words of PostgreSQL 15, and of files that are missing or lie."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, database, database_power, database_reading
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.database_cluster import Cluster, parse_control
from lpse_dr.plugins.module_utils.lpse_dr_host.lsn import int_to_lsn, lsn_to_int

CONTROL = """pg_control version number:            1300
Database system identifier:           7711595728654661527
Database cluster state:               in archive recovery
pg_control last modified:             Tue Nov 24 04:50:00 2026
Latest checkpoint location:           0/3002680
Latest checkpoint's REDO location:    0/3002648
Latest checkpoint's REDO WAL file:    000000010000000000000003
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
Minimum recovery ending location:     0/3002680
Min recovery ending loc's timeline:   2
Bytes per WAL segment:                16777216
Data page checksum version:           1
"""
ANSWER: dict[str, Any] = {
    "in_recovery": True,
    "writable": False,
    "timeline": None,
    "lsn": {"current": None, "receive": "0/30027A0", "replay": "0/30027A0"},
    "receiver": {
        "status": "streaming",
        "sender_host": "10.0.0.5",
        "slot_name": "lpse_dr_pdc",
        "received_timeline": 3,
    },
    "lag_bytes": -24,
    "lag_seconds": None,
    "senders": [{"application_name": "x", "lag_bytes": None}],
    "slots": [{"slot_name": "s", "retained_bytes": -8}],
    "settings": {
        "max_connections": "100",
        "max_worker_processes": "8",
        "max_wal_senders": "10",
        "max_prepared_transactions": "0",
        "max_locks_per_transaction": None,
        "hot_standby": "on",
        "primary_conninfo": "host=10.0.0.5 user=replicator password='ge heim'",
    },
}


def test_control_data_is_read() -> None:
    assert parse_control(CONTROL) == {
        "state": "in archive recovery",
        "checkpoint_lsn": "0/3002680",
        "redo_lsn": "0/3002648",
        "timeline": 1,
        "min_recovery_timeline": 2,
        "system_identifier": "7711595728654661527",
        "checksums": True,
        "wal_segment_bytes": 16777216,
    }
    assert database_reading.control_timeline(parse_control(CONTROL)) == 2


@pytest.mark.parametrize("text", ["", "nonsense", CONTROL.replace("Database cluster state", "Zustand")])
def test_control_data_that_misses_a_line_is_an_error(text: str) -> None:
    with pytest.raises(VerbError) as caught:
        parse_control(text)
    assert caught.value.id == "database.control_unreadable"


def test_the_password_of_a_conninfo_never_becomes_part_of_a_reading() -> None:
    reading = database_reading.interpret(copy.deepcopy(ANSWER), parse_control(CONTROL))
    assert reading["settings"]["primary_conninfo_host"] == "10.0.0.5"
    assert "heim" not in str(reading)
    assert "primary_conninfo" not in reading["settings"]


def test_a_standby_is_on_the_newest_timeline_that_anything_knows() -> None:
    control = parse_control(CONTROL)
    assert database_reading.interpret(copy.deepcopy(ANSWER), control)["timeline"] == 3
    assert database_reading.interpret(dict(copy.deepcopy(ANSWER), receiver=None), control)["timeline"] == 2
    assert database_reading.interpret(dict(copy.deepcopy(ANSWER), receiver=None), None)["timeline"] is None


def test_an_unknown_lag_stays_unknown_and_a_negative_one_is_none() -> None:
    reading = database_reading.interpret(copy.deepcopy(ANSWER), None)
    assert (reading["lag_bytes"], reading["lag_seconds"]) == (0, None)
    assert reading["senders"][0]["lag_bytes"] is None
    assert reading["slots"][0]["retained_bytes"] == 0
    assert reading["settings"]["max_locks_per_transaction"] is None
    assert reading["settings"]["max_connections"] == 100


@pytest.mark.parametrize(
    ("conninfo", "host"),
    [
        ("", None),
        ("port=5432", None),
        ("host=db.example.test port=5432", "db.example.test"),
        ("user=x password='a host=b \\' c' host = 10.1.2.3", "10.1.2.3"),
        ("host='a b' hostaddr=10.0.0.1", "a b"),
        ("hostaddr=10.0.0.1", "10.0.0.1"),
        ("postgresql://u:p%40ss@db.test:5433/x?sslmode=require", "db.test"),
        ("postgres://u@a:1,b:2/x", "a,b"),
        ("postgresql://[fd00::1]:5432/x", "fd00::1"),
        ("postgresql:///x?host=/run/pg", "/run/pg"),
    ],
)
def test_the_host_of_a_conninfo(conninfo: str, host: str | None) -> None:
    assert database_reading.conninfo_host(conninfo) == host


def test_timeline_history(tmp_path: Path) -> None:
    (tmp_path / "pg_wal").mkdir()
    path = tmp_path / "pg_wal" / "00000003.history"
    path.write_text("# old\n1\t0/30026F8\tno recovery target specified\n\n2\t0/5000000\t\n")
    assert database_reading.read_history(str(tmp_path), 3) == [
        {"timeline": 1, "lsn": "0/30026F8", "reason": "no recovery target specified"},
        {"timeline": 2, "lsn": "0/5000000", "reason": ""},
    ]
    assert database_reading.read_history(str(tmp_path), 1) == []
    assert database_reading.read_history(str(tmp_path), 2) is None
    assert database_reading.read_history(str(tmp_path), None) is None
    path.write_text("one\ttwo")
    assert database_reading.read_history(str(tmp_path), 3) is None


def test_positions_compare_as_numbers() -> None:
    assert lsn_to_int("9/0") < lsn_to_int("10/0")
    assert lsn_to_int("0/FFFFFFFF") + 1 == lsn_to_int("1/0")
    assert int_to_lsn(lsn_to_int("16/B374D848")) == "16/B374D848"
    for text in ("", "x", "1", "1/2/3", "1/g"):
        with pytest.raises(VerbError) as caught:
            lsn_to_int(text)
        assert caught.value.id == "database.lsn_unreadable"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("", "no receiver"),
        ("waiting|2|0/5|0/5", "the receiver is waiting"),
        ("streaming|1|0/5|0/5", "it receives timeline 1"),
        ("streaming|2||0/5", "nothing replayed yet"),
        ("streaming|2|0/5|", "nothing replayed yet"),
        ("streaming|2|0/5|0/FFFF", "65530 bytes received"),
    ],
)
def test_why_a_receiver_does_not_count_as_streaming(row: str, why: str) -> None:
    assert database.judge_receiver(row, 2, 100)[0].startswith(why)


def test_a_receiver_that_keeps_up_counts() -> None:
    assert database.judge_receiver("streaming|2|0/FFF0|0/FFFF", 2, 100) == ("", 2)


def context(tmp_path: Path) -> Context:
    """Return a host whose data directory is the temporary folder and has no server."""
    config = {"database_data_directory": str(tmp_path / "data"), "database_bin_directory": str(tmp_path)}
    return Context("pdc-db", "pdc", config, {"number": 1, "run": "r"}, 5.0)


def test_a_missing_data_directory_reads_as_nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STATE_FOLDER", str(tmp_path))
    result = database.VERBS["status"](context(tmp_path), {})
    assert result["changed"] is False
    reading = result["reading"]["database"]
    assert (reading["running"], reading["standby_signal"], reading["control"]) == (False, None, None)
    assert "No such file" in reading["error"]
    assert set(database_reading.UNKNOWN) <= set(reading)


def test_the_pid_of_another_process_is_not_taken_for_the_server(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert Cluster(context(tmp_path)).pid() is None
    (tmp_path / "data" / "postmaster.pid").write_text("\n")
    assert Cluster(context(tmp_path)).pid() is None


def test_the_last_words_are_a_cause_and_of_this_start(tmp_path: Path) -> None:
    cluster = Cluster(context(tmp_path))
    cluster.log = str(tmp_path / "log")
    assert database_power.last_words(cluster, 0) is None
    Path(cluster.log).write_text("FATAL: of yesterday\n")
    ends = database_power.log_size(cluster)
    assert database_power.last_words(cluster, ends) is None
    with Path(cluster.log).open("a") as stream:
        stream.write("FATAL:  could not open x\nFATAL:  the database system is starting up\nLOG: y\n")
    assert database_power.last_words(cluster, ends) == "FATAL:  could not open x"

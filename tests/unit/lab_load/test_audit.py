"""The audit on recorded answers: what is lost, which site is active, and that nothing missing passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.errors import LabError
from lpse_dr.lab import docker
from lpse_dr.lab.audit import Lost, audit
from lpse_dr.lab.bids import RecordError
from lpse_dr.lab.model import Lab, LabHost
from lpse_dr.lab.overlap import SECOND

SHA = "ab" * 32
RECEIPTS = ["r0", "r1", "r2", "r3"]


def lab_at(folder: Path) -> Lab:
    """Return a lab of two sites that exists nowhere."""
    names = [(f"{site}-{kind}", site, group) for site in ("pdc", "drc") for kind, group in KINDS.items()]
    hosts = {name: LabHost(name, f"c-{name}", site, (group,), {"mgmt": "10.0.0.1"}) for name, site, group in names}
    return Lab("t", folder / "office", hosts, {})


KINDS = {"db": "database", "app": "application"}


class Hosts:
    """Answers `docker exec` as two sites would: pdc stopped, drc promoted."""

    def __init__(self) -> None:
        self.states = {"c-pdc-db": "down", "c-drc-db": "off"}
        self.rows = dict.fromkeys(RECEIPTS, SHA)
        self.files = {f"2026/11/24/{receipt}.bid": SHA for receipt in RECEIPTS}
        self.asked: list[str] = []

    def run(self, *arguments: str, stdin: bytes | None = None, timeout_seconds: float = 0) -> str:
        container = next(word for word in arguments if word.startswith("c-"))
        self.asked.append(container)
        text = (stdin or b"").decode()
        if "transaction_read_only" in text:
            if self.states[container] == "down":
                raise LabError("no server")
            return self.states[container] + "\n"
        if "COPY receipt" in text:
            wanted = text.split("FROM STDIN;\n")[1].split("\n\\.")[0].split("\n")
            found = [[r, f"2026/11/24/{r}.bid", self.rows[r]] for r in wanted if r in self.rows]
            return "".join(json.dumps(row) + "\n" for row in found)
        return "".join(f"{self.files.get(path, '-')} {path}\n" for path in text.splitlines())


def probe_log(site: str, outcome_before: str, outcome_after: str, switch: int = 100) -> str:
    lines = [json.dumps({"site": site})]
    for n in range(200):
        start = SECOND + n * SECOND // 100
        outcome = outcome_before if n < switch else outcome_after
        lines.append(json.dumps([n, start, start + 1000, start, start + 1000, outcome]))
    return "\n".join(lines) + "\n"


PDC_LOG = """1970-01-01 00:00:00.100 UTC [1] LOG:  starting PostgreSQL 15.20
1970-01-01 00:00:00.200 UTC [1] LOG:  database system is ready to accept connections
1970-01-01 00:00:02.000 UTC [1] LOG:  database system is shut down
"""
DRC_LOG = """1970-01-01 00:00:00.100 UTC [1] LOG:  starting PostgreSQL 15.20
1970-01-01 00:00:00.200 UTC [1] LOG:  database system is ready to accept read-only connections
1970-01-01 00:00:02.050 UTC [1] LOG:  selected new timeline ID: 2
1970-01-01 00:00:02.080 UTC [1] LOG:  database system is ready to accept connections
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collected load of four bids with a switch-over in its middle."""
    folder = tmp_path / "load" / "20261124T000000"
    folder.mkdir(parents=True)
    bids: list[dict[str, Any]] = [
        {"client": 0, "start": 1.1, "end": 1.2, "wait": 0.1, "status": 201, "receipt": receipt}
        | {"sha256": SHA, "size": 9, "site": "pdc", "error": None}
        for receipt in RECEIPTS
    ]
    bids.append({**bids[0], "receipt": None, "status": 503, "error": "status 503"})
    (folder / "load.jsonl").write_text("".join(json.dumps(bid) + "\n" for bid in bids))
    summary = {"requests": 5, "failed": 1, "acknowledged": 4, "seconds": 1.9, "longest_wait_seconds": 0.1}
    summary |= {"median_wait_seconds": 0.1, "longest_gap_seconds": 0.0, "started": 1.05, "ended": 2.95}
    (folder / "summary.json").write_text(json.dumps({**summary, "errors": {"status 503": 1}}))
    (folder / "probe-pdc.jsonl").write_text(probe_log("pdc", "ok", "refused"))
    (folder / "probe-drc.jsonl").write_text(probe_log("drc", "readonly", "ok", switch=110))
    (folder / "postgresql-pdc.log").write_text(PDC_LOG)
    (folder / "postgresql-drc.log").write_text(DRC_LOG)
    return folder


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    answers = Hosts()
    monkeypatch.setattr(docker, "run", answers.run)
    return answers


def test_a_good_switch_over(tmp_path: Path, folder: Path, hosts: Hosts) -> None:
    result = audit(lab_at(tmp_path))
    assert (result.ok, result.problems, result.active_site) == (True, (), "drc")
    assert (result.acknowledged, result.failed, result.lost) == (4, 1, ())
    assert (result.both_writable_milliseconds, result.blind_milliseconds) == (0.0, 0.0)
    assert result.database_outage_seconds == 0.11
    assert result.to_json()["lost"] == 0
    assert "c-pdc-app" not in hosts.asked  # only the active site counts


@pytest.mark.parametrize(
    ("rows", "files", "expected"),
    [
        ({"r1": None}, {}, [Lost("r1", "no_row")]),
        ({}, {"r2": None}, [Lost("r2", "no_file")]),
        ({}, {"r3": "cd" * 32}, [Lost("r3", "wrong_hash")]),
        ({"r0": "cd" * 32}, {}, [Lost("r0", "wrong_hash")]),
        ({"r1": None}, {"r1": None}, [Lost("r1", "no_row")]),
        (
            {"r1": None},
            {"r2": None, "r3": "cd" * 32},
            [Lost("r1", "no_row"), Lost("r2", "no_file"), Lost("r3", "wrong_hash")],
        ),
    ],
)
def test_what_is_lost(
    tmp_path: Path,
    folder: Path,
    hosts: Hosts,
    rows: dict[str, str | None],
    files: dict[str, str | None],
    expected: list[Lost],
) -> None:
    for receipt, sha256 in rows.items():
        del hosts.rows[receipt]
        if sha256:
            hosts.rows[receipt] = sha256
    for receipt, sha256 in files.items():
        del hosts.files[f"2026/11/24/{receipt}.bid"]
        if sha256:
            hosts.files[f"2026/11/24/{receipt}.bid"] = sha256
    result = audit(lab_at(tmp_path))
    assert list(result.lost) == expected
    assert not result.ok
    assert result.to_json()["lost"] == len(expected)


@pytest.mark.parametrize("states", [("off", "off"), ("on", "on"), ("down", "on"), ("down", "down")])
def test_both_or_none_writable_is_a_failure(
    tmp_path: Path, folder: Path, hosts: Hosts, states: tuple[str, str]
) -> None:
    hosts.states = dict(zip(("c-pdc-db", "c-drc-db"), states, strict=True))
    result = audit(lab_at(tmp_path))
    assert (result.ok, result.active_site) == (False, None)
    assert any("exactly one site" in problem for problem in result.problems)


@pytest.mark.parametrize("name", ["probe-pdc.jsonl", "probe-drc.jsonl", "postgresql-pdc.log", "postgresql-drc.log"])
@pytest.mark.parametrize("text", [None, "", "damaged\n"])
def test_a_missing_witness_is_a_failure(
    tmp_path: Path, folder: Path, hosts: Hosts, name: str, text: str | None
) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    assert not audit(lab_at(tmp_path)).ok


def test_a_load_without_a_receipt_proves_nothing(tmp_path: Path, folder: Path, hosts: Hosts) -> None:
    lines = (folder / "load.jsonl").read_text().splitlines(keepends=True)
    (folder / "load.jsonl").write_text(lines[-1])
    result = audit(lab_at(tmp_path))
    assert not result.ok
    assert len(result.problems) == 2  # nothing acknowledged, and the vendors counted otherwise


@pytest.mark.parametrize("name", ["load.jsonl", "summary.json"])
def test_a_damaged_record_is_an_error(tmp_path: Path, folder: Path, hosts: Hosts, name: str) -> None:
    (folder / name).write_text("damaged\n")
    with pytest.raises(RecordError):
        audit(lab_at(tmp_path))


def test_no_load_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError):
        audit(lab_at(tmp_path))

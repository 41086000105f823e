"""`lab audit`: does the active site have everything that a vendor holds a receipt for?

Which site is active is read from the databases, never assumed. A bid is its row and its document;
the hash that counts is the one that the vendor computed before sending.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import LabError
from . import docker, pglog
from .bids import read_bids
from .load import LoadResult, newest, read_result
from .model import Lab, LabHost
from .overlap import Outage, ProbeError, Sample, WriteReport, parse, report

FILES_ROOT = "/home/file/file_prod"
DATABASE = "epns_prod"
_PSQL = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d")

# Runs on the application host: paths on standard input, "hash path" on standard output, "-" for a
# missing file. Two threads, because hashing leaves the interpreter's lock.
_HASH = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
root = sys.argv[1]
def one(path):
    digest = hashlib.sha256()
    try:
        with open(os.path.join(root, path), "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError:
        return "- " + path
    return digest.hexdigest() + " " + path
with ThreadPoolExecutor(2) as pool:
    for line in pool.map(one, sys.stdin.read().splitlines()):
        print(line)
"""


@dataclass(frozen=True)
class Lost:
    """A receipt that the active site cannot honour. `reason`: no_row, no_file or wrong_hash."""

    receipt: str
    reason: str


@dataclass(frozen=True)
class AuditResult:
    """What an audit found. `ok` only if nothing is lost and every witness was present and agreed."""

    ok: bool
    active_site: str | None
    acknowledged: int
    failed: int
    lost: tuple[Lost, ...]
    both_writable_milliseconds: float | None
    log_both_writable_milliseconds: float | None
    blind_milliseconds: float | None
    bridged_milliseconds: float | None
    samples: int
    samples_by_site: dict[str, int]
    database_outage_seconds: float | None
    outage_from: str | None
    outage_to: str | None
    longest_wait_seconds: float
    longest_gap_seconds: float
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result for the JSON envelope. `lost` is a number there; `lost_receipts` lists them."""
        figures = asdict(self)
        return {**figures, "lost": len(self.lost), "lost_receipts": [asdict(lost) for lost in self.lost]}


def site_states(lab: Lab) -> dict[str, str]:
    """Return site -> writable, readonly or down, as the databases themselves say it."""
    return {str(host.site): _state(host) for host in lab.in_group("database")}


def _state(host: LabHost) -> str:
    try:
        said = _psql(host, "postgres", "SELECT current_setting('transaction_read_only');").strip()
    except LabError:
        return "down"
    return {"off": "writable", "on": "readonly"}.get(said, "down")


def audit(
    lab: Lab,
    folder: Path | None = None,
    *,
    outages: Sequence[Outage] = (),
    files_root: str = FILES_ROOT,
) -> AuditResult:
    """Audit one load, the newest unless `folder` names one.

    `outages` are stretches in which a site's probe may be blind, because the test took the host away.
    Errors: LabError (nothing to audit, a host does not answer), RecordError (damaged record).
    """
    result = read_result(folder or newest(lab))
    bids = {b.receipt: b.sha256 for b in read_bids(result.folder / "load.jsonl") if b.error is None and b.receipt}
    problems: list[str] = []
    if len(bids) != result.acknowledged:
        problems.append(f"the record has {len(bids)} receipts, the vendors counted {result.acknowledged}")
    if not bids:
        problems.append("no bid was acknowledged: nothing is proven")
    states = site_states(lab)
    writable = [site for site, state in states.items() if state == "writable"]
    lost: list[Lost] = []
    if len(writable) == 1 and bids:
        lost = _lost(lab, writable[0], bids, files_root)
        if lost:
            problems.append(f"{len(lost)} acknowledged bids are lost")
    elif len(writable) != 1:
        found = ", ".join(f"{site} {state}" for site, state in sorted(states.items()))
        problems.append(f"exactly one site must be writable; found: {found}")
    report_, log_both, more = _probes(lab, result, outages)
    problems += more
    return AuditResult(
        ok=not problems,
        active_site=writable[0] if len(writable) == 1 else None,
        acknowledged=result.acknowledged,
        failed=result.failed,
        lost=tuple(lost),
        both_writable_milliseconds=report_.both_writable_milliseconds if report_ else None,
        log_both_writable_milliseconds=log_both,
        blind_milliseconds=report_.blind_milliseconds if report_ else None,
        bridged_milliseconds=report_.bridged_milliseconds if report_ else None,
        samples=report_.samples if report_ else 0,
        samples_by_site=report_.samples_by_site if report_ else {},
        database_outage_seconds=report_.database_outage_seconds if report_ else None,
        outage_from=report_.outage_from if report_ else None,
        outage_to=report_.outage_to if report_ else None,
        longest_wait_seconds=result.longest_wait_seconds,
        longest_gap_seconds=result.longest_gap_seconds,
        problems=tuple(problems),
    )


def _probes(
    lab: Lab, result: LoadResult, outages: Sequence[Outage]
) -> tuple[WriteReport | None, float | None, list[str]]:
    """Judge the probes and PostgreSQL's logs. Without the records of both sites nothing is proven."""
    samples: dict[str, list[Sample]] = {}
    logs: dict[str, str] = {}
    problems: list[str] = []
    for host in lab.in_group("database"):
        site = str(host.site)
        try:
            said, samples[site] = parse((result.folder / f"probe-{site}.jsonl").read_text(encoding="utf-8"))
            if said != site:
                problems.append(f"the record of the probe at {site} is from {said}")
        except (OSError, ProbeError) as error:
            problems.append(f"the probe at {site} left no usable record: {error}")
            continue
        try:
            logs[site] = (result.folder / f"postgresql-{site}.log").read_text(encoding="utf-8")
        except OSError:
            problems.append(f"PostgreSQL's log of {site} was not collected")
    if problems:
        return None, None, problems
    try:
        moments = {site: pglog.moments(logs[site], own) for site, own in samples.items()}
        judged = report(samples, result.window, outages, moments)
        both, contradictions = pglog.cross_check(logs, samples, result.window)
    except ProbeError as error:
        judged = report(samples, result.window, outages)
        return judged, None, [*judged.problems, error.message]
    return judged, both, [*judged.problems, *contradictions]


def _lost(lab: Lab, site: str, bids: dict[str, str], files_root: str) -> list[Lost]:
    """Return the receipts that `site` cannot honour. One query, one pass over the documents."""
    rows = _rows(lab.in_group("database", site)[0], bids)
    applications = lab.in_group("application", site)
    if not applications:
        raise LabError(f"Site {site} has no application host.")
    hashes = _hashes(applications[0], files_root, [path for path, _ in rows.values()])
    lost = []
    for receipt, expected in bids.items():
        if receipt not in rows:
            lost.append(Lost(receipt, "no_row"))
            continue
        path, recorded = rows[receipt]
        found = hashes.get(path, "-")
        if found == "-":
            lost.append(Lost(receipt, "no_file"))
        elif found != expected or recorded != expected:
            lost.append(Lost(receipt, "wrong_hash"))
    return lost


def _rows(host: LabHost, bids: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return receipt -> (path, hash) for those of the receipts that have a row."""
    script = "CREATE TEMP TABLE receipt (id uuid);\nCOPY receipt FROM STDIN;\n" + "\n".join(bids) + "\n\\.\n"
    script += "SELECT json_build_array(b.id, b.path, b.sha256) FROM bid b JOIN receipt r ON r.id = b.id;\n"
    rows = (json.loads(line) for line in _psql(host, DATABASE, script).splitlines() if line)
    return {receipt: (path, sha256) for receipt, path, sha256 in rows}


def _hashes(host: LabHost, root: str, paths: list[str]) -> dict[str, str]:
    """Return path -> hash of the document, "-" where there is none."""
    said = docker.run(
        "exec",
        "-i",
        host.container,
        "python3",
        "-c",
        _HASH,
        root,
        stdin="\n".join(paths).encode(),
        timeout_seconds=600,
    )
    pairs = (line.split(" ", 1) for line in said.splitlines())
    hashes = {path: sha256 for sha256, path in pairs}
    if len(hashes) != len(set(paths)):
        raise LabError(f"{host.name} hashed {len(hashes)} documents of {len(set(paths))}.")
    return hashes


def _psql(host: LabHost, database: str, script: str) -> str:
    return docker.run(
        "exec",
        "-i",
        "-u",
        "postgres",
        host.container,
        *_PSQL,
        database,
        stdin=script.encode(),
        timeout_seconds=60,
    )

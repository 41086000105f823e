"""Look into one set: is it what was taken, can it be read to its end, and is there anything in it that must not be restored.

The cheap questions first; what is not proven to be the set that was taken is not even opened. A set is never changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from typing import Any, Dict, List, Optional, Set

from . import backup_archive, backup_dump, backup_scan, backup_trace
from .backup_copy import copy_parts
from .backup_job import Progress
from .backup_place import (
    DOCUMENTS,
    PARTS,
    SetError,
    hash_stream,
    open_plain,
    own_folder,
    path_of,
    provenance,
    read_manifest,
    strangers,
    verdict_of,
)
from .backup_report import MOST_EVIDENCE, Report
from .base import Context, now_iso, write_atomic

RULES = 1


def inspect(ctx: Context, args: Dict[str, Any], progress: Progress) -> Dict[str, Any]:
    """Inspect ``args['set']``; return its verdict with evidence, and keep it. ``older`` is the set to compare it with, or None.

    The same question about the same set, with the same signatures, is answered from what was kept.
    """
    name, older, journal = str(args["set"]), args.get("older"), dict(args.get("recorded") or {})
    path = path_of(ctx, name)
    report, began = Report(), time.time()
    scratch = _scratch(ctx, name)
    kept: Optional[Dict[str, Any]] = None
    manifest: Dict[str, Any] = {}
    proof: Dict[str, Any] = {"proof": "none", "found": ""}
    signatures = backup_scan.signatures(str(ctx.config["backup_signature_folder"]))
    key: Dict[str, Any] = {"rules": RULES, "signatures": signatures["fingerprint"], "older": older}
    figures: Dict[str, Any] = {}
    try:
        manifest = read_manifest(path)
        key["manifest_sha256"] = manifest["manifest_sha256"]
        proof = provenance(name, manifest["manifest_sha256"], journal)
        kept = _kept(name, key, proof)
        if kept is None:
            _look(ctx, path, manifest, proof, older, journal, report, progress, scratch, signatures, figures)
    except SetError as error:
        report.found("damaged", error.id, error.found)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if kept is not None:
        return dict(kept, again=True)
    if report.judge() == "unknown":
        # What a working scanner once saw in exactly these bytes is not forgotten because it cannot be seen today.
        before = verdict_of(name, key.get("manifest_sha256")) or {"evidence": []}
        report.evidence += [item for item in before["evidence"] if item["verdict"] == "infected"]
    verdict = {
        **key,
        "set": name,
        "verdict": report.judge(),
        "proof": proof["proof"],
        "evidence": report.evidence,
        "uninspected": report.uninspected,
        "notes": report.notes,
        "figures": figures,
        "at": now_iso(),
        "seconds": round(time.time() - began, 1),
    }
    write_atomic(os.path.join(own_folder("verdicts"), name + ".json"), json.dumps(verdict) + "\n", 0o600)
    return dict(verdict, again=False)


def _scratch(ctx: Context, name: str) -> str:
    """Return an empty folder in the quarantine; what an inspection that was cut off has left there goes first."""
    folder = os.path.join(str(ctx.config["backup_quarantine_folder"]), "inspect")
    shutil.rmtree(folder, ignore_errors=True)
    scratch = os.path.join(folder, name)
    os.makedirs(scratch, mode=0o711)
    for each in (os.path.dirname(folder), folder, scratch):
        os.chmod(each, 0o711)
    return scratch


def _kept(name: str, key: Dict[str, Any], proof: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return an earlier verdict on exactly this question. One that something prevented is not worth keeping."""
    path = os.path.join(own_folder("verdicts"), name + ".json")
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        found: Dict[str, Any] = json.load(stream)
        same = all(found.get(word) == value for word, value in key.items()) and found.get("proof") == proof["proof"]
        return found if same and found["verdict"] != "unknown" else None
    return None


def _look(ctx: Context, path: str, manifest: Dict[str, Any], proof: Dict[str, Any], older: Optional[str], journal: Dict[str, str], report: Report,
          progress: Progress, scratch: str, signatures: Dict[str, Any], figures: Dict[str, Any]) -> None:  # fmt: skip
    if proof["proof"] == "forged":
        report.found("damaged", "forged", proof["found"])
        return
    if proof["proof"] == "none":
        report.found("unknown", "unproven", proof["found"])
        return
    surplus = strangers(path)
    if surplus:
        report.found("damaged", "strangers", ", ".join(surplus[:5]))
    total = sum(part["bytes"] for part in manifest["parts"])
    progress.phase("copy", total)
    copy_parts(path, manifest, scratch, progress)
    age = int(ctx.config["backup_signature_days"])
    if signatures["newest"] is None:
        report.gap("signatures_missing", str(ctx.config["backup_signature_folder"]))
    elif time.time() - signatures["newest"] > age * 86400:
        days = int((time.time() - signatures["newest"]) // 86400)
        report.gap("signatures_old", "%d > %d" % (days, age), days=days, limit=age)
    progress.phase("scanner")
    user, engine, batch = str(ctx.config["backup_quarantine_user"]), None, None
    try:
        if signatures["newest"] is not None:
            try:
                engine = backup_scan.Engine(
                    str(ctx.config["backup_clamd"]), str(ctx.config["backup_signature_folder"]), scratch, user
                )
                figures["engine"] = engine.version
                batch = backup_scan.Batch(engine, scratch, user)
            except backup_scan.EngineError as error:
                report.gap("engine_failed", str(error))
        code = _contents(ctx, scratch, batch, report, progress, total, figures)
        _neighbour(ctx, scratch, older, journal, code, report, progress)
    except backup_scan.EngineError as error:
        report.gap("engine_failed", str(error))
    finally:
        if batch is not None:
            _findings(batch, report)
            batch.close()
        if engine is not None:
            engine.close()


def _contents(ctx: Context, folder: str, batch: Optional[backup_scan.Batch], report: Report, progress: Progress, total: int,
              figures: Dict[str, Any]) -> Dict[str, str]:  # fmt: skip
    """Read archive and dump to their ends; every row must have its document. Returns the code of the dump."""
    have: Set[bytes] = set()
    began = time.monotonic()
    progress.phase("documents", os.path.getsize(os.path.join(folder, PARTS[1])))
    read = backup_archive.inspect(folder, batch, progress.add, lambda path, sha256: have.add(_key(path, sha256)))
    progress.phase("database", os.path.getsize(os.path.join(folder, PARTS[0])))
    missing: List[str] = []
    seen: Set[bytes] = set()

    def row(path: str, sha256: str) -> None:
        key = _key(path, sha256)
        if key in have:
            seen.add(key)
        else:
            missing.append(path)

    table = dict(ctx.config["backup_documents_table"])
    reader = backup_dump.Reader(batch, table, row)
    program = os.path.join(str(ctx.config["backup_postgresql_bin"]), "pg_restore")
    dump = backup_dump.read(folder, program, str(ctx.config["backup_quarantine_user"]), reader, progress.add)
    if batch is not None:
        batch.flush()
        figures.update(scanned_bytes=batch.scanned_bytes, scan_seconds=round(time.monotonic() - began, 3))
    figures.update(
        documents=read["count"], bytes=total, rows=dump.rows, values=dump.values, large_objects=dump.large_objects
    )
    if missing:
        report.found(
            "damaged", "row_without_document", str(len(missing)), count=len(missing), examples=", ".join(missing[:3])
        )
    if table and not dump.rows and read["count"]:
        report.gap("rows_unknown", str(table.get("table")))
    if len(have) > len(seen):
        report.note("surplus_documents", str(len(have) - len(seen)))
    if read["too_large"] or dump.too_large:
        values = ["%s * %d" % (PARTS[0], dump.too_large)] if dump.too_large else []
        report.gap("too_large", ", ".join([*read["too_large"][:3], *values]))
    return dump.code  # fmt: skip


def _ignore(*_anything: Any) -> None:
    """What nobody needs to be told."""


def _key(path: str, sha256: str) -> bytes:
    return hashlib.blake2b(os.fsencode("%s\0%s" % (path, sha256)), digest_size=16).digest()


def _neighbour(
    ctx: Context,
    folder: str,
    older: Optional[str],
    journal: Dict[str, str],
    code: Dict[str, str],
    report: Report,
    progress: Progress,
) -> None:
    """Compare with an older set that is what was taken; without one, say that this could not be done."""
    if older is None:
        report.gap("no_older_set", "")
        return
    progress.phase("compare")
    path = path_of(ctx, older)
    try:
        manifest = read_manifest(path)
    except SetError as error:
        report.gap("no_older_set", "%s: %s" % (older, error.found))
        return
    if provenance(older, manifest["manifest_sha256"], journal)["proof"] not in ("journal", "vault"):
        report.gap("no_older_set", older)
        return
    parts = {part["name"]: part for part in manifest["parts"]}
    with os.fdopen(open_plain(os.path.join(path, DOCUMENTS)), "rb") as stream:
        if hash_stream(stream) != parts[DOCUMENTS]["sha256"]:
            report.gap("no_older_set", older)
            return
    trace = backup_trace.compare(backup_archive.listed(path), backup_archive.listed(folder))
    figures = {key: trace[key] for key in ("before", "changed", "renamed", "vanished")}
    if trace["suspicious"]:
        report.found("infected", "ransomware_trace", ", ".join(trace["examples"]), older=older, **figures)
    elif trace["changed"] or trace["renamed"] or trace["vanished"]:
        report.note("documents_touched", ", ".join(trace["examples"]), older=older, **figures)
    program = os.path.join(str(ctx.config["backup_postgresql_bin"]), "pg_restore")
    try:
        reader = backup_dump.Reader(None, {}, _ignore)
        before = backup_dump.read(
            path, program, str(ctx.config["backup_quarantine_user"]), reader, _ignore, schema_only=True
        ).code
    except SetError as error:
        report.gap("no_older_code", error.found)
        return
    changes = backup_trace.code_changes(before, code)
    if changes:
        report.note("code_changed", "; ".join(changes[:MOST_EVIDENCE]))  # fmt: skip


def _findings(batch: backup_scan.Batch, report: Report) -> None:
    """Turn what the scanner said into evidence."""
    kinds: Dict[str, List[str]] = {}
    for finding in batch.findings:
        if finding.kind == "infected":
            report.found("infected", "virus", "%s: %s" % (finding.path, finding.words))
        else:
            kinds.setdefault(
                {"limits": "too_large", "encrypted": "encrypted", "failed": "scan_failed"}[finding.kind], []
            ).append(finding.path)
    for id, paths in kinds.items():
        report.gap(id, "%d: %s" % (len(paths), ", ".join(paths[:3])))

"""What a person types about backups, and what he is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lpse_dr import i18n
from lpse_dr.cli.backups import FINDINGS, progress_text
from lpse_dr.journal.folders import incidents
from lpse_dr.plugins.module_utils.lpse_dr_host import backup_report
from lpse_dr.runner.folder import runs

from .conftest import Call, Playbook

SET, HASH = "20260902T000000Z-pdc", "ab" * 32
TAKEN = {"set": SET, "manifest_sha256": HASH, "bytes": 2048, "documents": 3, "source": "pdc"}
FIND = ("backup", "find-clean", "--infected-since", "2026-09-11T00:00")


def ended(verdict: str = "COMPLETED", figures: dict[str, Any] | None = None, **error: Any) -> dict[str, Any]:
    return {"kind": "verdict", "verdict": verdict, "changed": True, "error": error or None, "figures": figures or {}}


def listed(*sets: dict[str, Any], **more: Any) -> dict[str, Any]:
    backup = {"sets": list(sets), "quarantine": [], "at_work": None, **more}
    return {"kind": "reading", "reading": {"host": "drc-vault", "site": "drc", "backup": backup}}


def one(**more: Any) -> dict[str, Any]:
    return {"set": SET, "taken_at": "2026-09-02T00:00:00.000Z", "bytes": 2048, "proof": "journal", "verdict": None, "problem": None, **more}  # fmt: skip


def flat(text: str) -> str:
    return " ".join(text.split())


def asked(office: Path) -> dict[str, Any]:
    newest = max(
        (run.request() for run in runs(office.parent / "state")), key=lambda request: request["requested_at"]
    )
    found: dict[str, Any] = newest["extra_vars"]
    return found


def test_what_was_taken_is_in_the_journal_and_is_asked_of_the_vault(
    call: Call, office: Path, playbook: Playbook
) -> None:
    playbook("backup_take", ended(figures=TAKEN))
    spoken = call("--office", office, "backup", "take", "--yes", "--reason", "nightly", "--label", "LTO 7")
    assert spoken.code == 0
    assert HASH in spoken.out
    assert asked(office)["backup_label"] == "LTO 7"
    playbook("backup_list", listed(one()), ended())
    assert call("--office", office, "backup", "list").code == 0
    assert asked(office)["backup_recorded"] == {SET: HASH}


def test_a_journal_that_was_edited_proves_nothing(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("backup_take", ended(figures=TAKEN))
    call("--office", office, "backup", "take", "--yes", "--reason", "nightly")
    (journal,) = incidents(office.parent / "state")
    path = journal.folder / "journal.jsonl"
    path.write_text(path.read_text().replace(HASH, "cd" * 32))
    playbook("backup_list", listed(one()), ended())
    call("--office", office, "backup", "list")
    assert asked(office)["backup_recorded"] == {}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (one(), "not looked into yet"),
        (one(verdict={"verdict": "clean"}), "clean"),
        (one(verdict={"verdict": "infected"}), "INFECTED"),
        (one(verdict={"verdict": "unknown"}), "CANNOT BE CHECKED"),
        (one(proof="none", verdict={"verdict": "clean"}), "cannot be proven"),
        (one(proof="forged", verdict={"verdict": "clean"}), "NOT what was taken"),
        (one(problem="part_missing: manifest.json", taken_at=None, bytes=None), "DAMAGED: a part is missing: manifest.json"),
    ],
)  # fmt: skip
def test_a_list_says_what_is_known(
    call: Call, office: Path, playbook: Playbook, item: dict[str, Any], words: str
) -> None:
    playbook("backup_list", listed(item), ended())
    spoken = call("--office", office, "backup", "list")
    assert words in flat(spoken.out)
    assert call("--office", office, "backup", "list", "--output", "json").envelope["sets"] == [item]


def test_an_empty_vault_is_said_to_be_empty(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("backup_list", listed(), ended())
    assert f"lpse-dr --office {office} backup take" in flat(call("--office", office, "backup", "list").out)


def test_what_was_found_is_told_set_by_set(call: Call, office: Path, playbook: Playbook) -> None:
    bad = {"set": "20260903T000000Z-pdc", "verdict": "infected", "proof": "journal", "evidence": [{"id": "virus", "found": "a.enc: Worm"}],
           "uninspected": [{"id": "too_large", "found": "b.enc"}], "notes": [{"id": "surplus_documents", "found": "2"}]}  # fmt: skip
    good = {"set": SET, "verdict": "clean", "proof": "vault", "evidence": [], "uninspected": [], "notes": []}
    figures = {"clean_set": SET, "before": "2026-09-08T00:00:00Z", "sets": [bad, good]}
    playbook("backup_find_clean", ended(figures=figures))
    spoken = call("--office", office, *FIND)
    said = flat(spoken.out)
    assert spoken.code == 0
    assert "20260903T000000Z-pdc: INFECTED, proven by the journal ! virus: a.enc: Worm ? too large for the scanner: b.enc" in said  # fmt: skip
    assert f"clean set from before 08-09-2026 08:00:00 WITA: {SET}" in said
    assert all(len(line) <= 60 for line in spoken.out.splitlines())
    assert (asked(office)["backup_infected_since"], asked(office)["backup_margin_seconds"]) == ("2026-09-10T16:00:00Z", 259200)  # fmt: skip
    indonesian = flat(call("--office", office, "--lang", "id", *FIND).out)
    assert "TERINFEKSI" in indonesian and "bersih" in indonesian


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("find-clean",), "since when"),
        (("find-clean", "--infected-since", "2999-01-01"), "has not come yet"),
        (("find-clean", "--infected-since", "2026-09-11", "--margin", "long"), "not a duration"),
        (("take",), "There is no terminal"),
        (("restore", SET), "--into"),
        (("restore", SET, "--into", "production", "--yes"), "quarantine"),
        (("restore", SET, "--into", "quarantine"), "There is no terminal"),
        (("cleanup",), "SET"),
    ],
)
def test_what_is_not_understood(call: Call, office: Path, words: tuple[str, ...], said: str) -> None:
    spoken = call("--office", office, "backup", *words)
    assert spoken.code == 2
    assert said in flat(spoken.out + spoken.err)


def test_what_came_up_is_counted_against_what_was_known(call: Call, office: Path, playbook: Playbook) -> None:
    figures = {"bids": 44, "expected_bids": 44, "tenders": 3, "documents": 44, "expected_documents": 45, "without_document": 0, "network": ["lo"], "socket": "/q/socket"}  # fmt: skip
    playbook("backup_restore", ended(figures=figures))
    said = flat(call("--office", office, "backup", "restore", SET, "--into", "quarantine", "--yes", "--reason", "x").out)  # fmt: skip
    assert "bids 44 (44)" in said and "documents 44 (45)" in said
    assert f"backup cleanup {SET}" in said


def test_progress_is_in_bytes_and_says_how_long() -> None:
    event = {"subject": SET, "phase": "copy", "done_bytes": 1 << 20, "total_bytes": 1 << 21, "eta_seconds": 30}
    i18n.use("en")
    assert progress_text(event) == f"{SET}: copy into the quarantine, 1.0 MB of 2.0 MB, about 30.0 s left"
    i18n.use("id")
    assert progress_text(event).startswith(f"{SET}: salin ke karantina, 1.0 MB dari 2.0 MB")


def test_every_finding_has_its_words() -> None:
    assert set(backup_report.BLOCKING) <= set(FINDINGS)

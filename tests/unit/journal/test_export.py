"""An evidence pack is checked by a short program that needs nothing of ours."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lpse_dr.errors import UsageError
from lpse_dr.journal import Journal
from lpse_dr.journal.export import CHECKER, export


def _record(state: Path) -> Journal:
    journal = Journal(state / "incidents" / "20261124T080000-banjir")
    for number in range(4):
        journal.append("test.event", {"number": number, "text": "air masuk – \u202eruang"})
    run = journal.folder / "runs" / "r1"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "alive").write_text("")
    (run / "elsewhere").symlink_to("/etc/passwd")
    return journal


def _unpacked(tmp_path: Path) -> Path:
    journal = _record(tmp_path / "state")
    pack = export(journal, tmp_path / "pack.tar.gz")
    assert pack.head == journal.verify().head
    with tarfile.open(pack.path) as archive:
        archive.extractall(tmp_path / "court", filter="data")
    (folder,) = (tmp_path / "court").iterdir()
    return folder


def _check(folder: Path) -> tuple[int, str]:
    # -I: nothing of ours, nothing of the environment.
    done = subprocess.run(
        [sys.executable, "-I", "check_pack.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_pack_is_whole(tmp_path: Path) -> None:
    folder = _unpacked(tmp_path)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"journal.jsonl", "runs/r1/run.json", "SHA256SUMS", "README.txt", "check_pack.py"}
    code, said = _check(folder)
    assert code == 0
    assert "every file is as exported" in said and "journal: 4 good lines, head " in said
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


def test_the_checker_is_short_and_plain() -> None:
    text = CHECKER.read_text()
    assert text.count("\n") < 60
    imports = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imports <= {"hashlib", "json", "os", "sys"}


def _edit(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_text(path.read_text().replace('"number":1', '"number":9'))


def _edit_and_sum(folder: Path) -> None:
    _edit(folder)
    sums = folder / "SHA256SUMS"
    digest = hashlib.sha256((folder / "journal.jsonl").read_bytes()).hexdigest()
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(f"{digest}{line[64:]}" if "journal.jsonl" in line else line for line in lines))


def _remove(folder: Path) -> None:
    (folder / "runs/r1/run.json").unlink()


def _add(folder: Path) -> None:
    (folder / "runs/r1/more.json").write_text("{}")


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_edit, "journal.jsonl: was changed"),
        (_edit_and_sum, "journal.jsonl: line 2 does not fit"),
        (_remove, "runs/r1/run.json: is missing"),
        (_add, "runs/r1/more.json: was added"),
    ],
)
def test_tampering_is_found(tmp_path: Path, tamper: Callable[[Path], None], said: str) -> None:
    folder = _unpacked(tmp_path)
    tamper(folder)
    code, output = _check(folder)
    assert code == 1
    assert said in output


def test_a_broken_journal_is_evidence_too(tmp_path: Path) -> None:
    journal = _record(tmp_path / "state")
    _edit(journal.folder)
    pack = export(journal, tmp_path / "pack.tar.gz")
    with tarfile.open(pack.path) as archive:
        archive.extractall(tmp_path, filter="data")
    assert _check(tmp_path / f"bukti-{journal.folder.name}")[0] == 1


def test_nothing_is_written_over(tmp_path: Path) -> None:
    journal = _record(tmp_path / "state")
    (tmp_path / "pack.tar.gz").write_text("mine")
    with pytest.raises(UsageError):
        export(journal, tmp_path / "pack.tar.gz")
    assert (tmp_path / "pack.tar.gz").read_text() == "mine"
    with pytest.raises(UsageError):
        export(journal, tmp_path / "nowhere" / "pack.tar.gz")

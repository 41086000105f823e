"""An evidence pack: one incident's journal and runs with their hashes, and a program that checks them without ours."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import JournalError, UsageError
from ..i18n import _
from .writer import Journal

CHECKER = Path(__file__).resolve().parent / "check_pack.py"
# What a run needs only while it lives.
_LEFT_OUT = {"reserve", "alive", "cancel", "scratch"}
_README = """\
{name}

journal.jsonl  what was done, one line an event; each carries the hash of the one before
runs/          what was executed: request, events, result
SHA256SUMS     the hash of every file here; also for: sha256sum -c SHA256SUMS
check_pack.py  checks all of it: python3 check_pack.py  (Python 3, nothing else)

The chain shows a line that was changed, removed, inserted or moved. That the whole was not written anew, or its end
cut off, is shown by comparing the head that check_pack.py prints with one that was noted elsewhere (a printed
report, a signature, the other site's copy).
"""


@dataclass(frozen=True)
class Pack:
    """An evidence pack on disk. `head` is the journal's last hash, `sha256` the hash of the pack itself."""

    path: Path
    files: int
    bytes: int
    sha256: str
    head: str


def export(journal: Journal, target: Path) -> Pack:
    """Write the pack of one incident to a new file. UsageError where that exists or cannot be written.

    A journal whose chain is broken is exported too: it is evidence.
    """
    root = f"bukti-{journal.folder.name}"
    try:
        contents = _contents(journal.folder)
    except OSError as error:
        raise JournalError(
            _("The journal cannot be read."),
            detail=f"{error.filename}: {error.strerror}",
            hint="lpse-dr journal verify",
        ) from error
    contents["check_pack.py"] = CHECKER.read_bytes()
    contents["README.txt"] = _README.format(name=root).encode()
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items()]
    contents["SHA256SUMS"] = "".join(sums).encode()
    buffer = io.BytesIO()
    moment = int(journal.path.stat().st_mtime)
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"{root}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), moment, 0o644
            archive.addfile(entry, io.BytesIO(content))
    _write_new(target, buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Pack(target, len(contents), len(buffer.getvalue()), digest, journal.verify().head)


def _contents(folder: Path) -> dict[str, bytes]:
    """Return every file of the record by its name, the journal first. Links are not followed."""
    found: dict[str, bytes] = {"journal.jsonl": (folder / "journal.jsonl").read_bytes()}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in _LEFT_OUT:
            found.setdefault(str(path.relative_to(folder)), path.read_bytes())
    return found


def _write_new(target: Path, content: bytes) -> None:
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError as error:
        raise UsageError(
            _("{file} exists already.").format(file=target), hint=_("Name another file with --to FILE.")
        ) from error
    except OSError as error:
        raise UsageError(
            _("{file} cannot be written.").format(file=target),
            detail=str(error.strerror or error),
            hint=_("Name another file with --to FILE."),
        ) from error

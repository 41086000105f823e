"""A run as others see it: its folder, whether it is alive, how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunnerError, UsageError
from ..i18n import _
from ..journal import sync_folder
from .verdict import Event, Verdict, error_of

_KEPT_READ_RUNS = 50
SCRATCH_PREFIX = "lpse-dr-"


def write_json(path: Path, value: Any) -> None:
    """Replace a file as a whole, on disk before this returns."""
    partial = path.with_suffix(".part")
    with partial.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Run:
    """One run. The folder's name is the run's id."""

    folder: Path

    @property
    def id(self) -> str:
        """The id, beginning with its time in UTC."""
        return self.folder.name

    @property
    def events_path(self) -> Path:
        """Where the events are written as they happen."""
        return self.folder / "events.jsonl"

    def request(self) -> dict[str, Any]:
        """Return what was asked for (run.json); an unreadable one is an empty request."""
        return _read_json(self.folder / "run.json") or {}

    def alive(self) -> bool:
        """Tell whether the run's process lives. It holds a lock for its lifetime; a pid could be somebody else's."""
        try:
            handle = os.open(self.folder / "alive", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def result(self) -> dict[str, Any] | None:
        """Return how it ended, or None while it goes on. One that was killed has the verdict UNKNOWN."""
        found = _read_json(self.folder / "result.json")
        if found is None and not self.alive():
            # It may have ended between the two looks.
            found = _read_json(self.folder / "result.json") or self._killed()
        return found

    def _killed(self) -> dict[str, Any]:
        request = self.request()
        error = error_of(
            "run.killed",
            _("the run to reach its end"),
            _("its process was killed"),
            str(request.get("command") or "lpse-dr status") if request.get("changes") else "lpse-dr status",
        )
        return {
            "run": self.id,
            "operation": request.get("operation"),
            "verdict": Verdict.UNKNOWN.value,
            "exit_code": Verdict.UNKNOWN.exit_code,
            "changed": None,
            "error": error,
            "figures": {},
            "started_at": request.get("requested_at"),
            "ended_at": None,
            "seconds": None,
            "phases": [],
            "unreachable": [],
        }

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Return the whole events from this byte on, and where to go on reading."""
        try:
            with self.events_path.open("rb") as stream:
                stream.seek(offset)
                content = stream.read()
        except OSError:
            return [], offset
        whole, newline, _torn = content.rpartition(b"\n")
        found: list[Event] = []
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(event)
        return found, offset + len(whole) + len(newline)

    def cancel(self, by: str) -> None:
        """Ask the run to end. It undoes what it can, within a minute, and ends its whole tree."""
        try:
            (self.folder / "cancel").write_text(by + "\n", encoding="utf-8")
        except OSError as error:
            raise RunnerError(_("The run cannot be cancelled from here."), detail=str(error)) from error


def _folders(state: Path) -> Iterator[Path]:
    for root in (state / "runs", *sorted(state.glob("incidents/*/runs"))):
        if root.is_dir():
            yield from (folder for folder in root.iterdir() if (folder / "run.json").is_file())


def runs(state: Path) -> list[Run]:
    """Return every run that is kept, oldest first."""
    return [Run(folder) for folder in sorted(_folders(state), key=lambda folder: folder.name)]


def find_run(state: Path, name: str) -> Run:
    """Return the run with this id, its unambiguous beginning or end, or the `last` one."""
    known = runs(state)
    if name == "last" and known:
        return known[-1]
    exact = [run for run in known if run.id == name]
    found = exact or [run for run in known if run.id.startswith(name) or run.id.endswith(name)]
    if len(found) == 1:
        return found[0]
    problem = _("Several runs are called '{name}'.") if found else _("There is no run '{name}'.")
    raise UsageError(
        problem.format(name=name),
        detail="\n".join(run.id for run in found[-10:]),
        hint="lpse-dr runs list",
    )


def sweep(run: Run) -> None:
    """Remove the private folder of a run that needs it no more; a killed run could not do it itself."""
    note = run.folder / "scratch"
    try:
        scratch = Path(note.read_text(encoding="utf-8"))
    except OSError:
        return
    if scratch.name.startswith(SCRATCH_PREFIX):
        shutil.rmtree(scratch, ignore_errors=True)
    note.unlink(missing_ok=True)


def prune(state: Path) -> None:
    """Keep the last 50 runs that only read. Those that changed something belong to their incident and stay."""
    root = state / "runs"
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir(), key=lambda item: item.name)[:-_KEPT_READ_RUNS]:
        if not Run(folder).alive():
            shutil.rmtree(folder, ignore_errors=True)

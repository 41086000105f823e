"""Work that outlasts its connection: it is found again, says what it came to, and nobody takes silence for success."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import backup_job, backup_place
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError

CTX = Context("vault", "drc", {}, None, 30.0)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(backup_place, "OWN_FOLDER", str(tmp_path))
    monkeypatch.setattr(backup_job, "LONGEST_WAIT_SECONDS", 0.3)
    return tmp_path


def end(name: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = backup_job.ask(CTX, name)
        if found["done"]:
            return found
    raise AssertionError("it goes on")


def test_it_goes_on_by_itself_and_says_how_far_it_is(place: Path) -> None:
    def work(progress: backup_job.Progress) -> dict[str, Any]:
        progress.phase("copy", 100)
        progress.add(40)
        # It outlives a test that fails, so it has an end of its own.
        ends = time.monotonic() + 20
        while not (place / "go").exists() and time.monotonic() < ends:
            time.sleep(0.02)
        return {"answer": 42, "pid": os.getpid()}

    assert backup_job.start(CTX, "one", "SET", work)
    deadline = time.monotonic() + 10
    while not (found := backup_job.ask(CTX, "one"))["progress"] and time.monotonic() < deadline:
        # It may not have said anything yet.
        assert found["done"] is False
    assert found["done"] is False
    assert (found["progress"]["subject"], found["progress"]["phase"], found["progress"]["total_bytes"]) == ("SET", "copy", 100)  # fmt: skip
    # The same again finds it at work; another one is told of it.
    assert not backup_job.start(CTX, "one", "SET", work)
    with pytest.raises(VerbError) as raised:
        backup_job.start(CTX, "two", "SET", work)
    assert (raised.value.id, raised.value.found) == ("backup.busy", "one")
    (place / "go").touch()
    result = end("one")["result"]
    assert result["answer"] == 42 and result["pid"] != os.getpid()
    deadline = time.monotonic() + 5
    while backup_job.at_work() is not None:  # it has said its result, and is about to end
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_failed_fails_for_whoever_asks() -> None:
    def refuse(_progress: backup_job.Progress) -> dict[str, Any]:
        raise VerbError("backup.no_room", "room", "none", "buy a disk")

    backup_job.start(CTX, "one", "SET", refuse)
    with pytest.raises(VerbError) as raised:
        end("one")
    assert (raised.value.id, raised.value.todo) == ("backup.no_room", "buy a disk")


def test_a_fault_is_no_success() -> None:
    backup_job.start(CTX, "one", "SET", lambda _progress: {"x": 1 // 0})
    with pytest.raises(VerbError) as raised:
        end("one")
    assert raised.value.id == "verb.bug"


def test_work_that_was_cut_off_says_so() -> None:
    backup_job.start(CTX, "one", "SET", lambda _progress: os._exit(0))
    with pytest.raises(VerbError) as raised:
        end("one")
    assert raised.value.id == "backup.cut_off"

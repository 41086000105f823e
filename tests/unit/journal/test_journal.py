"""The journal shows every edit, survives a crash and many writers, and announces before the act."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.errors import JournalError
from lpse_dr.journal import (
    START,
    Journal,
    canonical,
    chain,
    chain_hash,
    incidents,
    new_record,
    open_incident,
    open_incidents,
    open_maintenance,
)

Lines = list[bytes]


def _filled(folder: Path, count: int = 4) -> Journal:
    journal = Journal(folder)
    for number in range(count):
        journal.append("test.event", {"number": number, "text": "Lombok Tengah – uji"})
    return journal


def test_events_are_chained(tmp_path: Path) -> None:
    journal = _filled(tmp_path)
    events = journal.events()
    assert [event["n"] for event in events] == [1, 2, 3, 4]
    assert events[0]["prev"] == START
    for before, after in pairwise(events):
        assert after["prev"] == before["hash"]
    last = dict(events[-1])
    claimed = last.pop("hash")
    assert chain_hash(last["prev"], canonical(last)) == claimed
    proof = journal.verify()
    assert (proof.ok, proof.events, proof.head) == (True, 4, claimed)


def _edit(line: bytes, change: Callable[[dict[str, object]], None], *, rehash: bool = False) -> bytes:
    event = json.loads(line)
    change(event)
    if rehash:
        event.pop("hash")
        event["hash"] = chain_hash(str(event["prev"]), canonical(event))
    return canonical(event).encode()


def _changed(lines: Lines) -> None:
    lines[1] = _edit(lines[1], lambda event: event.update(data={"number": 99}))


def _changed_and_rehashed(lines: Lines) -> None:
    lines[1] = _edit(lines[1], lambda event: event.update(data={"number": 99}), rehash=True)


def _other_person(lines: Lines) -> None:
    lines[3] = _edit(lines[3], lambda event: event.update(by={"user": "somebody"}))


def _removed(lines: Lines) -> None:
    del lines[1]


def _swapped(lines: Lines) -> None:
    lines[1], lines[2] = lines[2], lines[1]


def _repeated(lines: Lines) -> None:
    lines.insert(2, lines[1])


def _spaces(lines: Lines) -> None:
    lines[2] = json.dumps(json.loads(lines[2])).encode()


def _hidden_key(lines: Lines) -> None:
    lines[0] = lines[0].replace(b'{"at"', b'{"at":"1999-01-01T00:00:00Z","at"', 1)


def _garbage(lines: Lines) -> None:
    lines[2] = b"\xff\xfe"


def _empty_line(lines: Lines) -> None:
    lines.insert(1, b"")


def _first_removed(lines: Lines) -> None:
    del lines[0]


def _forged_insert(lines: Lines) -> None:
    forged = json.loads(lines[0])
    forged.update(n=2, prev=forged["hash"], kind="forged")
    lines.insert(1, _edit(canonical(forged).encode(), lambda event: None, rehash=True))


def _renumbered(lines: Lines) -> None:
    lines[1] = _edit(lines[1], lambda event: event.update(n=7), rehash=True)


TAMPERS: list[tuple[Callable[[Lines], None], int, str]] = [
    (_changed, 2, chain.CHANGED),
    (_changed_and_rehashed, 3, chain.REWRITTEN),
    (_other_person, 4, chain.CHANGED),
    (_removed, 2, chain.REMOVED),
    (_swapped, 2, chain.REORDERED),
    (_repeated, 3, chain.INSERTED),
    (_forged_insert, 3, chain.INSERTED),
    (_spaces, 3, chain.SPELLING),
    (_hidden_key, 1, chain.SPELLING),
    (_garbage, 3, chain.NOT_AN_EVENT),
    (_empty_line, 2, chain.NOT_AN_EVENT),
    (_first_removed, 1, chain.REMOVED),
    (_renumbered, 2, chain.NUMBER),
]


@pytest.mark.parametrize(("tamper", "bad_line", "reason"), TAMPERS)
def test_first_bad_line_is_named(tmp_path: Path, tamper: Callable[[Lines], None], bad_line: int, reason: str) -> None:
    journal = _filled(tmp_path)
    lines = journal.path.read_bytes().splitlines()
    tamper(lines)
    journal.path.write_bytes(b"\n".join(lines) + b"\n")
    proof = journal.verify()
    assert (proof.bad_line, proof.reason) == (bad_line, reason)
    assert proof.head == (journal.events()[bad_line - 2]["hash"] if bad_line > 1 else START)


def test_a_chain_alone_shows_neither_a_cut_tail_nor_a_rewrite(tmp_path: Path) -> None:
    """What `journal verify` says that it cannot prove is what it cannot prove."""
    journal = _filled(tmp_path)
    head = journal.verify().head
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[:-1]))
    assert journal.verify().ok and journal.verify().head != head


def test_torn_line_is_set_aside(tmp_path: Path) -> None:
    journal = _filled(tmp_path)
    torn = b'{"at":"2026-11-2'
    with journal.path.open("ab") as stream:
        stream.write(torn)
    proof = journal.verify()
    assert (proof.ok, proof.torn_bytes) == (True, len(torn))
    journal.append("after.crash", {})
    assert [event["kind"] for event in journal.events()][-1] == "after.crash"
    assert journal.verify().ok
    assert [path.read_bytes() for path in tmp_path.glob("journal.torn-*")] == [torn]


def test_torn_line_on_a_full_disk_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = _filled(tmp_path)
    with journal.path.open("ab") as stream:
        stream.write(b"\x00" * 40)
    asked = []

    def full(self: Journal, torn: bytes) -> None:
        asked.append(torn)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "_keep_torn", full)
    journal.append("after.crash", {})
    assert len(asked) == 2, "once more with the reserve"
    assert (journal.verify().ok, journal.verify().events) == (True, 5)


def test_torn_first_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.path.write_bytes(b'{"at')
    journal.append("first", {})
    assert journal.verify().events == 1


def test_broken_last_line_stops_the_append(tmp_path: Path) -> None:
    journal = _filled(tmp_path)
    with journal.path.open("ab") as stream:
        stream.write(b"edited\n")
    with pytest.raises(JournalError) as caught:
        journal.append("more", {})
    assert tmp_path.name in caught.value.hint


def test_many_writers(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lpse_dr.journal import Journal\n"
        "for n in range(25): Journal(Path(sys.argv[1])).append('test', {'n': n})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    proof = Journal(tmp_path).verify()
    assert (proof.ok, proof.events) == (True, 75)


def test_full_disk_uses_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = _filled(tmp_path)
    real = os.write

    def full_while_reserved(handle: int, data: bytes) -> int:
        if (tmp_path / "reserve").exists():
            real(handle, data[:7])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr("lpse_dr.journal.writer.os.write", full_while_reserved)
    journal.append("on.full.disk", {})
    assert journal.verify().events == 5
    monkeypatch.undo()
    # Once there is room again, the next append takes it beforehand again.
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 256 * 1024


def test_full_disk_refuses_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = _filled(tmp_path)
    before = journal.path.read_bytes()
    real = os.write

    def full(handle: int, data: bytes) -> int:
        real(handle, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lpse_dr.journal.writer.os.write", full)
    with pytest.raises(JournalError):
        journal.append("on.full.disk", {})
    assert journal.path.read_bytes() == before


def test_a_record_stays_open_until_it_is_closed(tmp_path: Path) -> None:
    first, new = open_maintenance(tmp_path, "uji")
    assert new
    again, new = open_maintenance(tmp_path, "other")
    assert (again.folder, new) == (first.folder, False)
    first.append("incident.closed", {})
    assert open_incident(tmp_path) is None
    second, new = open_maintenance(tmp_path, "later")
    assert new and second.folder != first.folder
    assert len(incidents(tmp_path)) == 2


def test_a_broken_record_gets_no_more_lines(tmp_path: Path) -> None:
    first, _ = open_maintenance(tmp_path, "uji")
    first.append("test", {})
    lines = first.path.read_bytes().splitlines()
    _changed(lines)
    first.path.write_bytes(b"\n".join(lines) + b"\n")
    second, new = open_maintenance(tmp_path, "goes on")
    assert new and second.folder != first.folder


def test_an_emergency_may_begin_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_maintenance(tmp_path, "uji")[0].append("incident.closed", {})
    root = tmp_path / "incidents"
    assert (root / "reserve").is_file()
    real = Path.mkdir

    def full_while_reserved(self: Path, *args: Any, **more: Any) -> None:
        if self.parent == root and (root / "reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, *args, **more)

    monkeypatch.setattr(Path, "mkdir", full_while_reserved)
    new_record(tmp_path, "banjir").append("first", {})
    assert [journal.folder.name.split("-")[1] for journal in open_incidents(tmp_path)] == ["banjir"]


def test_a_clock_that_went_backwards_is_recorded_and_the_order_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = _filled(tmp_path, 1)
    monkeypatch.setattr("lpse_dr.journal.writer.now", lambda: "2001-01-01T00:00:00.000Z")
    journal.append("later", {})
    monkeypatch.undo()
    journal.append("last", {})
    events = journal.events()
    assert [event["kind"] for event in events] == ["test.event", "clock.backwards", "later", "last"]
    assert events[1]["data"] == {"before": events[0]["at"], "after": "2001-01-01T00:00:00.000Z"}
    assert journal.verify().ok


def test_of_two_who_decide_at_once_the_second_is_judged_by_the_first(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lpse_dr.journal import Journal\n"
        "def once(events):\n"
        "    if any(event['kind'] == 'decided' for event in events): raise SystemExit(3)\n"
        "Journal(Path(sys.argv[1])).append('decided', {}, check=once)"
    )
    deciders = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(4)]
    assert sorted(decider.wait(60) for decider in deciders) == [0, 3, 3, 3]
    assert Journal(tmp_path).verify().events == 1

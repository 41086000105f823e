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

import pytest

from lpse_dr.errors import JournalError
from lpse_dr.journal import START, Journal, canonical, chain_hash, incidents, open_incident, open_maintenance

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


@pytest.mark.parametrize(
    ("tamper", "bad_line"),
    [
        (_changed, 2),
        (_changed_and_rehashed, 3),
        (_other_person, 4),
        (_removed, 2),
        (_swapped, 2),
        (_repeated, 3),
        (_spaces, 3),
        (_hidden_key, 1),
        (_garbage, 3),
        (_empty_line, 2),
        (_first_removed, 1),
    ],
)
def test_first_bad_line_is_named(tmp_path: Path, tamper: Callable[[Lines], None], bad_line: int) -> None:
    journal = _filled(tmp_path)
    lines = journal.path.read_bytes().splitlines()
    tamper(lines)
    journal.path.write_bytes(b"\n".join(lines) + b"\n")
    assert journal.verify().bad_line == bad_line


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

    monkeypatch.setattr("lpse_dr.journal.os.write", full_while_reserved)
    journal.append("on.full.disk", {})
    assert journal.verify().events == 5


def test_full_disk_refuses_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = _filled(tmp_path)
    before = journal.path.read_bytes()
    real = os.write

    def full(handle: int, data: bytes) -> int:
        real(handle, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lpse_dr.journal.os.write", full)
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

"""What is no set is not taken for one: recorded manifests, archives and dumps, each with one thing wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import (  # fmt: skip
    backup,
    backup_archive,
    backup_copy,
    backup_dump,
    backup_place,
    backup_scan,
    backup_trace,
)
from lpse_dr.plugins.module_utils.lpse_dr_host.backup_job import Progress
from lpse_dr.plugins.module_utils.lpse_dr_host.backup_place import SetError
from lpse_dr.plugins.module_utils.lpse_dr_host.backup_report import Report
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context

NAME = "20260901T000000Z-pdc"
HELD = {"2026/a.enc": b"a" * 700, "2026/b.enc": b"b" * 3}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as found:
        for member, content in members:
            found.addfile(member, io.BytesIO(content))
    return data.getvalue()


def member(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def listing(held: dict[str, bytes]) -> bytes:
    lines = [
        {"path": path, "bytes": len(data), "at": 0, "sha256": sha256(data)} for path, data in sorted(held.items())
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def manifest_of(folder: Path) -> dict[str, Any]:
    parts = [{"name": part, "bytes": (folder / part).stat().st_size, "sha256": sha256((folder / part).read_bytes())} for part in backup_place.PARTS]  # fmt: skip
    return {"schema": 1, "set": folder.name, "taken_at": "2026-09-01T00:00:00.000Z", "epoch": {"number": 1, "site": "pdc"},
            "source": {"site": "pdc"}, "documents": {"count": 2, "bytes": 703}, "parts": parts}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vault with one whole set; returns the set's folder."""
    monkeypatch.setattr(backup_place, "OWN_FOLDER", str(tmp_path / "own"))
    folder = tmp_path / "vault" / NAME
    folder.mkdir(parents=True)
    (folder / "files.tar").write_bytes(archive([member(path, data) for path, data in sorted(HELD.items())]))
    (folder / "documents.jsonl").write_bytes(listing(HELD))
    (folder / "database.dump").write_bytes(b"PGDMP")
    (folder / "manifest.json").write_text(json.dumps(manifest_of(folder)))
    return folder


def ctx(place: Path) -> Context:
    return Context("vault", "drc", {"backup_folder": str(place.parent), "backup_quarantine_folder": str(place.parent / "q"), "backup_signature_folder": "/nonexistent"})  # fmt: skip


def ignore(*_anything: Any) -> None:
    """Nobody needs to be told."""


def rewrite(**changes: Any) -> Callable[[Path], Any]:
    return lambda folder: (folder / "manifest.json").write_text(json.dumps({**manifest_of(folder), **changes}))  # fmt: skip


def part(**changes: Any) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        found = manifest_of(folder)
        found["parts"][0].update(changes)
        (folder / "manifest.json").write_text(json.dumps(found))

    return harm


def link(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "elsewhere")
    (folder / "manifest.json").symlink_to(folder.parent / "elsewhere")


def folder_instead(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()


HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda folder: (folder / "manifest.json").unlink(), "part_missing"),
    "empty": (lambda folder: (folder / "manifest.json").write_text(""), "manifest_unreadable"),
    "truncated": (lambda folder: (folder / "manifest.json").write_text('{"schema": 1, "set": "2026'), "manifest_unreadable"),
    "no object": (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest_unreadable"),
    "bytes": (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "manifest_unreadable"),
    "huge": (lambda folder: (folder / "manifest.json").write_text(" " * 1_100_000), "manifest_unreadable"),
    "a link": (link, "part_missing"),
    "a folder": (folder_instead, "not_plain"),
    "another set": (rewrite(set="20260902T000000Z-pdc"), "manifest_unreadable"),
    "another version": (rewrite(schema=2), "manifest_unreadable"),
    "no parts": (rewrite(parts=[]), "manifest_unreadable"),
    "parts are text": (rewrite(parts="database.dump"), "manifest_unreadable"),
    "a part outside": (part(name="../../etc/passwd"), "manifest_unreadable"),
    "a part with a negative size": (part(bytes=-1), "manifest_unreadable"),
    "a part whose size is text": (part(bytes="5"), "manifest_unreadable"),
    "a part without a hash": (part(sha256="x"), "manifest_unreadable"),
    "no time": (rewrite(taken_at="yesterday"), "manifest_unreadable"),
}  # fmt: skip


def test_a_whole_set_is_read(place: Path) -> None:
    assert backup_place.read_manifest(str(place))["manifest_sha256"] == sha256((place / "manifest.json").read_bytes())


@pytest.mark.parametrize("harm", HARMS)
def test_a_manifest_that_is_none(place: Path, harm: str) -> None:
    change, identity = HARMS[harm]
    change(place)
    with pytest.raises(SetError) as raised:
        backup_place.read_manifest(str(place))
    assert raised.value.id == identity
    # The list goes on, and says so.
    (found,) = backup.status(ctx(place), {})["reading"]["backup"]["sets"]
    assert found["problem"].startswith(identity)


def test_what_is_half_written_is_no_set(place: Path) -> None:
    place.rename(place.parent / f".{NAME}.part")
    reading = backup.status(ctx(place), {})["reading"]["backup"]
    assert (reading["sets"], reading["unfinished"]) == ([], 1)


def test_a_medium_that_is_away_is_not_an_empty_one(place: Path) -> None:
    place.parent.rename(place.parent.parent / "away")
    reading = backup.status(ctx(place), {})["reading"]["backup"]
    assert reading["sets"] is None
    assert reading["error"]


@pytest.mark.parametrize(
    ("journal", "vault", "proof"),
    [
        (None, None, "none"),
        (None, "own", "vault"),
        ("own", None, "journal"),
        ("own", "own", "journal"),
        ("other", "own", "forged"),
        ("own", "other", "forged"),
        (None, "other", "forged"),
    ],
)
def test_who_says_that_it_is_what_was_taken(place: Path, journal: str | None, vault: str | None, proof: str) -> None:
    own = sha256((place / "manifest.json").read_bytes())
    hashes = {"own": own, "other": "0" * 64}
    if vault:
        backup_place.remember({"set": NAME, "manifest_sha256": hashes[vault]})
    said = {NAME: hashes[journal]} if journal else {}
    assert backup_place.provenance(NAME, own, said)["proof"] == proof


def copied(place: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    backup_copy.copy_parts(
        str(place),
        backup_place.read_manifest(str(place)),
        str(tmp_path / "copy"),
        Progress(str(tmp_path / "progress"), ""),
    )


def test_a_copy_is_the_set(place: Path, tmp_path: Path) -> None:
    copied(place, tmp_path)
    assert (tmp_path / "copy/files.tar").read_bytes() == (place / "files.tar").read_bytes()


@pytest.mark.parametrize("harm", ["grows", "shrinks", "differs", "links", "pipe"])
def test_a_part_that_is_not_what_the_manifest_says(place: Path, tmp_path: Path, harm: str) -> None:
    path = place / "files.tar"
    data = path.read_bytes()
    if harm in ("links", "pipe"):
        path.rename(tmp_path / "real")
        path.symlink_to(tmp_path / "real") if harm == "links" else os.mkfifo(path)
    else:
        path.write_bytes({"grows": data + b"x", "shrinks": data[:-1], "differs": b"x" + data[1:]}[harm])
    with pytest.raises(SetError):
        copied(place, tmp_path)


OUTSIDE = [
    member("/etc/passwd", b"x"),
    member("../x", b"x"),
    member("a/../../x", b"x"),
    member("./a", b"x"),
    member("a", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    member("a", type=tarfile.LNKTYPE, linkname="2026/a.enc"),
    member("a", type=tarfile.CHRTYPE),
    member("a", type=tarfile.FIFOTYPE),
    member("a", type=tarfile.DIRTYPE),
]


@pytest.mark.parametrize("bad", OUTSIDE, ids=lambda item: f"{item[0].name} {item[0].type!r}")
def test_an_archive_with_something_that_is_no_document(place: Path, bad: tuple[tarfile.TarInfo, bytes]) -> None:
    (place / "files.tar").write_bytes(archive([bad]))
    with pytest.raises(SetError) as raised:
        list(backup_archive.members(str(place)))
    assert raised.value.id in ("path_outside", "not_plain")


def test_a_sparse_member_is_refused(place: Path) -> None:
    info, data = member("big", b"")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "big",
        "GNU.sparse.realsize": str(1 << 40),
    }
    info.size = 512
    (place / "files.tar").write_bytes(archive([(info, b"0\n" + b"\0" * 510), (info, data)][:1]))
    with pytest.raises(SetError):
        list(backup_archive.members(str(place)))


def test_a_member_that_says_it_is_larger_than_the_archive(place: Path) -> None:
    info, _data = member("big")
    info.size = 1 << 40
    (place / "files.tar").write_bytes(info.tobuf(tarfile.PAX_FORMAT) + b"\0" * 10240)
    with pytest.raises(SetError) as raised:
        list(backup_archive.members(str(place)))
    assert raised.value.id == "archive_bomb"


DIFFERENT: dict[str, dict[str, bytes]] = {
    "one is missing": {"2026/a.enc": HELD["2026/a.enc"]},
    "one too many": {**HELD, "2026/c.enc": b"c"},
    "another content": {**HELD, "2026/b.enc": b"x" * 3},
    "another name": {"2026/a.enc": HELD["2026/a.enc"], "2026/c.enc": HELD["2026/b.enc"]},
}


@pytest.mark.parametrize("harm", DIFFERENT)
def test_an_archive_that_is_not_its_list(place: Path, harm: str) -> None:
    (place / "files.tar").write_bytes(archive([member(path, data) for path, data in sorted(DIFFERENT[harm].items())]))  # fmt: skip
    with pytest.raises(SetError) as raised:
        backup_archive.inspect(str(place), None, ignore, ignore)
    assert raised.value.id == "archive_differs"


def test_an_archive_that_ends_early(place: Path) -> None:
    data = (place / "files.tar").read_bytes()
    (place / "files.tar").write_bytes(data[:900])
    with pytest.raises(SetError):
        backup_archive.inspect(str(place), None, ignore, ignore)


def test_every_document_is_told_with_its_hash(place: Path) -> None:
    rows: list[tuple[str, str]] = []
    found = backup_archive.inspect(str(place), None, ignore, lambda path, digest: rows.append((path, digest)))
    assert rows == [(path, sha256(data)) for path, data in sorted(HELD.items())]
    assert (found["count"], found["bytes"]) == (2, 703)


# As pg_restore 15 writes it.
TEXT = """--
-- Name: price(integer); Type: FUNCTION; Schema: public; Owner: epns
--

CREATE FUNCTION public.price(integer) RETURNS integer
    LANGUAGE sql
    AS $_$SELECT {price}$_$;


--
-- Data for Name: bid; Type: TABLE DATA; Schema: public; Owner: epns
--

COPY public.bid (id, tender, path, sha256, seal) FROM stdin;
1\tt1\t2026/a.enc\taa\t\\\\x4142
2\tt1\t2026/b.enc\tbb\t\\N
3\tt1\t\\N\t\\N\t\\\\xzz
\\.


--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner:
--

BEGIN;

SELECT pg_catalog.lo_open('16385', 131072);
SELECT pg_catalog.lowrite(0, '\\x4344');
SELECT pg_catalog.lowrite(0, '\\x4546');
SELECT pg_catalog.lo_close(0);

COMMIT;
"""


class Scanned:
    """Keeps what would be scanned."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.titles: list[str] = []
        self.held: list[bytes] = []

    def new(self, title: str, _seen: Any = None) -> str:
        self.titles.append(title)
        return str(self._folder / str(len(self.titles)))

    def written(self, path: str, _size: int) -> None:
        self.held.append(Path(path).read_bytes())


def dump(tmp_path: Path, **values: str) -> tuple[backup_dump.Reading, Scanned, list[tuple[str, str]]]:
    scanned: Any = Scanned(tmp_path)
    rows: list[tuple[str, str]] = []
    table = {"table": "public.bid", "path": "path", "sha256": "sha256"}
    reader = backup_dump.Reader(scanned, table, lambda path, digest: rows.append((path, digest)))
    for line in TEXT.replace("{price}", values.get("price", "$1")).encode().splitlines():
        reader.line(line)
    return reader.end(), scanned, rows


def test_a_dump_is_read_for_what_is_in_it(tmp_path: Path) -> None:
    found, scanned, rows = dump(tmp_path)
    assert rows == [("2026/a.enc", "aa"), ("2026/b.enc", "bb")]
    assert scanned.held[:2] == [b"AB", b"CDEF"]
    assert scanned.titles == ["database.dump: public.bid", "database.dump: large object 1", "database.dump: text"]
    assert (found.large_objects, found.rows, found.too_large) == (1, 2, 0)
    # A large object's digits are not scanned once more as text; everything else is.
    assert b"lowrite" not in scanned.held[2] and b"CREATE FUNCTION" in scanned.held[2]


def test_code_that_was_changed_is_seen(tmp_path: Path) -> None:
    one, other = dump(tmp_path)[0].code, dump(tmp_path, price="0")[0].code
    assert list(one) == ["FUNCTION public.price(integer)"]
    assert backup_trace.code_changes(one, other) == ["~ FUNCTION public.price(integer)"]
    assert backup_trace.code_changes({}, one) == ["+ FUNCTION public.price(integer)"]
    assert backup_trace.code_changes(one, one) == []


def held(**paths: str) -> list[backup_archive.Document]:
    return [backup_archive.Document(path.replace("_", "."), 1, 0, digest) for path, digest in paths.items()]


BEFORE = {f"d{n}_enc": f"{n}" for n in range(200)}


@pytest.mark.parametrize(
    ("now", "figures", "suspicious"),
    [
        (BEFORE, (0, 0, 0), False),
        ({**BEFORE, "new_enc": "n"}, (0, 0, 0), False),
        ({**BEFORE, "d1_enc": "x"}, (1, 0, 0), False),
        ({**BEFORE, **{f"d{n}_enc": "x" for n in range(4)}}, (4, 0, 0), False),
        ({**BEFORE, **{f"d{n}_enc": "x" for n in range(5)}}, (5, 0, 0), True),
        ({f"{path}_locked": "x" for path in BEFORE}, (0, 200, 0), True),
        ({f"other_{path}": digest for path, digest in BEFORE.items()}, (0, 200, 0), True),
        ({}, (0, 0, 200), True),
    ],
)
def test_a_trace_of_ransomware(now: dict[str, str], figures: tuple[int, int, int], suspicious: bool) -> None:
    found = backup_trace.compare(held(**BEFORE), held(**now))
    assert (found["changed"], found["renamed"], found["vanished"]) == figures
    assert found["suspicious"] is suspicious


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/q/1: OK", None),
        ("/q: OK", None),
        ("/q/1: Lab.Worm.UNOFFICIAL FOUND", "infected"),
        ("/q/a: b: Eicar-Signature FOUND", "infected"),
        ("/q/1: Heuristics.Limits.Exceeded.MaxFileSize FOUND", "limits"),
        ("/q/1: Heuristics.Encrypted.Zip FOUND", "encrypted"),
        ("/q/1: lstat() failed: Permission denied. ERROR", "failed"),
        ("COMMAND READ TIMED OUT", "failed"),
        ("", "failed"),
    ],
)
def test_what_the_scanner_says(line: str, kind: str | None) -> None:
    found = backup_scan.judge_line(line)
    assert (found.kind if found else None) == kind


def test_signatures_are_as_old_as_their_publisher_says(tmp_path: Path) -> None:
    assert backup_scan.signatures(str(tmp_path))["newest"] is None
    assert backup_scan.signatures(str(tmp_path / "nothing"))["newest"] is None
    (tmp_path / "readme.txt").write_text("none")
    (tmp_path / "daily.cvd").write_bytes(b"ClamAV-VDB:14 Jul 2020 09-00 -0400:27000:1:90:x:y:z:1".ljust(512))
    found = backup_scan.signatures(str(tmp_path))
    assert found["count"] == 1
    assert abs(found["newest"] - 1594728000) < 86400
    (tmp_path / "main.cvd").write_bytes(b"not a header")
    assert backup_scan.signatures(str(tmp_path))["newest"] == found["newest"]
    (tmp_path / "own.ndb").write_text("x")
    later = backup_scan.signatures(str(tmp_path))
    assert time.time() - later["newest"] < 60
    assert later["fingerprint"] != found["fingerprint"]


@pytest.mark.parametrize(
    ("evidence", "gaps", "verdict"),
    [
        ([], [], "clean"),
        ([], ["no_older_set"], "clean"),
        ([], ["encrypted"], "clean"),
        ([], ["signatures_missing"], "unknown"),
        ([], ["signatures_old"], "unknown"),
        ([], ["engine_failed"], "unknown"),
        ([], ["scan_failed"], "unknown"),
        ([], ["too_large"], "unknown"),
        ([], ["rows_unknown"], "unknown"),
        (["unknown"], [], "unknown"),
        (["damaged"], ["engine_failed"], "damaged"),
        (["damaged", "infected"], [], "infected"),
        (["infected"], ["signatures_old"], "infected"),
    ],
)
def test_what_cannot_be_checked_is_not_clean(evidence: list[str], gaps: list[str], verdict: str) -> None:
    report = Report()
    for item in evidence:
        report.found(item, "x", "")
    report.uninspected = [{"id": gap, "found": ""} for gap in gaps]
    assert report.judge() == verdict

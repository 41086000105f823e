"""Documents are fetched, never deleted, never overwritten; and only where that is this site's part."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import files_place, files_turn
from lpse_dr.plugins.module_utils.lpse_dr_host.base import VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.files_stream import parse_item
from tests.unit.host import files_sites
from tests.unit.host.files_sites import Pair

pair = files_sites.pair
AWKWARD = [
    "-dash.bid", "2026/11/24/sp ace.bid", "2026/new\nline/x\ny.bid", "2026/#a.bid", "2026/;b.bid", "2026/é日.bid",
    "2026/back\\#012slash.bid", "2026/ *[a]?.bid", "2026/ends with space ", "2026/bin\udcff.bid",
]  # fmt: skip


def put(root: Any, name: str, content: bytes) -> None:
    """Write a document below a root."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_every_name_arrives_by_pass_and_by_list(pair: Pair) -> None:
    for number, name in enumerate(AWKWARD):
        put(pair.peer, name, b"%d" % number)
    half = AWKWARD[::2]
    pulled = pair.call("pull", paths=half)
    assert pulled["sha256"] == {n: hashlib.sha256(b"%d" % AWKWARD.index(n)).hexdigest() for n in half}
    assert pair.call("sync")["files"] == len(AWKWARD) - len(half)
    for number, name in enumerate(AWKWARD):
        assert (pair.here / name).read_bytes() == b"%d" % number
    assert pair.call("sync") | {"seconds": 0} == {
        "changed": False,
        "files": 0,
        "bytes": 0,
        "seconds": 0,
        "conflicts": [],
    }


def test_what_the_peer_lost_stays_and_unfinished_documents_stay_away(pair: Pair) -> None:
    put(pair.here, "2026/only-here.bid", b"x")
    put(pair.peer, "2026/half.bid.part", b"x")
    pair.call("sync")
    assert (pair.here / "2026/only-here.bid").exists()
    assert not (pair.here / "2026/half.bid.part").exists()
    assert not (pair.here / ".lpse-dr/site.json").exists()


def test_a_document_that_differs_is_kept_beside_and_named_until_settled(pair: Pair) -> None:
    put(pair.peer, "2026/a.bid", b"theirs, longer")
    put(pair.here, "2026/a.bid", b"ours")
    conflicts = pair.call("sync")["conflicts"]
    assert [c["path"] for c in conflicts] == ["2026/a.bid"]
    assert (pair.here / "2026/a.bid").read_bytes() == b"ours"
    assert (pair.here / conflicts[0]["kept"]).read_bytes() == b"theirs, longer"
    assert pair.call("sync")["conflicts"] == conflicts
    assert len(list((pair.here / ".lpse-dr/versions").iterdir())) == 1
    with pytest.raises(VerbError) as error:
        pair.call("confirm", sha256={"2026/a.bid": conflicts[0]["sha256"]["peer"]})
    assert error.value.id == "files.hash_differs"
    # A version of an open conflict outlives the days; a settled one does not.
    stamp = pair.here / conflicts[0]["kept"].rsplit("/2026/", 1)[0]
    os.utime(stamp, (1, 1))
    assert files_place.purge(pair.context()) == 0
    (pair.here / "2026/a.bid").unlink()
    assert pair.call("sync")["conflicts"] == []
    assert (pair.here / "2026/a.bid").read_bytes() == b"theirs, longer"
    os.utime(stamp, (1, 1))
    assert files_place.purge(pair.context()) == 1


def test_equal_content_of_another_time_is_no_conflict(pair: Pair) -> None:
    put(pair.peer, "a.bid", b"same")
    put(pair.here, "a.bid", b"same")
    os.utime(pair.peer / "a.bid", (1000, 1000))
    assert pair.call("sync")["conflicts"] == []
    assert (pair.here / "a.bid").stat().st_mtime == 1000


@pytest.mark.parametrize(
    ("own", "peer", "wanted"),
    [
        (None, {"site": "pdc", "epoch": {"number": 3, "site": "pdc"}}, "files.epoch_unknown"),
        ({"number": 3, "site": "drc"}, {"site": "pdc", "epoch": {"number": 3, "site": "pdc"}}, "files.not_standby"),
        ({"number": 4, "site": "pdc"}, {"site": "pdc", "epoch": {"number": 3, "site": "pdc"}}, "files.peer_stale"),
        ({"number": 3, "site": "pdc"}, {"site": "pdc", "epoch": {"number": 4, "site": "drc"}}, "files.peer_stale"),
        ({"number": 3, "site": "other"}, {"site": "pdc", "epoch": {"number": 3, "site": "pdc"}}, "files.peer_stale"),
        ({"number": 3, "site": "pdc"}, {"site": "pdc", "epoch": None}, "files.peer_stale"),
        ({"number": 3, "site": "pdc"}, {}, "files.peer_stale"),
    ],
)
def test_only_a_standby_pulls_and_only_from_a_current_peer(pair: Pair, own: Any, peer: Any, wanted: str) -> None:
    put(pair.peer, "a.bid", b"x")
    pair.know(own)
    pair.say(peer)
    for verb in ("sync", "open"):
        with pytest.raises(VerbError) as error:
            pair.call(verb)
        assert error.value.id == wanted
    assert not (pair.here / "a.bid").exists()


@pytest.mark.parametrize("health", ["serving", "failed", "unreachable"])
def test_an_application_that_is_not_known_to_be_standby_stops_the_pull(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, health: str
) -> None:
    monkeypatch.setattr(files_place, "read_health", lambda url, seconds: {"health": health})
    with pytest.raises(VerbError) as error:
        pair.call("sync")
    assert error.value.id == "files.not_standby"


def test_a_halt_stops_every_way_of_copying_and_leaves_the_last_record(pair: Pair) -> None:
    pair.call("sync")
    before = pair.record.read_text()
    pair.halt.write_text("")
    put(pair.peer, "a.bid", b"x")
    for verb in ("sync", "pull"):
        with pytest.raises(VerbError) as error:
            pair.call(verb, paths=["a.bid"])
        assert error.value.id == "files.halted"
    assert pair.record.read_text() == before


def test_a_dead_peer_is_said_and_recorded_by_the_turn(pair: Pair) -> None:
    pair.peer.rename(pair.peer.with_name("gone"))
    with pytest.raises(VerbError) as error:
        files_turn.turn(pair.context())
    assert error.value.id == "files.peer_unreachable"
    reading = pair.call("status")["reading"]["files"]
    assert (reading["peer_ok"], reading["exists"]) == (False, True)
    assert "No route" in reading["peer_error"]


def test_a_turn_publishes_on_both_sides_and_pulls_on_one(pair: Pair) -> None:
    put(pair.peer, "a.bid", b"x")
    done = files_turn.turn(pair.context())
    assert done["pulled"]["files"] == 1
    assert json.loads((pair.here / ".lpse-dr/site.json").read_text())["site"] == "drc"
    pair.know({"number": 4, "site": "drc"})
    done = files_turn.turn(pair.context())
    assert (done["published"], done["pulled"]) == (True, None)
    assert "files.not_standby" in done["skipped"]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\0b"])
def test_a_path_that_leaves_the_root_is_refused(pair: Pair, path: str) -> None:
    with pytest.raises(VerbError) as error:
        pair.call("pull", paths=[path])
    assert error.value.id == "files.path_outside"


def test_an_unmounted_root_is_no_empty_archive(pair: Pair) -> None:
    pair.here.rmdir()
    with pytest.raises(VerbError) as error:
        pair.call("sync")
    assert error.value.id == "files.root_missing"


def test_a_name_that_the_peer_lost_is_reported_missing(pair: Pair) -> None:
    assert pair.call("pull", paths=["gone.bid"])["missing"] == ["gone.bid"]


def test_an_open_connection_is_used_again(pair: Pair) -> None:
    pair.call("open")
    stream = pair.memory["files.stream"]
    put(pair.peer, "a.bid", b"x")
    assert pair.call("pull", paths=["a.bid"])["files"] == 1
    pair.call("open")
    assert pair.memory["files.stream"] is stream


def test_what_was_made_ready_is_used_and_one_that_died_is_no_loss(pair: Pair) -> None:
    pair.call("open")
    stream = pair.memory["files.stream"]
    for number, dies in enumerate((False, True)):
        put(pair.peer, f"{number}.bid", b"x")
        ready = stream._prepared[1]
        if dies:
            ready.kill()
        assert pair.call("pull", paths=[f"{number}.bid"])["files"] == 1
        assert ready.poll() is not None
    put(pair.peer, "2.bid", b"x")
    assert pair.call("pull", paths=["2.bid"], last=True)["files"] == 1
    assert stream._prepared is None


def test_a_marker_travels_with_a_pass(pair: Pair) -> None:
    markers = pair.peer / ".lpse-dr/markers"
    markers.mkdir(parents=True)
    (markers / "m-1").write_text(json.dumps({"at": time.time() - 2, "site": "pdc"}))
    with pytest.raises(VerbError):
        pair.call("await_marker", seconds=0.1, id="m-1")
    pair.call("sync")
    assert 2 <= pair.call("await_marker", id="m-1")["seconds"] < 30


def test_an_unknown_line_of_rsync_is_no_empty_list() -> None:
    with pytest.raises(VerbError):
        parse_item(b"rsync: something new")
    item = parse_item(b">f+++++++++ 12 2026/11/24-05:00:00 a\\#012b \\#134#012")
    assert item is not None
    assert (item.size, item.path) == (12, "a\nb \\#012")

"""What only a failover does on its hosts: its record, the gap in the numbers, the list of missing documents."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, failover
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site

pair = database_sites.pair
QUERY = "SELECT id, path, sha256, vendor, tender, submitted_at AS at FROM bid"


def call(site: Site, verb: str, /, **args: Any) -> dict[str, Any]:
    """Run a verb as this host's agent would."""
    site.patch.setattr(base, "STATE_FOLDER", str(site.state_folder))
    return failover.VERBS[verb](
        Context(site.site + "-db", site.site, site.config, site.operation, 20, site.memory), args
    )


def test_numbers_go_on_from_where_the_lost_site_cannot_have_been(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    pdc.sql("CREATE SEQUENCE bid_number", "lpse_dr")
    pdc.sql(
        "CREATE TABLE bid (id int, path text, sha256 text, vendor text, tender text, submitted_at timestamptz)",
        "lpse_dr",
    )
    pdc.sql(
        "INSERT INTO bid VALUES (1, '2026/1.bid', 'x', 'PT A', 'T1', now()), (2, '2026/2.bid', 'y', 'PT B', 'T1', now() - interval '1 day')",
        "lpse_dr",
    )
    pdc.sql("SELECT nextval('bid_number')", "lpse_dr")
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    drc.config.update(
        database_documents_database="lpse_dr", database_documents_query=QUERY, database_sequences=[{"name": "bid_number", "gap": 500}]
    )  # fmt: skip
    assert [row["id"] for row in call(drc, "rows")["rows"]] == ["1", "2"]
    newest = drc.reading()["documents"]["newest"]
    assert len(newest) == 2
    assert newest[0] > newest[1]

    # A planned change loses no number: without the record of a failover nothing moves.
    assert call(drc, "advance_sequences", epoch=2) == {"changed": False, "sequences": {}}
    with pytest.raises(VerbError, match="old_site_writes"):
        call(pdc, "assert_sealed")
    begun = call(drc, "begin", epoch=2, site="drc", **{"from": "pdc"}, proof="statement", statement="fire")
    assert begun["replay_lsn"]
    assert drc.state()["failover"]["statement"] == "fire"
    pdc.call("fence")
    with pytest.raises(VerbError, match="it runs, fenced"):
        call(pdc, "assert_sealed")
    pdc.call("stop")
    assert call(pdc, "assert_sealed") == {"changed": False, "running": False}
    assert call(drc, "begin", epoch=2, site="drc", **{"from": "pdc"})["changed"] is True
    drc.call("fire", epoch=2, site="drc", control={})
    drc.call("promote")
    drc.config["database_sequences"][0]["name"] = "no_such"
    with pytest.raises(VerbError, match="sequence_missing"):
        call(drc, "advance_sequences", epoch=2)
    drc.config["database_sequences"][0]["name"] = "bid_number"
    moved = call(drc, "advance_sequences", epoch=2)["sequences"]["bid_number"]
    assert moved["to"] == moved["from"] + 500
    assert int(drc.sql("SELECT nextval('bid_number')", "lpse_dr")) == moved["to"] + 1
    # Again, also by the run that takes over: no further, and never back.
    assert call(drc, "advance_sequences", epoch=2) == {"changed": False, "sequences": {"bid_number": moved}}
    assert int(drc.sql("SELECT nextval('bid_number')", "lpse_dr")) == moved["to"] + 2
    with pytest.raises(VerbError, match="a standby that takes over"):
        call(drc, "begin", epoch=3, site="drc", **{"from": "pdc"})


def test_a_failover_that_did_not_come_true_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STATE_FOLDER", str(tmp_path))
    with base.state_for_update() as state:
        state["failover"] = {"epoch": 4}
    ctx = Context("drc-db", "drc", {})
    assert failover.forget(ctx, {"epoch": 3}) == {"changed": False}
    assert failover.forget(ctx, {"epoch": 4}) == {"changed": True}
    assert base.read_state()["failover"] is None


def test_every_row_whose_document_is_absent_or_differs_is_listed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, state = tmp_path / "files", tmp_path / "state"
    (root / "2026").mkdir(parents=True)
    monkeypatch.setattr(base, "STATE_FOLDER", str(state))
    monkeypatch.setattr(failover, "STATE_FOLDER", str(state))
    state.mkdir()
    good = hashlib.sha256(b"bid").hexdigest()
    for name in ("good", "short", "unhashed"):
        (root / "2026" / name).write_bytes(b"bi" if name == "short" else b"bid")
    (tmp_path / "secret").write_bytes(b"bid")
    paths = {
        "good": None, "short": "different", "gone": "absent", "unhashed": None, "../../secret": "absent", "/etc/passwd": "absent", "": "absent",
    }  # fmt: skip
    rows = [
        {"id": str(number), "path": f"2026/{name}" if name and not name.startswith("/") else name, "sha256": None if name == "unhashed" else good,
         "vendor": "PT A", "tender": "T1", "at": "x"}
        for number, name in enumerate(paths)
    ]  # fmt: skip
    ctx = Context("drc-app", "drc", {"files_root": str(root)})
    figures = failover.list_documents(ctx, {"epoch": 4, "rows": rows})
    kept = json.loads(failover.documents(ctx, {"epoch": 4})["list"])
    assert {row["id"]: row["reason"] for row in kept["documents"]} == {
        str(number): reason for number, reason in enumerate(paths.values()) if reason
    }
    assert (figures["checked"], figures["absent"], figures["different"]) == (7, 4, 1)
    assert base.read_state()["failover"]["documents"]["absent"] == 4
    assert failover.documents(ctx, {"epoch": 9})["list"] == ""


def test_without_a_query_there_are_no_rows() -> None:
    assert failover.rows(Context("drc-db", "drc", {}), {}) == {"changed": False, "rows": []}

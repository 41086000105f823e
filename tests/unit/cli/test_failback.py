"""`failback` and `replication seed` at the keyboard: the way and why before it asks, how far copying is, what was salvaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.cli.standby import copied_text

from .conftest import HEALTHY, Call, Playbook

PLAN = {
    "way": "seed", "why": "fewer_bytes_seed", "salvage": True, "fork": "0/60D2100", "end": "0/6122160", "timeline": 1,
    "seed_bytes": 48_195_703, "rewind_bytes": 50_659_977, "stage": "prepare", "unknown_since": 1_790_000_000.0,
}  # fmt: skip
SALVAGED = [
    {"id": str(n), "path": f"2026/{n}.bid", "vendor": f"PT {n}", "tender": "T1", "reason": reason, "document": "kept"}
    for n, reason in enumerate(["only"] * 21 + ["document"])
]
TOLD = {
    "kind": "told", "step": "salvage_documents",
    "answers": {"pdc-app": {"list": json.dumps({"salvaged": SALVAGED}), "rows": 21, "documents": 22, "folder": "/f/epoch-2"}},
}  # fmt: skip
ADOPTED = {"kind": "steps", "steps": [{"name": "adopt", "verb": "standby.adopt", "ok": True, "host": "pdc-db", "result": {"kept": "/d.before-1"}}]}  # fmt: skip
DONE = {"kind": "verdict", "verdict": "COMPLETED", "changed": True, "error": None, "figures": {}}
ROOM = {
    "guard_id": "standby.room", "ok": False, "host": "pdc-db", "expected": "e", "found": "f", "todo": "t",
    "data": {"host": "pdc-db", "need_bytes": 9, "free_bytes": 1, "from_site": "drc", "to_site": "pdc"},
}  # fmt: skip


def guards(*failing: dict[str, Any], **plan: Any) -> dict[str, Any]:
    return {"kind": "guards", "stage": "prepare", "guards": list(failing), "loss": {**PLAN, **plan}}


def test_a_script_gets_what_was_salvaged_in_full_and_a_reader_the_first_of_it(
    call: Call, office: Path, playbook: Playbook
) -> None:
    playbook("failback", guards(), TOLD, ADOPTED, DONE)
    spoken = call("--office", office, "failback", "--to", "pdc", "--yes", "--output", "json")
    assert (spoken.code, len(spoken.envelope["salvaged"])) == (0, 22)
    assert (spoken.envelope["way"], spoken.envelope["kept"]) == ("seed", "/d.before-1")
    text = " ".join(call("--office", office, "--lang", "en", "failback", "--to", "pdc", "--yes").out.split())
    assert "a new base backup" in text
    assert "past 0/60D2100" in text
    assert "row and document: 2026/0.bid, vendor PT 0, tender T1" in text
    assert "and 2 more" in text
    assert "/d.before-1" in text
    assert "pdc-app: /f/epoch-2" in text


def test_a_person_sees_the_way_and_types_the_target(
    call: Call, office: Path, playbook: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook("status", *HEALTHY)
    playbook("failback", guards(), DONE)
    monkeypatch.setattr("lpse_dr.cli.ask.somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: "no")
    spoken = call("--office", office, "--lang", "en", "failback", "--to", "pdc")
    assert spoken.code == 3
    text = " ".join(spoken.out.split())
    assert "a new base backup" in text
    assert "Make pdc the standby of drc, then switch over to pdc." in text


def test_a_refusal_says_what_to_do_and_a_destroyed_disk_that_nobody_knows(
    call: Call, office: Path, playbook: Playbook
) -> None:
    error = {"id": "standby.room", "data": ROOM["data"], "todo": "t", "next_command": "t"}
    playbook("replication_seed", guards(ROOM), {"kind": "verdict", "verdict": "REFUSED", "changed": False, "error": error})  # fmt: skip
    spoken = call("--office", office, "replication", "seed", "--to", "pdc", "--yes", "--output", "json")
    assert (spoken.code, spoken.envelope["error"]["id"]) == (3, "standby.room")
    playbook("failback", guards(way="seed", why="no_data"), DONE)
    text = " ".join(
        call("--office", office, "failback", "--to", "pdc", "--prepare-only", "--yes", "--lang", "id").out.split()
    )
    assert "tidak diketahui sejak" in text


def test_without_a_terminal_nothing_is_begun(call: Call, office: Path) -> None:
    assert call("--office", office, "failback", "--to", "pdc").code == 2
    assert call("--office", office, "replication", "seed", "--to", "pdc").code == 2
    assert call("--office", office, "replication", "seed").code == 2


def test_how_far_a_copy_is() -> None:
    said = {"left": 1, "done_bytes": 512 << 20, "total_bytes": 2 << 30, "seconds_left": 90.0}
    assert "536.9 MB" in copied_text({"pdc-db": said}) or "512" in copied_text({"pdc-db": said})
    assert copied_text({"pdc-db": {"left": 0}}) == ""
